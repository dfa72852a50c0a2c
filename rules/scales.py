"""The study of each results folder, and the artifact or the table that a rule's wildcards name."""

import json
import os
import re
import sys
from collections.abc import ItemsView, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ataka import plan
from ataka.errors import UserError
from ataka.plan import Cell, Node, Particles, Run, Shard, Tape
from ataka.study import Stage, Study, config
from ataka.study.config import HOME
from report import catalogue, pictures
from report.table import Table
from rules.mistakes import mistakes_stop

if TYPE_CHECKING:
    from snakemake.jobs import Job
    from snakemake.workflow import Workflow


class Wildcards(Protocol):
    """The parts of an output's path; a rule has those that its own output names."""

    root: str
    dataset: str
    split: str
    ensemble: str
    arch: str
    method: str
    seed: str
    part: str
    attack: str
    shard: str
    generator: str
    table: str
    picture: str

    def items(self) -> ItemsView[str, str]:
        """Name and text of each."""


class Scales:
    """Every scale's study and every table; ``overrides`` are the settings of the command line's ``--config``."""

    def __init__(self, overrides: Mapping[str, Any]) -> None:
        path = [str(HOME), *filter(None, [os.environ.get("PYTHONPATH")])]
        os.environ |= {  # the rules' shell commands use these
            "PYTHONPATH": os.pathsep.join(path),
            "PYTHON": sys.executable,
            "TEE": str(HOME / "ataka/machine/tee.py"),
            "SETTINGS": json.dumps(overrides),
        }
        self.studies: dict[str, Study] = {}
        self.tables: dict[str, None] = {}
        """The names of all tables of all scales."""
        self._mistakes: dict[str, UserError] = {}
        self._noted: set[str] = set()
        self._tables: dict[tuple[str, str], Table] = {}
        self._digests: dict[tuple[str, Node], str] = {}
        self._trained = lru_cache(maxsize=1)(self._run_settings)  # a network's cells are asked for one after the other
        for scale in config.scales():
            try:
                study = config.load(scale, overrides)
                self.tables |= dict.fromkeys(catalogue.names(catalogue.folders(study)))
                self.studies[plan.root_of(scale)] = study
            except UserError as error:  # perhaps right for another scale, and only that one is asked for
                self._mistakes[plan.root_of(scale)] = error
        with mistakes_stop():
            if not self.studies:
                asked = [root for root in self._mistakes if any(one.startswith(f"{root}/") for one in sys.argv)]
                raise self._mistakes[max(asked, key=len, default=plan.root_of(config.DEFAULT_SCALE))]
        self.roots = [plan.root_of(scale) for scale in config.scales()]
        self.any_root = "|".join(map(re.escape, self.roots))
        """A regular expression, as a wildcard's constraint; so are ``any_table`` and ``any_picture``."""
        self.any_table = "|".join(map(re.escape, self.tables))
        self.any_picture = "|".join(map(re.escape, pictures.names()))

    def study(self, wildcards: Wildcards) -> Study:
        """The study of the wildcards' results folder; UserError if its settings are wrong."""
        if wildcards.root in self._mistakes:
            raise self._mistakes[wildcards.root]
        return self.studies[wildcards.root]

    def settings(self, wildcards: Wildcards, node: Node) -> str:
        """The digest of an artifact's settings; UserError if the study has no such artifact."""
        place = wildcards.root, node.cell if isinstance(node, Shard) else node
        if place not in self._digests:  # a cell's rule asks, and so do the rules of all tables that hold the cell
            self._digests[place] = plan.digest(self._settings(wildcards.root, self.study(wildcards), place[1]))
        return self._digests[place]

    def _settings(self, root: str, study: Study, node: Node) -> dict[str, Any]:
        if not isinstance(node, Cell):
            return plan.settings_of(study, node)
        return plan.cell_settings(study, node, self._trained(root, node.run))

    def _run_settings(self, root: str, run: Run) -> dict[str, Any]:
        plan.require_known(self.studies[root], run)
        settings = plan.run_settings(self.studies[root], run)
        self._digests[root, run] = plan.digest(settings)  # the rule that trains the network asks, too
        return settings

    def table(self, wildcards: Wildcards) -> Table:
        """The table that the wildcards name; UserError if its YAML is wrong, which stops no other table."""
        place = wildcards.root, wildcards.table
        if place not in self._tables:
            self._tables[place] = catalogue.load(wildcards.table, catalogue.folders(self.study(wildcards)))
        return self._tables[place]

    def every_table(self, wildcards: Wildcards) -> list[Table]:
        """The tables that this study can make; why it leaves out each of the others is printed once."""
        study = self.study(wildcards)
        tables, reasons = catalogue.every(study)
        for reason in reasons:
            if reason not in self._noted:
                print(f"note: {wildcards.root}/all: {reason}", file=sys.stderr)
        self._noted |= {*reasons}
        if not tables:
            raise UserError(f"scale '{study.scale}' can make no table: {reasons[0] if reasons else 'there is none'}")
        return tables


def node_of(wildcards: Wildcards) -> Node:
    """The artifact that a rule's wildcards name."""
    if hasattr(wildcards, "ensemble"):
        return Tape(wildcards.dataset, wildcards.ensemble, int(wildcards.seed))
    network = wildcards.dataset, wildcards.arch, wildcards.method, int(wildcards.seed)
    if hasattr(wildcards, "generator"):
        return Particles(*network, wildcards.generator)
    if hasattr(wildcards, "shard"):
        return Shard(*network, wildcards.attack, *map(int, wildcards.shard.split("of")))
    if hasattr(wildcards, "attack"):
        return Cell(*network, wildcards.attack)
    return Run(*network, wildcards.part.removeprefix("/"))


def due(workflow: "Workflow", roots: Iterable[str]) -> list["Job"]:
    """The jobs to run that make files in results folders, unlike an outer workflow's rules with a wildcard `root`."""

    def ours(job: "Job") -> bool:
        root = getattr(job.wildcards, "root", None)
        return root in known and all(Path(output).is_relative_to(root) for output in job.output)

    known = set(roots)
    return [job for job in workflow.dag.needrun_jobs() if ours(job)]


def output_of(stage: Stage, wildcards: Wildcards) -> Path:
    """The file that a stage's command is told to make."""
    if stage == "prepare":
        return plan.data_file(wildcards.root, wildcards.dataset, wildcards.split)
    if stage == "select":
        return Run(wildcards.dataset, wildcards.arch, wildcards.method, 0).choice(wildcards.root)
    return plan.file_of(node_of(wildcards), wildcards.root)
