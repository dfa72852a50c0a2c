"""A recording of two teachers by two processes, beside one process: what `processes: 2` gives on two cores.

Each contestant is the command `python -m ataka record` on embedded digits, with 10 attack steps. Its time is that of an
epoch, between the times of the first and the last file of its tape: neither the start of the processes nor the first
epoch counts. Two processes record the bytes of one. The kernel of eq. 2 is exactly 0 at the paper's width, so that each
teacher needs its own particle alone; with a median width each step of the attack exchanges gradients. Two threads are
the other way to use two cores, and have other bits. An efficiency is the speed, divided by the number of cores.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from ataka.plan import Tape
from ataka.study.config import HOME
from bench.timing import Row, clocked, rows

SCALE, DATASET, ARCH, TEACHERS = "smoke", "digits", "wrn16-4", 2
KERNELS = {"svgd": "the paper's width", "svgd-median": "a median width"}
METHODS = {"svgd": "s-at-aka", "svgd-median": "s-at-aka.median"}
ALONE = "1 process"
CONTESTANTS: dict[str, dict[str, int]] = {ALONE: {}, "2 processes": {"processes": 2}, "2 threads": {"threads": 2}}
IMAGES, EPOCHS, ROUNDS = 512, 4, 5


def measure(*, smoke: bool) -> Iterator[Row]:
    """A row for each contestant under each width of the kernel; ``smoke`` takes one width, no threads, small sizes."""
    arch = "wrn10-1" if smoke else ARCH
    settings = _settings(arch, 64, 2) if smoke else _settings(arch, IMAGES, EPOCHS)
    with tempfile.TemporaryDirectory(prefix="processes-") as name:
        folder = Path(name)
        _ataka(folder, "prepare", Path(f"results/{SCALE}/data/{DATASET}/train.safetensors"), settings)
        for generator in [*KERNELS][:1] if smoke else KERNELS:
            tape = Tape(DATASET, f"{arch}-x{TEACHERS}-{generator}", 0)
            names = [*CONTESTANTS][: 2 if smoke else None]
            players = {name: partial(_seconds, folder, tape, settings | CONTESTANTS[name]) for name in names}
            timings = clocked(players, 1 if smoke else ROUNDS)
            alone = next(each.median for each in timings if each.contestant == ALONE)
            notes = {
                each.contestant: f"efficiency {alone / each.median / 2:.2f}"
                for each in timings
                if each.contestant != ALONE
            }
            size = f"{settings['data']['train']} images"
            yield from rows(f"an epoch of {TEACHERS} {arch}, {size}, {KERNELS[generator]}", timings, ALONE, notes)


def _settings(arch: str, images: int, epochs: int) -> dict[str, Any]:
    return {
        "device": "cpu",
        "threads": 1,
        "stand_ins": {"wrn34-10": arch},
        "data": {"train": images},
        "setups": {"table2": {"batch_size": 64, "epochs": epochs, "probe": None}},
        "generators": {"svgd": {"steps": 10}},
        "methods": {method: {"ensemble": {"n": TEACHERS}} for method in METHODS.values()},
    }


def _seconds(folder: Path, tape: Tape, settings: dict[str, Any]) -> float:
    """The seconds of an epoch of a recording, after its first."""
    manifest = tape.manifest(f"results/{SCALE}")
    shutil.rmtree(folder / manifest.parent, ignore_errors=True)
    _ataka(folder, "record", manifest, settings)
    ends = sorted(path.stat().st_mtime for path in (folder / manifest.parent).rglob("epoch*.safetensors"))
    epochs = [after - before for before, after in pairwise(ends)]
    return sum(epochs) / len(epochs)


def _ataka(folder: Path, verb: str, path: Path, settings: dict[str, Any]) -> None:
    asked = [sys.executable, "-m", "ataka", verb, path.as_posix(), "--config", json.dumps(settings)]
    done = subprocess.run(asked, cwd=folder, env=os.environ | {"PYTHONPATH": str(HOME)}, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"exit code {done.returncode}:\n{done.stderr}")
