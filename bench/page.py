"""docs/performance.md from the CSVs beside it."""

import csv
from collections.abc import Iterator
from importlib import import_module
from itertools import groupby
from pathlib import Path

HEAD = """# Performance

Each table is one run of `python -m bench NAME`, which times its contestants in turn, in one process or in processes
that wait for each other. Seconds are medians, with the quartiles of all rounds. Speed is relative to one of the
contestants (1.00). `make bench` makes all of it again, in an environment of its own. This page is generated:
`python -m bench page`.
"""


def write(folder: Path) -> None:
    """The page, beside the folder of the CSVs."""
    folder.with_suffix(".md").write_text("\n".join(_lines(folder)))


def _lines(folder: Path) -> Iterator[str]:
    yield HEAD
    for path in sorted(folder.glob("*.csv")):
        with path.open(newline="") as file:
            lines = list(csv.DictReader(file))
        yield f"## {path.stem}\n"
        yield f"{(import_module(f'bench.{path.stem}').__doc__ or '').strip()}\n"
        yield from _on_a_gpu(lines) if path.stem == "gpu" else _in_turn(lines)


def _in_turn(lines: list[dict[str, str]]) -> Iterator[str]:
    yield f"{lines[0]['machine']}; {lines[0]['versions']}.\n"
    for task, group in groupby(lines, key=lambda line: line["task"]):
        yield f"**{task}**\n"
        yield "| | seconds | quartiles | speed | |"
        yield "|---|---:|---:|---:|---|"
        for line in group:
            quartiles = f"{line['low']} to {line['high']}"
            yield f"| {line['contestant']} | {line['seconds']} | {quartiles} | {line['speed']} | {line['note']} |"
        yield ""


def _on_a_gpu(lines: list[dict[str, str]]) -> Iterator[str]:
    yield f"{lines[0]['device']}; Python {lines[0]['python']}, torch {lines[0]['torch']}.\n"
    for kind, group in groupby(lines, key=lambda line: line["kind"]):
        yield f"**{kind}**\n"
        yield "| | value | plain | share of peak | |"
        yield "|---|---:|---:|---:|---|"
        for line in group:
            value = f"{line['value']} {line['unit']}".strip()
            yield f"| {line['name']} | {value} | {line['plain']} | {line['peak']} | {line['note']} |"
        yield ""
