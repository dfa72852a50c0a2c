"""Files whose making Snakemake did not record: their own records are compared with the settings and code in force.

A job on a cluster outlives its killed Snakemake and finishes its files, but nobody notes its params; and results may be
copied from another checkout. Snakemake would take such files for current ever after. Here a file without Snakemake's
record is made again where the record that its job wrote names other settings. Where the record names other code, the
user decides first: the results may have taken weeks, and nobody asked for others. Conclusions from results, such as
tables, have no such record and take seconds: without Snakemake's record they are made again.
"""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from ataka import plan
from ataka.errors import UserError, few
from ataka.files.records import read_json, read_rows
from ataka.plan import commands
from ataka.study import Stage, Study
from rules.mistakes import mistakes_stop
from rules.params import RuleParams
from rules.scales import Scales, Wildcards, output_of

if TYPE_CHECKING:
    from snakemake.workflow import Workflow

_MEASURED = {"settings": "config_sha256", "code": "code_sha256"}
_MADE = {"settings": "settings_sha256", "code": "code_sha256"}


class Unrecorded:
    """Asked for each job while Snakemake builds its graph, by the job's input function."""

    def __init__(self, scales: Scales, params: RuleParams, workflow: "Workflow") -> None:
        self._scales, self._params, self._workflow = scales, params, workflow
        self._of_other_code: dict[str, Study] = {}
        """Files, each with its study, that are not made again before the user has decided."""

    def check(self, stage: Stage, wildcards: Wildcards) -> None:
        """Let Snakemake make a job's output again if only its own record shows that it is of other settings or code."""
        path = output_of(stage, wildcards)
        if not self._is_unrecorded(path):
            return
        try:
            recorded = _recorded(stage, path)
        except (UserError, OSError, SafetensorError, ValueError, KeyError, TypeError, IndexError):
            return  # a damaged file: whoever reads it says so
        in_force = self._in_force(stage, wildcards)
        other = [name for name, digest in in_force.items() if recorded.get(name, digest) != digest]
        if not other or self._asked_for(stage, path):
            return
        self._workflow.dag.forcefiles.add(str(path))
        if "code" in other and (study := self._scales.study(wildcards)).other_code == "stop":
            self._of_other_code[str(path)] = study
        if not self._workflow.touch:
            print(
                f"note: {path} is made again: it was made under other {' and '.join(other)}, and Snakemake has no "
                "record of that",
                file=sys.stderr,
            )

    def conclude(self, path: str) -> None:
        """Let Snakemake make a table's collection, a union or claims again, and thereby all pages that show them."""
        if self._is_unrecorded(Path(path)):
            self._workflow.dag.forcefiles.add(path)

    @mistakes_stop()
    def refuse(self) -> None:
        """Stop before results of other code are made again, unless the user only wants to keep them, by ``--touch``."""
        if self._of_other_code and not self._workflow.touch:
            study = next(iter(self._of_other_code.values()))
            raise UserError(
                "other code than this checkout's made these files, and Snakemake has no record of that, as after a "
                f"copy of the results: {few(self._of_other_code)}. To use the files as they are, give the same command "
                f"once with --touch. To make them again: {commands.config(study, other_code='make-again')}"
            )

    def _is_unrecorded(self, path: Path) -> bool:
        """Whether the file is there, and Snakemake has no record of how it was made."""
        from snakemake.io import IOFile

        is_there = self._workflow.is_main_process and path.exists()
        return is_there and self._workflow.persistence.metadata(IOFile(str(path))) is None

    def _asked_for(self, stage: Stage, path: Path) -> bool:
        """Whether the user forces the file anyway."""
        dag = self._workflow.dag
        return str(path) in dag.forcefiles or any(rule.name == stage for rule in dag.forcerules)

    def _in_force(self, stage: Stage, wildcards: Wildcards) -> dict[str, Any]:
        params = self._params
        if stage == "prepare":
            return {"settings": params.data_settings(wildcards)}
        if stage == "select":
            return {"settings": params.selection_settings(wildcards), "code": params.selection_code(wildcards)}
        return {"settings": params.settings(wildcards), "code": params.code(wildcards)}


def _recorded(stage: Stage, path: Path) -> dict[str, Any]:
    """The digests of settings and code in a file's own record, as far as it states them."""
    if stage == "prepare":
        with safe_open(path, "np") as file:
            return {"settings": plan.digest(json.loads(file.metadata()["about"])["settings"])}
    if stage == "evaluate" and path.suffix == ".safetensors":
        with safe_open(path, "np") as file:
            content: dict[str, Any] = json.loads(json.loads(file.metadata()["about"])["content"])["identity"]
        names = {"settings": "settings", "code": "code"}
    elif stage in ("evaluate", "particles"):
        content, names = read_rows(path)[0], _MEASURED
    elif stage == "record":
        run = path.with_name("run.json")  # a tape that shares another's teachers has none
        content, names = {**(read_json(run) if run.exists() else {}), **read_json(path)}, _MADE
    else:
        content, names = read_json(path if stage == "select" else path.with_name("run.json")), _MADE
    return {name: content[key] for name, key in names.items() if key in content}
