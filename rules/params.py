"""The digests that make a rule run again: of the settings and of the code that decide its output's bytes.

Each asks for the wildcards alone: Snakemake does not watch a param whose function takes `output`.
"""

import ast
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ataka import plan
from ataka.plan import Cell
from ataka.plan.code import Module
from ataka.plan.digests import code_digest
from ataka.study import Study
from ataka.study.config import HOME
from report import catalogue, names, pictures, union
from report.claims import sentences
from report.sources import Source
from report.table import Table
from rules.mistakes import mistakes_stop
from rules.scales import Scales, Wildcards, node_of

if TYPE_CHECKING:
    from snakemake.workflow import Workflow

_MISSING = "missing from what was made"
"""Opens the param that names lost measurements; their report's time follows, so that the next loss is another one."""


class RuleParams:
    """Each method is the function of a param: wildcards to a digest, or to text."""

    def __init__(self, scales: Scales) -> None:
        self._scales = scales

    @mistakes_stop()
    def settings(self, wildcards: Wildcards) -> str:
        """Digest of the settings of a tape, run, cell or measurement of particles."""
        return self._scales.settings(wildcards, node_of(wildcards))

    @mistakes_stop()
    def code(self, wildcards: Wildcards) -> str:
        """Digest of the code of a tape, run, cell or measurement of particles."""
        return code_digest(plan.code_of(self._scales.study(wildcards), node_of(wildcards)))

    @mistakes_stop()
    def data_settings(self, wildcards: Wildcards) -> str:
        """Digest of the settings of prepared images."""
        return plan.digest(plan.data_settings(self._scales.study(wildcards), wildcards.dataset, wildcards.split))

    @mistakes_stop()
    def data_code(self, wildcards: Wildcards) -> str:
        """Digest of the code that prepares images."""
        return code_digest(plan.data_code(self._scales.study(wildcards), wildcards.dataset))

    @mistakes_stop()
    def selection_settings(self, wildcards: Wildcards) -> str:
        """Digest of the settings of a choice of alpha."""
        return plan.digest(plan.selection_settings(self._scales.study(wildcards), wildcards.method))

    def selection_code(self, wildcards: Wildcards) -> str:
        """Digest of the code of a choice of alpha."""
        return code_digest(plan.selection_code(self._scales.study(wildcards)))

    @mistakes_stop()
    def table_settings(self, wildcards: Wildcards) -> str:
        """Digest of the settings of all measurements of a table, and of the words for them."""
        study = self._scales.study(wildcards)
        sources = self._scales.table(wildcards).sources(study)
        settings = [self._scales.settings(wildcards, source) for source in sources]
        return plan.digest([settings, _words(study, sources)])

    @mistakes_stop()
    def layout(self, wildcards: Wildcards) -> str:
        """A table's look depends on these beside its numbers: its YAML, its labels, the sentence about the scale."""
        return plan.digest(_look(self._scales.study(wildcards), self._scales.table(wildcards)))

    @mistakes_stop()
    def union_settings(self, wildcards: Wildcards) -> str:
        """Digest of the settings of all cells behind the union of attacks."""
        study = self._scales.study(wildcards)
        return plan.digest([self._scales.settings(wildcards, cell) for cell in union.sources(study)])

    def union_code(self, _wildcards: Wildcards) -> str:
        """Digest of the code and the words of the union."""
        return code_digest(["report.union"], words=True)

    @mistakes_stop()
    def claims_settings(self, wildcards: Wildcards) -> str:
        """The claims, the measurements that they need, and the words of this scale that their pages print."""
        study, claims = self._scales.study(wildcards), sentences.load()
        sources = sentences.sources(study, claims)
        needed = [self._scales.settings(wildcards, source) for source in sources]
        printed = [claim.sentence.model_dump(mode="json") for claim in claims]
        labels = _labels(study, sources) | {name: method.label for name, method in study.methods.items()}
        return plan.digest([needed, printed, labels, _words(study, sources), study.about, study.stand_ins])

    def claims_code(self, _wildcards: Wildcards) -> str:
        """Digest of the code, the words and the templates of the claims."""
        modules = ["report.claims.judge", "report.claims.claims_page"]
        return plan.digest([code_digest(modules, words=True), _templates()])

    @mistakes_stop()
    def picture_settings(self, wildcards: Wildcards) -> str:
        """The files of a picture, and the words of this scale that its labels and caption print."""
        study = self._scales.study(wildcards)
        files = pictures.files(study, wildcards.root, wildcards.picture)
        labels = {name: method.label for name, method in study.methods.items()}
        return plan.digest([[*map(str, files)], labels, study.about, study.stand_ins, list(study.seeds)])

    def picture_code(self, wildcards: Wildcards) -> str:
        """Digest of the code, the words and the style of a picture."""
        code = code_digest([f"report.pictures.{wildcards.picture}", "report.pictures._drawing"], words=True)
        return plan.digest([code, pictures.STYLE.read_text(encoding="utf-8")])

    @mistakes_stop()
    def gallery_settings(self, wildcards: Wildcards) -> str:
        """Digest of the pictures' names and of the scale's description."""
        study = self._scales.study(wildcards)
        return plan.digest([*pictures.every(study), study.about])

    def gallery_code(self, _wildcards: Wildcards) -> str:
        """Digest of the code and the words of every picture."""
        return code_digest([f"report.pictures.{name}" for name in pictures.names()], words=True)

    @mistakes_stop()
    def html_settings(self, wildcards: Wildcards) -> str:
        """The looks of all tables, the words of the claims, and the scale's pictures."""
        study, tables = self._scales.study(wildcards), self._scales.every_table(wildcards)
        looks = [_look(study, table) for table in tables]
        left_out = catalogue.every(study)[1]
        return plan.digest([looks, self.claims_settings(wildcards), left_out, pictures.every(study)])

    def html_code(self, _wildcards: Wildcards) -> str:
        """Digest of the code, the words, the scripts and the templates of the HTML page."""
        return plan.digest([code_digest(["report.html.build"], words=True), _texts("report/html"), _templates()])

    def collect_code(self, _wildcards: Wildcards) -> str:
        """Digest of the code and the words that collect a table."""
        return code_digest(["report.collect", "report.catalogue"], words=True)

    def render_code(self, _wildcards: Wildcards) -> str:
        """Digest of the code, the words and the templates of a table's pages."""
        return plan.digest([code_digest(["report.render"], words=True), _templates()])

    def booklet_code(self, _wildcards: Wildcards) -> str:
        """Digest of the code, the words and the templates of the booklet."""
        return plan.digest([code_digest(["report.booklet"], words=True), _templates()])

    def existing_cells(self, wildcards: Wildcards) -> str:
        """All cells below the results folder, and when they were made: cells.csv depends on these."""
        files = sorted(Path(wildcards.root, "cells").rglob("*.csv"))
        return plan.digest([[str(path), path.stat().st_mtime_ns] for path in files])


def missing(
    workflow: "Workflow", made: str, needed: Callable[[Wildcards], list[str]]
) -> Callable[[Wildcards], list[str]]:
    """Inputs of the finished file ``made`` that have been deleted since, and when that file was made.

    As a param they trigger a re-run, which Snakemake alone would not do. Once they are made anew nothing is missing;
    so that this change doesn't make the file a second time, the param that Snakemake recorded at the last time stands
    until something is missing again.
    """

    from snakemake.io import IOFile

    def missing(wildcards: Wildcards) -> list[str]:
        path = Path(wildcards.root, made.format(**dict(wildcards.items())))
        if not path.exists():
            return []
        lost = [source for source in needed(wildcards) if not Path(source).exists()]
        if lost:
            return [f"{_MISSING} {path.stat().st_mtime_ns}", *lost]
        recorded = workflow.persistence.params(IOFile(str(path))) or []
        return next((ast.literal_eval(text) for text in recorded if text.startswith(f"['{_MISSING}")), [])

    return missing


def _look(study: Study, table: Table) -> list[object]:
    """Its YAML, its labels, the words of its attacks, the sentence about the scale, the stand-ins."""
    labels = {name: study.method(name).label for name in table.methods(study)}
    labels |= _labels(study, table.sources(study))
    words = _words(study, table.sources(study))
    return [table.model_dump(mode="json"), labels, words, study.about, study.stand_ins]


def _labels(study: Study, sources: Iterable[Source]) -> dict[str, str]:
    """The printed names of the data sets and networks of ``sources``, and of those that they stand for."""
    used = {name for source in sources for name in (source.dataset, source.arch)}
    return names.labels(study, used.union(study.stand_ins, filter(None, study.stand_ins.values())))


def _words(study: Study, sources: Iterable[Source]) -> dict[str, list[object]]:
    """The words of the attacks' modules for tables, and the checks of the attacks' numbers."""
    attacks = sorted({source.attack for source in sources if isinstance(source, Cell)})
    return {name: study.attack(name).words for name in attacks}


@cache
def _templates() -> tuple[str, ...]:
    """The templates of pages, and the module that sets their words, which lies in a room that is never hashed."""
    return (*_texts("report/templates"), Module(HOME / "ataka/study/words.py", "ataka.study.words").worded)


def _texts(folder: str) -> list[str]:
    """The files of a folder of the repository that are no modules."""
    files = [path for path in sorted((HOME / folder).iterdir()) if path.is_file() and path.suffix != ".py"]
    return [path.read_text(encoding="utf-8") for path in files]
