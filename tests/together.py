"""Several processes of one test, as those of a job: forked, so that none loads torch once more."""

import multiprocessing
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import distributed

from ataka.machine.ranks import Group

_PATIENCE = 60
"""Seconds after which processes that wait for each other are ended."""


def together(count: int, folder: Path, work: Callable[[Group], Any]) -> list[Any]:
    """The results of ``work`` in ``count`` processes that are tied together by gloo, through a file in ``folder``."""
    fork = multiprocessing.get_context("fork")
    results = fork.SimpleQueue()
    meeting = folder / f"meeting{len([*folder.iterdir()])}"

    def run(rank: int) -> None:
        try:
            distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=count)
            result, error = work(Group(rank, count)), None
            distributed.destroy_process_group()
        except BaseException:
            result, error = None, traceback.format_exc()
        results.put((rank, result, error))

    processes = [fork.Process(target=run, args=(rank,), daemon=True) for rank in range(count)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(_PATIENCE)
    stuck = [rank for rank, process in enumerate(processes) if process.is_alive()]
    for process in processes:
        process.kill()
    ends = []
    while not results.empty():
        ends.append(results.get())
    errors = [error for _, _, error in ends if error]
    assert not errors, errors[0]
    assert not stuck
    return [result for _, result, _ in sorted(ends, key=lambda end: end[0])]
