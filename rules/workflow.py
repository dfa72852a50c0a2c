"""What the rules ask: which study a results folder is, what an artifact is made from, what decides its bytes.

The rules hold no logic; everything here is a short answer from ataka.plan (artifacts) and report.tables (tables).
"""

import json
import os
import re
import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ataka import config, models, plan
from ataka.config import HOME, Study
from ataka.errors import UserError, nearest
from ataka.plan import Cell, Run, Tape
from ataka.provenance import code_digest
from report import tables


class Workflow:
    """Answers for every scale at once; ``overrides`` is what the command line's ``--config`` says."""

    def __init__(self, overrides: Mapping[str, Any]) -> None:
        os.environ["PYTHONPATH"] = os.pathsep.join([str(HOME), *filter(None, [os.environ.get("PYTHONPATH")])])
        try:
            self._studies = {plan.root_of(scale): config.load(scale, overrides) for scale in config.scales()}
            self._tables = {name: tables.load(name) for name in tables.names()}
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(2)
        self.ataka = f"{shlex.quote(sys.executable)} -m ataka"
        self.report = f"{shlex.quote(sys.executable)} -m report"
        self.overrides = f"--config {shlex.quote(json.dumps(overrides))}" if overrides else ""
        self.roots = "|".join(map(re.escape, self._studies))
        self.tables = "|".join(map(re.escape, self._tables))

    def study(self, wildcards: Any) -> Study:
        return self._studies[wildcards.root]

    # ---- what an artifact is made from

    def made_from(self, wildcards: Any) -> list[str]:
        """Members of an average; the tape of a student; for a chosen alpha the choice, too."""
        study, run = self.study(wildcards), self._run(wildcards)
        _require_known(study, run.dataset, run.arch, run.method)
        paths = [self._file(needed, wildcards.root) for needed in plan.needs(study, run)]
        if plan.tuned(study.method(run.method)) and not run.part:
            paths.append(str(run.choice(wildcards.root)))
        return paths

    def candidates(self, wildcards: Any) -> list[str]:
        study, run = self.study(wildcards), self._selected(wildcards)
        return [self._file(candidate, wildcards.root) for candidate in plan.candidates(study, run)]

    def selection_data(self, wildcards: Any) -> str:
        part = "test" if self.study(wildcards).selection.split == "test" else "train"
        return f"{wildcards.root}/data/{wildcards.dataset}/{part}.safetensors"

    def cells(self, wildcards: Any) -> list[str]:
        found = self._table(wildcards).cells(self.study(wildcards))
        return [str(cell.csv(wildcards.root)) for cell in found]

    def choices(self, wildcards: Any) -> list[str]:
        found = self._table(wildcards).tuned_runs(self.study(wildcards))
        return [str(run.choice(wildcards.root)) for run in found]

    def all_tables(self, wildcards: Any) -> list[str]:
        return [f"{wildcards.root}/{name}.tex" for name in self._tables]

    # ---- what decides an artifact's bytes

    def settings(self, wildcards: Any, output: Any) -> str:
        study, (_, node) = self.study(wildcards), plan.parse(output[0])
        if isinstance(node, Tape):
            return plan.digest(plan.tape_settings(study, node))
        if isinstance(node, Run):
            return plan.digest(plan.run_settings(study, node))
        return plan.digest(plan.cell_settings(study, node))

    def code(self, wildcards: Any, output: Any) -> str:
        study, (_, node) = self.study(wildcards), plan.parse(output[0])
        if isinstance(node, Tape):
            return code_digest(plan.tape_code(study, node))
        if isinstance(node, Run):
            return code_digest(plan.run_code(study, node))
        return code_digest(plan.attack_code(study, node.attack))

    def data_settings(self, wildcards: Any) -> str:
        return plan.digest(plan.data_settings(self.study(wildcards), wildcards.dataset, wildcards.split))

    def data_code(self, wildcards: Any) -> str:
        return code_digest(["ataka.data"])

    def selection_settings(self, wildcards: Any) -> str:
        return plan.digest(plan.selection_settings(self.study(wildcards)))

    def selection_code(self, wildcards: Any) -> str:
        return code_digest(["ataka.evaluation", "ataka.attacks.pgd"])

    def table_settings(self, wildcards: Any) -> str:
        study = self.study(wildcards)
        cells = self._table(wildcards).cells(study)
        return plan.digest([plan.cell_settings(study, cell) for cell in cells])

    def layout(self, wildcards: Any) -> str:
        """What a table's look depends on beside its cells: its YAML, the labels, the sentence about the scale."""
        study, table = self.study(wildcards), self._table(wildcards)
        labels = {name: study.methods[name].label for name in study.methods}
        return plan.digest([table.model_dump(mode="json"), labels, study.about, study.stand_ins])

    def report_code(self, module: str) -> Callable[[Any], str]:
        templates = sorted((HOME / "report/templates").glob("*"))
        content = "".join(path.read_text(encoding="utf-8") for path in templates if path.is_file())
        return lambda wildcards: plan.digest([code_digest([module]), content])

    def missing(self, wildcards: Any) -> list[str]:
        """Cells that a finished table has lost: Snakemake alone would not notice."""
        if not Path(wildcards.root, f"{wildcards.table}.csv").exists():
            return []
        return [path for path in self.cells(wildcards) if not Path(path).exists()]

    def existing_cells(self, wildcards: Any) -> str:
        """Which cells there are, and when they were made: what cells.csv depends on."""
        files = sorted(Path(wildcards.root, "cells").rglob("*.csv"))
        return plan.digest([[str(path), path.stat().st_mtime_ns] for path in files])

    # ---- what a job asks of the machine

    def threads(self, wildcards: Any) -> int:
        return self.study(wildcards).threads

    def gpu(self, stage: str) -> Callable[[Any], int]:
        return lambda wildcards: self.study(wildcards).resources[stage].gpu  # type: ignore[index]

    def mem_mb(self, stage: str) -> Callable[[Any], int]:
        return lambda wildcards: self.study(wildcards).resources[stage].mem_mb  # type: ignore[index]

    def runtime(self, stage: str) -> Callable[[Any], int]:
        return lambda wildcards: self.study(wildcards).resources[stage].runtime  # type: ignore[index]

    # ---- before the first job

    def announce(self, workflow: Any) -> None:
        """Say what is about to be done and what it will cost; stop a study of days that has no GPU."""
        from ataka import cost  # measures this machine, so it needs torch

        paths = [str(job.output[0]) for job in workflow.dag.needrun_jobs() if job.output]
        try:
            for root, study in self._studies.items():
                nodes = [node for node in map(_node, paths) if node and node[0] == root]
                if nodes:
                    cost.announce(study, [node for _, node in nodes], local=workflow.local_exec)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(2)

    # ----

    def _run(self, wildcards: Any) -> Run:
        part = wildcards.part.removeprefix("/")
        return Run(wildcards.dataset, wildcards.arch, wildcards.method, int(wildcards.seed), part)

    def _selected(self, wildcards: Any) -> Run:
        seed = self.study(wildcards).seeds[0]
        return Run(wildcards.dataset, wildcards.arch, wildcards.method, seed)

    def _table(self, wildcards: Any) -> tables.Table:
        return self._tables[wildcards.table]

    def _file(self, node: Tape | Run | Cell, root: str) -> str:
        if isinstance(node, Tape):
            return str(node.manifest(root))
        return str(node.model(root) if isinstance(node, Run) else node.csv(root))


def _node(path: str) -> tuple[str, Tape | Run | Cell] | None:
    try:
        return plan.parse(path)
    except UserError:
        return None


def _require_known(study: Study, dataset: str, arch: str, method: str) -> None:
    from ataka.data import DATASETS

    study.method(method)
    if dataset not in DATASETS:
        raise UserError(f"no data set '{dataset}'{nearest(dataset, DATASETS)}")
    try:
        models.check(arch)
    except ValueError as error:
        raise UserError(str(error)) from None
