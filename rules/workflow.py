"""What the rules ask: which study a results folder is, what an artifact is made from, what decides its bytes.

The rules hold no logic; everything here is a short answer from ataka.plan (artifacts) and report.catalogue (tables).
"""

import ast
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ataka import datasets, plan
from ataka.errors import UserError, nearest
from ataka.machine import warm
from ataka.plan import Cell, Node, Particles, Run, Tape
from ataka.plan.digests import code_digest
from ataka.study import Study, config
from ataka.study.config import HOME
from report import catalogue, evidence, union
from report.claims import sentences
from report.sources import Source
from report.table import Table
from rules.mistakes import mistakes_stop

_STAGES = [f"ataka.stages.{verb}" for verb in ("prepare", "record", "train", "select", "evaluate", "particles")]
"""What a process that forks jobs loads beforehand."""
_MISSING = "missing from what was made"
"""Opens the param that names lost measurements; their report's time follows, so that the next loss is another one."""


class Workflow:
    """Answers for every scale at once; ``overrides`` is what the command line's ``--config`` says."""

    def __init__(self, overrides: Mapping[str, Any]) -> None:
        path = [str(HOME), *filter(None, [os.environ.get("PYTHONPATH")])]
        os.environ |= {  # what the rules' shell commands use
            "PYTHONPATH": os.pathsep.join(path),
            "PYTHON": sys.executable,
            "SETTINGS": json.dumps(overrides),
        }
        self._warm: warm.Server | None = None
        self._studies: dict[str, Study] = {}
        self._mistakes: dict[str, UserError] = {}
        for scale in config.scales():
            try:
                self._studies[plan.root_of(scale)] = config.load(scale, overrides)
            except UserError as error:  # perhaps right for another scale, and only that one is asked for
                self._mistakes[plan.root_of(scale)] = error
        with mistakes_stop():
            if not self._studies:
                asked = [root for root in self._mistakes if any(one.startswith(f"{root}/") for one in sys.argv)]
                raise self._mistakes[max(asked, key=len, default=plan.root_of(config.DEFAULT_SCALE))]
            self._tables = {name: catalogue.load(name) for name in catalogue.names()}
        self.all_roots = [plan.root_of(scale) for scale in config.scales()]
        self.roots = "|".join(map(re.escape, self.all_roots))
        self.tables = "|".join(map(re.escape, self._tables))

    @mistakes_stop()
    def study(self, wildcards: Any) -> Study:
        if wildcards.root in self._mistakes:
            raise self._mistakes[wildcards.root]
        return self._studies[wildcards.root]

    # ---- what an artifact is made from

    @mistakes_stop()
    def made_from(self, wildcards: Any) -> list[str]:
        """Members of an average, a student's tape or teachers; the choice of alpha, or the images to choose by."""
        study, node = self.study(wildcards), _node(wildcards)
        if isinstance(node, Tape):
            return _files(plan.needs(study, node), wildcards.root)
        run = _run(wildcards)
        plan.parse(run.model(wildcards.root))  # refuses another name of it, such as alpha0.50
        plan.require_known(study, run)
        paths = _files(plan.needs(study, run), wildcards.root)
        method = study.method(run.method)
        if plan.tuned(method) and not run.part:
            paths.append(str(run.choice(wildcards.root)))
        if method.member == "chosen":
            paths.append(self.selection_data(wildcards))
        return paths

    @mistakes_stop()
    def network(self, wildcards: Any) -> str:
        """What is attacked or measured; a misspelt attack is refused here, before anything is trained for it."""
        study, node = self.study(wildcards), _node(wildcards)
        assert isinstance(node, Cell | Particles)
        plan.require_known(study, node.run)
        plan.settings_of(study, node)
        return str(node.run.model(wildcards.root))

    @mistakes_stop()
    def candidates(self, wildcards: Any) -> list[str]:
        study, run = self.study(wildcards), self._selected(wildcards)
        return _files(plan.candidates(study, run), wildcards.root)

    @mistakes_stop()
    def selection_data(self, wildcards: Any) -> str:
        part = "test" if self.study(wildcards).selection_of(wildcards.method).split == "test" else "train"
        return f"{wildcards.root}/data/{wildcards.dataset}/{part}.safetensors"

    @mistakes_stop()
    def sources(self, wildcards: Any) -> list[str]:
        """What a table collects: cells, or the measurements of particles."""
        found = self._table(wildcards).sources(self.study(wildcards))
        return [str(source.csv(wildcards.root)) for source in found]

    @mistakes_stop()
    def choices(self, wildcards: Any) -> list[str]:
        found = self._table(wildcards).tuned_runs(self.study(wildcards))
        return [str(run.choice(wildcards.root)) for run in found]

    def collected(self, wildcards: Any) -> list[str]:
        return self.sources(wildcards) + self.choices(wildcards)

    @mistakes_stop()
    def union_inputs(self, wildcards: Any) -> list[str]:
        """The cells of every table, and their bits."""
        return _evidence(union.sources(self.study(wildcards)), wildcards.root)

    @mistakes_stop()
    def claims_inputs(self, wildcards: Any) -> list[str]:
        """The cells, their bits and the particles that the claims compare."""
        return _evidence(sentences.sources(self.study(wildcards), sentences.load()), wildcards.root)

    def all_tables(self, wildcards: Any) -> list[str]:
        return [f"{wildcards.root}/{name}.tex" for name, table in self._tables.items() if not table.on_request]

    # ---- what decides an artifact's bytes

    # Each asks for the wildcards alone: Snakemake does not watch a param whose function takes `output`.

    @mistakes_stop()
    def settings(self, wildcards: Any) -> str:
        study = self.study(wildcards)
        return plan.digest(plan.settings_of(study, _node(wildcards)))

    @mistakes_stop()
    def code(self, wildcards: Any) -> str:
        return code_digest(plan.code_of(self.study(wildcards), _node(wildcards)))

    @mistakes_stop()
    def data_settings(self, wildcards: Any) -> str:
        datasets.specification(wildcards.dataset)  # refuses one that there is not
        return plan.digest(plan.data_settings(self.study(wildcards), wildcards.dataset, wildcards.split))

    def data_code(self, wildcards: Any) -> str:
        return code_digest(["ataka.datasets.splits", "ataka.datasets.cifar", "ataka.datasets.digits"])

    @mistakes_stop()
    def selection_settings(self, wildcards: Any) -> str:
        return plan.digest(plan.selection_settings(self.study(wildcards), wildcards.method))

    def selection_code(self, wildcards: Any) -> str:
        return code_digest(plan.selection_code(self.study(wildcards)))

    @mistakes_stop()
    def table_settings(self, wildcards: Any) -> str:
        study = self.study(wildcards)
        sources = self._table(wildcards).sources(study)
        return plan.digest([plan.settings_of(study, source) for source in sources])

    @mistakes_stop()
    def layout(self, wildcards: Any) -> str:
        """What a table's look depends on beside its numbers: its YAML, its labels, the sentence about the scale."""
        study, table = self.study(wildcards), self._table(wildcards)
        labels = {name: study.method(name).label for name in table.methods(study)}
        return plan.digest([table.model_dump(mode="json"), labels, study.about, study.stand_ins])

    @mistakes_stop()
    def union_settings(self, wildcards: Any) -> str:
        study = self.study(wildcards)
        return plan.digest([plan.settings_of(study, cell) for cell in union.sources(study)])

    def union_code(self, wildcards: Any) -> str:
        return code_digest(["report.union"])

    @mistakes_stop()
    def claims_settings(self, wildcards: Any) -> str:
        """What the claims are, the measurements that they need, and what their pages print of this scale."""
        study, claims = self.study(wildcards), sentences.load()
        needed = [plan.settings_of(study, source) for source in sentences.sources(study, claims)]
        said = [one.sentence.model_dump(mode="json") for one in claims]
        labels = {name: method.label for name, method in study.methods.items()}
        return plan.digest([needed, said, labels, study.about, study.stand_ins])

    def claims_code(self, wildcards: Any) -> str:
        return plan.digest([code_digest(["report.claims.judge", "report.claims.page"]), _templates("claims")])

    def collect_code(self, wildcards: Any) -> str:
        return code_digest(["report.collect", "report.catalogue"])

    def render_code(self, wildcards: Any) -> str:
        return plan.digest([code_digest(["report.render"]), _templates("table")])

    def missing(self, workflow: Any, made: str, needed: Callable[[Any], list[str]]) -> Callable[[Any], list[str]]:
        """What a finished file has lost of what it ``needed``, and when it was made: Snakemake alone would not notice.

        Once they are made anew nothing is missing. So that this change doesn't make the file a second time, what
        Snakemake recorded at the last time stands until something is missing again.
        """

        from snakemake.io import IOFile

        def missing(wildcards: Any) -> list[str]:
            path = Path(wildcards.root, made.format(**dict(wildcards.items())))
            if not path.exists():
                return []
            lost = [one for one in needed(wildcards) if not Path(one).exists()]
            if lost:
                return [f"{_MISSING} {path.stat().st_mtime_ns}", *lost]
            recorded = workflow.persistence.params(IOFile(str(path))) or []
            return next((ast.literal_eval(text) for text in recorded if text.startswith(f"['{_MISSING}")), [])

        return missing

    def existing_cells(self, wildcards: Any) -> str:
        """Which cells there are, and when they were made: what cells.csv depends on."""
        files = sorted(Path(wildcards.root, "cells").rglob("*.csv"))
        return plan.digest([[str(path), path.stat().st_mtime_ns] for path in files])

    # ---- what a job asks of the machine

    @mistakes_stop()
    def threads(self, wildcards: Any) -> int:
        return self.study(wildcards).threads

    def gpu(self, stage: str) -> Callable[[Any], int]:
        return lambda wildcards: self.study(wildcards).resources[stage].gpu  # type: ignore[index]

    def mem_mb(self, stage: str) -> Callable[[Any], int]:
        return lambda wildcards: self.study(wildcards).resources[stage].mem_mb  # type: ignore[index]

    def runtime(self, stage: str) -> Callable[[Any], int]:
        return lambda wildcards: self.study(wildcards).resources[stage].runtime  # type: ignore[index]

    # ---- before the first job

    @mistakes_stop()
    def refuse_unknown(self, workflow: Any) -> None:
        """Stop at a target below a results folder that no rule makes: Snakemake's own words name no neighbour."""

        def unknown(target: str) -> bool:
            path = os.path.normpath(target)
            return Path(path).parts[:1] == ("results",) and not any(rule.is_producer(path) for rule in workflow.rules)

        if any(map(unknown, sys.argv)):  # a target, or another option's value
            for target in filter(unknown, targets(sys.argv)):
                raise UserError(f"no rule makes '{target}'{self._advice(os.path.normpath(target))}")

    def _advice(self, path: str) -> str:
        """The nearest target, for the name of a scale, a table or another file of its folder; else what a path is."""
        scales = [root.removeprefix("results/") for root in self.all_roots if root != "results"]
        _, *parts = Path(path).parts
        if len(parts) > 1 and parts[0] not in (*scales, *plan.ROOMS):
            return f": '{parts[0]}' is no scale{nearest(parts[0], [*scales, *plan.ROOMS])}"
        scale, names = (parts[0], parts[1:]) if parts and parts[0] in scales else ("", parts)
        root = f"results/{scale}" if scale else "results"
        if len(names) > 1 and names[0] in plan.ROOMS:
            try:
                plan.parse(path)
            except plan.OtherName as error:
                return f": {error}"
            except UserError:
                pass
            return f"; {plan.forms(root)}"
        tables = [f"{name}{suffix}" for name in self._tables for suffix in (".tex", ".csv", ".md", ".choices.csv")]
        files = ["all", *tables, *(f"claims{suffix}" for suffix in (".md", ".tex", ".csv")), "union.csv", "cells.csv"]
        return nearest(path, [f"{root}/{name}" for name in files] + [f"results/{name}/all" for name in scales])

    def announce(self, workflow: Any) -> None:
        """Say what is about to be done and what it will cost; stop a study of days that has no GPU.

        Where jobs are short they will start warm.
        """
        from ataka.stages import cost  # measures this machine, so it needs torch

        paths = [str(job.output[0]) for job in workflow.dag.needrun_jobs() if job.output]
        with mistakes_stop():
            for root, study in self._studies.items():
                nodes = [node for node in map(_parsed, paths) if node and node[0] == root]
                if nodes:
                    cost.announce(study, [node for _, node in nodes], local=workflow.local_exec)
                if len(nodes) > 1 and study.warm_start and workflow.local_exec and self._warm is None:
                    self._warm = warm.Server("ataka.cli", *_STAGES, "report.cli")
                    os.environ |= self._warm.environment

    # ----

    def _selected(self, wildcards: Any) -> Run:
        seed = self.study(wildcards).seeds[0]
        return Run(wildcards.dataset, wildcards.arch, wildcards.method, seed)

    def _table(self, wildcards: Any) -> Table:
        return self._tables[wildcards.table]


def _files(nodes: Iterable[Node], root: str) -> list[str]:
    return [str(plan.file_of(node, root)) for node in nodes]


def targets(arguments: Sequence[str]) -> list[str]:
    """What Snakemake's command line asks for, or for anew; nothing where Snakemake was started in another way.

    Snakemake reads the Snakefile before it tells the workflow its targets, so its own parser is asked once more.
    """
    command, *given = arguments or [""]
    if Path(command).stem != "snakemake" and Path(command).parts[-2:] != ("snakemake", "__main__.py"):
        return []
    from snakemake.cli import get_argument_parser

    asked, _ = get_argument_parser().parse_known_args(given)
    return [str(target) for target in (*(asked.targets or ()), *(asked.forcerun or ()))]


def _evidence(sources: Iterable[Source], root: str) -> list[str]:
    return [str(path) for source in sources for path in evidence.files(root, source)]


def _templates(kind: str) -> list[str]:
    return [path.read_text(encoding="utf-8") for path in sorted((HOME / "report/templates").glob(f"{kind}.*"))]


def _node(wildcards: Any) -> Node:
    """The artifact that a rule's wildcards name."""
    if hasattr(wildcards, "ensemble"):
        return Tape(wildcards.dataset, wildcards.ensemble, int(wildcards.seed))
    if hasattr(wildcards, "generator"):
        named = wildcards.dataset, wildcards.arch, wildcards.method, int(wildcards.seed), wildcards.generator
        return Particles(*named)
    if hasattr(wildcards, "attack"):
        return Cell(wildcards.dataset, wildcards.arch, wildcards.method, int(wildcards.seed), wildcards.attack)
    return _run(wildcards)


def _run(wildcards: Any) -> Run:
    part = wildcards.part.removeprefix("/")
    return Run(wildcards.dataset, wildcards.arch, wildcards.method, int(wildcards.seed), part)


def _parsed(path: str) -> tuple[str, Node] | None:
    try:
        return plan.parse(path)
    except UserError:
        return None
