"""An audited network beside the networks of a study, image by image: refused unless they were attacked alike."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ataka import plan
from ataka.errors import UserError, remedied
from ataka.files import provenance
from ataka.files.records import read_rows
from ataka.plan import Cell, commands, digests
from ataka.study import Study, config
from report import names
from report.accuracies import measurements
from report.accuracies.measurements import Bits
from report.evidence import bits
from report.statistics import PairedBits, holm

if TYPE_CHECKING:
    from ataka.datasets.images import Split

_LISTED = 10


class Rival(NamedTuple):
    """A cell of the study, the verdicts of its network, and the network's names: of its section, and in it."""

    cell: Cell
    section: str
    label: str
    bits: Bits


@dataclass(frozen=True)
class Rivals:
    """The study's cells for each of the audit's cells, and the reasons against others of the study."""

    root: str
    cells: Mapping[Cell, Sequence[Rival]]
    refused: Sequence[str]


@dataclass(frozen=True)
class Difference:
    """The audited network against one of the study, on the same images, in points of accuracy."""

    cell: Cell
    section: str
    label: str
    ours: float
    theirs: float
    sample: PairedBits
    p_holm: float

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % confidence interval of the difference, in points."""
        return self.sample.interval(0.95)


@dataclass(frozen=True)
class Comparison:
    """All differences from the networks of the results folder ``root``."""

    root: str
    differences: Sequence[Difference]
    refused: Sequence[str]


def require_results(root: str) -> None:
    """UserError unless ``root`` is a folder, and this is a checkout, which a study's results need."""
    if provenance.HOME == provenance.PACKAGED:
        raise UserError(
            "--against compares with the rows of a study, whose settings lie in the checkout: run it there "
            "(git clone), as .venv/bin/python -m ataka audit"
        )
    if not Path(root).is_dir():
        raise UserError(f"--against {root}: there is no such folder of results")


def rivals(
    study: Study, cells: Sequence[Cell], sha256: str, split: "Split", root: str, overrides: Mapping[str, Any]
) -> Rivals:
    """The cells below ``root`` that the audit's ``cells``, of the network with this digest, may be compared with.

    Raises UserError, naming each difference, unless test images, budget, settings and code of the attacks are the same;
    and if nothing is there to compare with.
    """
    theirs = config.load(plan.scale_of(root), overrides)
    found: dict[Cell, list[Rival]] = {}
    problems: dict[str, None] = {}
    refused: dict[str, None] = {}
    for cell in cells:
        for path in sorted(Path(root, "cells", cell.dataset).rglob(f"{cell.attack}.csv")):
            try:
                other, rival = _rival(theirs, root, path)
            except UserError as error:
                refused[str(error)] = None
                continue
            if _is_itself(theirs, rival.cell, other, sha256):
                refused[f"{rival.section}, {rival.label}, seed {rival.cell.seed}: the audited network itself"] = None
                continue
            unlike = [*_unlike(study, cell, split, theirs, other)]
            problems |= dict.fromkeys(unlike)
            found.setdefault(cell, []).append(rival)
    if problems:
        few = [*problems][:_LISTED]
        more = [f"... and {len(problems) - _LISTED} more"] if len(problems) > _LISTED else []
        raise UserError(
            "\n".join([f"{root} can't be compared with this audit, which differs in", *few, *more, _remedy(root)])
        )
    if not found:
        attacks = ", ".join(cell.attack for cell in cells)
        reasons = [*refused] or [f"it has no cell of {cells[0].dataset} under {attacks}"]
        raise UserError(f"{root} has nothing to compare with: {reasons[0]}")
    return Rivals(root, found, [*refused])


def compare(audited: Mapping[Cell, Bits], others: Rivals) -> Comparison:
    """Every difference: McNemar's exact test, two-sided, by Holm's correction over all of them."""
    pairs = [(cell, rival) for cell in audited for rival in others.cells.get(cell, ())]
    pairs.sort(key=lambda pair: (pair[1].cell.arch, pair[1].cell.method, pair[1].cell.seed))
    samples = [_sample(audited[cell], rival.bits) for cell, rival in pairs]
    adjusted = holm([min(1.0, 2 * min(sample.p_above(), sample.p_below())) for sample in samples])
    differences = [
        Difference(
            rival.cell, rival.section, rival.label, 100 * audited[cell].mean(), 100 * rival.bits.mean(), sample, p
        )
        for (cell, rival), sample, p in zip(pairs, samples, adjusted, strict=True)
    ]
    return Comparison(others.root, differences, others.refused)


def _sample(ours: Bits, theirs: Bits) -> PairedBits:
    return PairedBits(100.0 * ours - 100.0 * theirs, reach=100.0)


def _rival(theirs: Study, root: str, path: Path) -> tuple[dict[str, str], Rival]:
    """The row of a cell that holds under the study's settings in force, and its network's verdicts."""
    _, node = plan.parse(path)
    assert isinstance(node, Cell)
    plan.require_known(theirs, node)
    with remedied(f"measure it again: {commands.snakemake(theirs, path, force=True)}"):
        verdicts = bits(theirs, root, node)
    section = f"{names.dataset(node.dataset, theirs)}, {names.arch(node.arch)}"
    (row,) = read_rows(path, measurements.COLUMNS)
    return row, Rival(node, section, names.told_apart(node.method, theirs), verdicts)


def _is_itself(theirs: Study, cell: Cell, row: Mapping[str, str], sha256: str) -> bool:
    """Whether a cell of the study is of the audited file: a run's weights, or the file that a run was imported from."""
    entry = plan.checkpoint(theirs, cell.run)
    return sha256 in (row["model_sha256"], entry.sha256 if entry else None)


def _unlike(study: Study, cell: Cell, split: "Split", theirs: Study, other: Mapping[str, str]) -> Iterator[str]:
    """The differences between the audit's ``cell`` and a cell of the study, in words."""
    mine, its = study.attack(cell.attack).settings, theirs.attack(cell.attack).settings
    for name in [*mine, *(name for name in its if name not in mine)]:
        if name != "images" and mine.get(name) != its.get(name):
            yield f"- {cell.attack}.{name}: {mine.get(name)} here, {its.get(name)} there"
    count = mine["images"] or len(split)
    if count != int(other["n"]):
        yield f"- {cell.attack}.images: {count} here, {other['n']} there"
    images = split.digest()
    if images != other["data_sha256"]:
        yield f"- the test images of {cell.dataset}: {_short(images)} here, {_short(other['data_sha256'])} there"
    if study.speed != theirs.speed:
        yield f"- speed: {study.speed.model_dump()} here, {theirs.speed.model_dump()} there"
    code = digests.code_digest(plan.code_of(study, cell))
    if code != other["code_sha256"]:
        yield f"- the code of {cell.attack}: {_short(code)} here, {_short(other['code_sha256'])} there"


def _short(digest: str) -> str:
    return digest[:12]


def _remedy(root: str) -> str:
    return f"Audit under the study's own settings: --scale {plan.scale_of(root)}, without --eps and --images"
