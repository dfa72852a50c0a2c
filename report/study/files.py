"""The compact files of a scale, docs/study/SCALE/: the measurements behind its tables, small enough for git.

    study.json            the settings, the tables, and the SHA-256 of every file below
    seedN/jobs.csv        an artifact a row: digests of settings, code, images, network; commit, versions, cost
    seedN/cells.csv       a cell a row: its numbers, and a bit for each test image, packed (base64)
    seedN/particles.csv   an image of a generator's particles a row
    seedN/choices.csv     a candidate for alpha a row
    seedN/curves.csv      an epoch of a training a row

A cell that several tables show is kept once. The files hold the settings, so pages can be made again after a change of
config/; the pages then still show the settings of the measurements.
"""

import base64
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy
from pydantic import ValidationError

from ataka.errors import Unusable, UserError, remedied
from ataka.files.disk import sha256
from ataka.files.records import read_json, read_rows, write_json, write_rows
from ataka.plan import Cell, Particles, Run
from ataka.study import Study, config
from report import catalogue
from report.accuracies import trainings
from report.accuracies.measurements import Bits
from report.table import Table

FOLDER = config.HOME / "docs/study"
PROVENANCE = [
    *("config_sha256", "code_sha256", "data_sha256", "model_sha256", "git_commit", "git_dirty", "device", "torch"),
    *("threads", "seconds", "cpu_seconds", "memory_mb", "gpu_memory_mb", "finished_at"),
]
"""The columns of a measurement that jobs.csv states in their place."""
JOB = ["artifact", "stage", *PROVENANCE, "python", "platform", "versions"]
_FORMAT = 1
REMEDY = "restore it: git checkout -- docs/study"

Row = dict[str, str]


@dataclass
class Kept:
    """The content of a scale's compact files. Rows are whole: as the measurement wrote them, without seals.

    ``jobs`` and ``curves`` are by the artifact's path below the results folder.
    """

    study: Study
    tables: dict[str, Table]
    cells: dict[Cell, Row] = field(default_factory=dict)
    bits: dict[Cell, Bits] = field(default_factory=dict)
    particles: dict[Particles, list[Row]] = field(default_factory=dict)
    choices: dict[Run, list[Row]] = field(default_factory=dict)
    curves: dict[str, list[Row]] = field(default_factory=dict)
    jobs: dict[str, Row] = field(default_factory=dict)

    def seconds(self, artifact: Path) -> float | None:
        """The time of the job that made an artifact; None where nobody knows."""
        return trainings.taken(self.jobs.get(artifact.as_posix(), {}))

    def curve(self, run: Run) -> list[Row]:
        """The history of a training, an epoch of a network a row; empty where there is none."""
        return self.curves.get(run.model("").as_posix(), [])


def scales() -> list[str]:
    """The scales that have compact files."""
    return sorted(path.parent.name for path in FOLDER.glob("*/study.json"))


def write(kept: Kept) -> list[Path]:
    """The scale's compact files, ``study.json`` last, since it states the SHA-256 of the others."""
    folder = FOLDER / kept.study.scale
    by_seed: dict[tuple[int, str], list[Row]] = defaultdict(list)
    for name, rows in _files(kept).items():
        for seed, row in rows:
            by_seed[seed, name].append(row)
    paths = []
    for (seed, name), its in sorted(by_seed.items()):
        paths.append(folder / f"seed{seed}" / f"{name}.csv")
        write_rows(paths[-1], its, JOB if name == "jobs" else ())
    content = {
        "format": _FORMAT,
        "study": kept.study.model_dump(mode="json"),
        "left_out": dict(kept.study.left_out),
        "tables": {name: table.model_dump(mode="json") for name, table in kept.tables.items()},
        "files": {path.relative_to(folder).as_posix(): sha256(path) for path in paths},
    }
    write_json(folder / "study.json", content)
    return [*paths, folder / "study.json"]


def read(scale: str) -> Kept:
    """The scale's compact files; UserError unless they are as they were written."""
    path = FOLDER / scale / "study.json"
    with remedied(REMEDY):
        content = read_json(path, "format", "study", "left_out", "tables", "files")
    if content["format"] != _FORMAT:
        raise UserError(
            f"{path} has format {content['format']}, this version reads {_FORMAT}: use the commit that wrote"
        )
    try:
        study = Study.model_validate(content["study"], context={"eps": content["study"]["eps"]})
        tables = {name: catalogue.KINDS[one["kind"]].model_validate(one) for name, one in content["tables"].items()}
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UserError(
            f"{path} has settings that this version doesn't know ({where}: {first['msg']}): make the pages with the "
            f"commit that wrote the file, or measure the scale again and remove {path.parent}"
        ) from None
    kept = Kept(study.without(content["left_out"]), tables)
    rows: dict[str, list[Row]] = defaultdict(list)
    with remedied(REMEDY):
        for name, digest in sorted(content["files"].items()):
            file = path.parent / name
            if sha256(file) != digest:
                raise Unusable(f"{file} is not what {path} states: it was edited or is damaged")
            rows[file.stem] += read_rows(file)
    _fill(kept, rows)
    return kept


def _files(kept: Kept) -> dict[str, list[tuple[int, Row]]]:
    """The rows of each file, with their seeds, in an order that doesn't depend on when they were measured."""
    first = kept.study.seeds[0]

    def seed(artifact: str) -> int:
        match = re.search(r"/seed(\d+)/", artifact)
        return int(match[1]) if match else first  # a choice of alpha and prepared images have none

    def by_name(artifacts: Mapping[Any, Any]) -> list[Any]:
        return sorted(artifacts, key=lambda one: tuple(asdict(one).values()))

    return {
        "jobs": [(seed(path), kept.jobs[path]) for path in sorted(kept.jobs)],
        "cells": [
            (cell.seed, _apart(kept.cells[cell]) | {"bits": pack(kept.bits[cell])}) for cell in by_name(kept.cells)
        ],
        "particles": [
            (source.seed, _apart(row)) for source in by_name(kept.particles) for row in kept.particles[source]
        ],
        "choices": [(first, row) for run in by_name(kept.choices) for row in kept.choices[run]],
        "curves": [
            (seed(path), {"artifact": path, **row}) for path in sorted(kept.curves) for row in kept.curves[path]
        ],
    }


def _apart(row: Row) -> Row:
    """What a measurement's own row keeps: that which jobs.csv and study.json don't state."""
    return {name: value for name, value in row.items() if name not in (*PROVENANCE, "scale", "seal")}


def _fill(kept: Kept, rows: Mapping[str, Iterable[Row]]) -> None:
    kept.jobs = {row["artifact"]: row for row in rows["jobs"]}

    def whole(source: Cell | Particles, row: Row) -> Row:
        job = kept.jobs[source.csv("").as_posix()]
        return {"scale": kept.study.scale, **row, **{name: job[name] for name in PROVENANCE}}

    for row in rows["cells"]:
        cell = Cell(*_run(row), row["attack"])
        kept.bits[cell] = unpack(row.pop("bits"), int(row["n"]))
        kept.cells[cell] = whole(cell, row)
    for row in rows["particles"]:
        source = Particles(*_run(row), row["generator"])
        kept.particles.setdefault(source, []).append(whole(source, row))
    for row in rows["choices"]:
        kept.choices.setdefault(Run(*_run(row)), []).append(row)
    for row in rows["curves"]:
        kept.curves.setdefault(row.pop("artifact"), []).append({name: value for name, value in row.items() if value})


def _run(row: Row) -> tuple[str, str, str, int]:
    return row["dataset"], row["arch"], row["method"], int(row["seed"])


def job_of(source: Cell | Particles, row: Row) -> Row:
    """The row of jobs.csv for a measurement."""
    path = source.csv("").as_posix()
    stage = "evaluate" if isinstance(source, Cell) else "particles"
    return dict.fromkeys(JOB, "") | {"artifact": path, "stage": stage} | {name: row[name] for name in PROVENANCE}


def pack(bits: Bits) -> str:
    """A verdict for each image, eight to a byte, as base64."""
    return base64.b64encode(numpy.packbits(bits).tobytes()).decode()


def unpack(text: str, n: int) -> Bits:
    """The ``n`` verdicts that ``pack`` wrote, (N,)."""
    packed = numpy.frombuffer(base64.b64decode(text), numpy.uint8)
    return numpy.unpackbits(packed, count=n).astype(numpy.bool_)
