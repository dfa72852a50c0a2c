"""A cell of a network at a budget, in a process of its own."""

from typing import NamedTuple

import torch

import ataka
from ataka.library.evaluation import test_split
from ataka.study import config
from bench.peers import cells


class Job(NamedTuple):
    """The cell ``cell`` of a network, ``name`` on the page, on the first ``images`` test images."""

    name: str
    network: str
    arch: str | None
    eps: str
    images: int
    cell: str


def run(job: Job) -> list[cells.Row]:
    """The rows of the job's cell, printed as they come."""
    torch.set_num_threads(1)
    network = ataka.load(job.network, arch=job.arch, dataset="cifar10")
    split = test_split(config.load("paper"), "cifar10").first(job.images)
    (cell,) = (cell for cell in cells.CELLS if cell.name == job.cell)
    rows = []
    for row in cells.beside(cells.Target(job.name, network, job.eps), cell, split):
        verdicts = f"{row.stand_ours} and {row.stand_theirs} of {row.right} stand, {row.differ} differ"
        images = f"by at most {row.largest}, equal: {row.equal}; {row.seconds_ours} and {row.seconds_theirs} s"
        print(
            f"{job.cell} {job.arch or 'robust'} {job.eps} {row.library} ({row.ours}): {verdicts}, {images}", flush=True
        )
        rows.append(row)
    return rows
