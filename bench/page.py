"""docs/performance.md from the CSVs beside it."""

import csv
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from itertools import groupby
from pathlib import Path

HEAD = """# Performance

Each table is one run of `python -m bench NAME`, which times its contestants in turn, in one process or in processes
that wait for each other. Seconds are medians, with the quartiles of all rounds. Speed is relative to one of the
contestants (1.00). `make bench` makes these again, in an environment of its own. Five have a command of their own:
`python -m bench.gpu`, on a GPU, `bench.jobs` for a cluster's jobs, `bench.demo` for the demo's tables, `bench.tape` for
the tape and `bench.precision` for bfloat16. This page is generated: `python -m bench page`.
"""

Line = dict[str, str]


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
        yield from _ELSEWHERE.get(path.stem, _in_turn)(lines)


def _in_turn(lines: list[Line]) -> Iterator[str]:
    yield f"{lines[0]['machine']}; {lines[0]['versions']}.\n"
    yield from _tables(lines, "task", ("seconds", "quartiles", "speed"), _timed)


def _timed(line: Line) -> tuple[str, ...]:
    return line["contestant"], line["seconds"], f"{line['low']} to {line['high']}", line["speed"], line["note"]


def _on_a_gpu(lines: list[Line]) -> Iterator[str]:
    yield f"{lines[0]['device']}; Python {lines[0]['python']}, torch {lines[0]['torch']}.\n"
    yield from _tables(lines, "kind", ("value", "plain", "share of peak"), _measured)


def _measured(line: Line) -> tuple[str, ...]:
    return line["name"], f"{line['value']} {line['unit']}".strip(), line["plain"], line["peak"], line["note"]


def _of_jobs(lines: list[Line]) -> Iterator[str]:
    yield f"{lines[0]['machine']}; {lines[0]['versions']}.\n"
    yield from _tables(lines, "task", ("CPU seconds", "share of CPU", "memory"), _costed)


def _costed(line: Line) -> tuple[str, ...]:
    seconds = f"{line['cpu_seconds']} ({line['low']} to {line['high']})"
    return (
        line["contestant"],
        seconds,
        line["cpu_share"],
        f"{line['memory_mb']} MB",
        f"{line['memory_share']} of the memory",
    )


def _of_the_demo(lines: list[Line]) -> Iterator[str]:
    yield f"{lines[0]['machine']}; {lines[0]['versions']}.\n"
    yield from _tables(lines, "task", ("minutes", "CPU minutes", "shares"), _built)


def _built(line: Line) -> tuple[str, ...]:
    shares = f"{line['share']}, {line['cpu_share']} of the CPU" if line["share"] else ""
    return line["contestant"], line["minutes"], line["cpu_minutes"], shares, line["note"]


def _of_the_tape(lines: list[Line]) -> Iterator[str]:
    yield f"{lines[0]['machine']}; {lines[0]['versions']}.\n"
    yield from _tables(lines, "task", ("CPU seconds", "memory"), _held)


def _held(line: Line) -> tuple[str, ...]:
    memory = f"{line['memory_mb']} MB" if line["memory_mb"] else ""
    return line["contestant"], line["cpu_seconds"], memory, line["note"]


def _in_precisions(lines: list[Line]) -> Iterator[str]:
    yield f"{lines[0]['machine']}; {lines[0]['versions']}.\n"
    yield from _tables(lines, "task", ("clean (%)", "PGD (%)", "training (CPU seconds)"), _precise)


def _precise(line: Line) -> tuple[str, ...]:
    return line["contestant"], line["clean"], line["pgd"], line["cpu_seconds"], line["note"]


_ELSEWHERE = {
    "gpu": _on_a_gpu,
    "jobs": _of_jobs,
    "demo": _of_the_demo,
    "tape": _of_the_tape,
    "precision": _in_precisions,
}
"""The measurements that aren't in turns of one process."""


def _tables(
    lines: list[Line], by: str, numbers: Sequence[str], cells: Callable[[Line], Sequence[str]]
) -> Iterator[str]:
    """A table for each value of column ``by``: a name, the ``numbers``, a note."""
    for title, group in groupby(lines, key=lambda line: line[by]):
        yield f"**{title}**\n"
        yield f"| | {' | '.join(numbers)} | |"
        yield f"|---|{len(numbers) * '---:|'}---|"
        yield from (f"| {' | '.join(cells(line))} |" for line in group)
        yield ""
