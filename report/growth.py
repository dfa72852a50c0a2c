"""How the work of AT-AKA grows at the paper's scale, counted (docs/growth.md): nothing here is measured.

The unit is a multiply-accumulate of the training of one seed on CIFAR-10 with ResNet-18 students, of which a table's
AT-AKA rows are made: one tape, and a student for each amalgamation and alpha.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ataka import plan
from ataka.plan import Run, Tape
from ataka.study import Study, config
from report.forecast.devices import operations

PAGE = config.HOME / "docs/growth.md"
DATASET, STUDENT, METHOD = "cifar10", "resnet18", "s-at-aka"
STUDENTS = ("resnet18", "mobilenetv2")
AMALGAMATIONS = ("n-at-aka", "l-at-aka", "s-at-aka", "p-at-aka")
PETA = 1e15


def page() -> str:
    """The text of docs/growth.md."""
    return "\n".join([*_head(), *_images(), "", *_teachers(), "", *_students(), ""])


def work(study: Study, nodes: Iterable[Tape | Run]) -> float:
    """The multiply-accumulates of the trainings of ``nodes``, a backward as its forwards (plan/work.py)."""
    return sum(
        one.forwards * operations(study, one.arch, one.dataset) for node in nodes for one in plan.work_of(study, node)
    )


def tape(study: Study) -> Tape:
    """The tape that the students of docs/growth.md replay."""
    node = plan.tape_of(study, Run(DATASET, STUDENT, METHOD, 0))
    assert node is not None
    return node


def students(study: Study, amalgamations: Sequence[str], alphas: int, archs: Sequence[str] = (STUDENT,)) -> list[Run]:
    """A candidate for each amalgamation, network and alpha of the grid's first ``alphas``."""
    grid = study.selection.alphas[:alphas]
    return [
        Run(DATASET, arch, method, 0, f"alpha{alpha:g}") for arch in archs for method in amalgamations for alpha in grid
    ]


def _head() -> Iterator[str]:
    yield "# How the cost grows"
    yield ""
    yield "Multiply-accumulates (10^15) of one seed on CIFAR-10 at the paper's scale, counted by `ataka/plan/work.py`,"
    yield "not measured. This page is generated: `.venv/bin/python -m report growth`."
    yield ""


def _images() -> Iterator[str]:
    yield "**Training images.** Recording of three teachers, and training of one ResNet-18 student on their tape."
    yield ""
    yield from _table("images", (9_000, 22_500, 45_000), lambda count: {"data": {"train": count}})


def _teachers() -> Iterator[str]:
    yield "**Teachers.** The same for n teachers and 45,000 images."
    yield ""
    yield from _table("n", (1, 2, 3, 4), lambda count: {"methods": {METHOD: {"ensemble": {"n": count}}}})


def _table(name: str, values: Sequence[int], overrides: Any) -> Iterator[str]:
    """A row for each of ``values``, with the work relative to the first."""
    yield from (f"| {name} | recording | relative | tape (GB) | a student |", "|---:|---:|---:|---:|---:|")
    first = 0.0
    for value in values:
        study = config.load(overrides=overrides(value))
        recorded = work(study, [tape(study)])
        first = first or recorded
        size, student = plan.tape_bytes(study, tape(study)) / 1e9, work(study, students(study, [METHOD], 1))
        yield (f"| {value:,} | {recorded / PETA:,.0f} | {recorded / first:.2f} | {size:.2f} | {student / PETA:,.1f} |")


def _students() -> Iterator[str]:
    study = config.load()
    recorded = work(study, [tape(study)])
    yield "**Amalgamations, alphas and students.** With the tape the teachers train once; online they train with each"
    yield "student."
    yield ""
    yield "| amalgamations | alphas | networks | students | with the tape | online | online / tape |"
    yield "|---:|---:|---:|---:|---:|---:|---:|"
    for psis, alphas, archs in ((1, 1, 1), (4, 1, 1), (1, 5, 1), (4, 5, 1), (4, 5, 2)):
        trained = students(study, AMALGAMATIONS[:psis], alphas, STUDENTS[:archs])
        theirs = work(study, trained)
        with_tape, online = recorded + theirs, len(trained) * recorded + theirs
        yield (
            f"| {psis} | {alphas} | {archs} | {len(trained)} | {with_tape / PETA:,.0f} | {online / PETA:,.0f} | "
            f"{online / with_tape:.1f} |"
        )
