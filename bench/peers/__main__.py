"""python -m bench.peers: run our cells beside the calls of others, and write docs/peers.md."""

import argparse
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path

from bench.peers import page

MADE = "results/pocket/runs/cifar10/resnet10-w16/en-sat/seed0/member0/model.safetensors"
"""The first member of the scale pocket's en-SAT; `make peers` trains it by Snakemake."""
ROBUST = "Robust"


def main(arguments: list[str]) -> int:
    """Measure the cells that ``arguments`` name, write their CSVs and the page, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description="Our cells beside the calls of others.")
    parser.add_argument("what", nargs="*", metavar="CELL", help="cells, surprises, page; by default everything")
    parser.add_argument("--images", type=int, default=1000, help="test images for the robust network (1000)")
    parser.add_argument("--natural", type=int, metavar="IMAGES", help="for the natural one (a fifth as many; 0: none)")
    parser.add_argument("--robust", default=MADE, metavar="FILE", help=f"the robust network ({MADE})")
    parser.add_argument("--processes", type=int, default=2, help="at a time, with one thread each (2)")
    parser.add_argument("--folder", type=Path, default=page.FOLDER, help="where the CSVs go, and the page beside it")
    parser.add_argument("--check", action="store_true", help="only say whether the page is what its CSVs give")
    given = parser.parse_args(arguments)
    if given.check:
        return page.check(given.folder)
    what = set(given.what)
    only = what - {"page", "surprises"}
    failed = measure(given, only) if not what or only else []
    if not what or "surprises" in what:
        surprise(given)
    page.write(given.folder)
    for error in failed:
        print(f"error: {error}", file=sys.stderr)
    return 1 if failed else 0


def measure(given: argparse.Namespace, only: set[str]) -> list[str]:
    """Every cell, or ``only`` some, to cells.csv, and the errors of those that failed; a task for each cell."""
    from bench.peers import cells, jobs

    names = [cell.name for cell in cells.CELLS]
    if unknown := only - set(names):
        raise SystemExit(f"there is no cell {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    few = given.images // 5 if given.natural is None else given.natural
    robust = jobs.Job(ROBUST, given.robust, None, "8/255", given.images, "")
    natural = jobs.Job("Natural ResNet-18", "pyautoattack:examples/model_test.pt", "resnet18", "", few, "")
    networks = [robust, *(natural._replace(eps=eps) for eps in ("0.5/255", "1/255"))]
    wanted = [cell for cell in cells.CELLS if cell.name in only or not only]
    todo = [
        network._replace(cell=cell.name, images=min(network.images, max(2, network.images // share)))
        for cell in wanted
        for network in networks
        if network.images and (share := cell.share if network is robust else cell.larger)
    ]
    failed = []
    context = multiprocessing.get_context("spawn")  # a forked child could not back-propagate
    with ProcessPoolExecutor(given.processes, mp_context=context) as pool:
        for future in as_completed({pool.submit(jobs.run, job): job for job in todo}):
            try:
                cells.merge(given.folder / "cells.csv", future.result(), page.about())
            except Exception as error:  # an hour's other cells are not lost for it
                failed.append(f"{type(error).__name__}: {error}")
    return failed


def surprise(given: argparse.Namespace) -> None:
    """What surprises, run again, to surprises.csv."""
    from bench.peers import cells, surprises

    lines = [asdict(surprise) | page.about() for surprise in surprises.run(given.robust)]
    cells.write(given.folder / "surprises.csv", lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
