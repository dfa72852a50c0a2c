"""Files whose making Snakemake did not record: their own records are compared with the settings and code in force.

A job on a cluster outlives its killed Snakemake and finishes its files, but nobody notes its params. Snakemake would
take such files for current ever after. Here a file without Snakemake's record is made again where the record that its
job wrote names other settings or other code.
"""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from ataka import plan
from ataka.errors import UserError
from ataka.files.records import read_json, read_rows
from ataka.study import Stage
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

    def check(self, stage: Stage, wildcards: Wildcards) -> None:
        """Let Snakemake make a job's output again if only its own record shows that it is of other settings or code."""
        from snakemake.io import IOFile

        path = output_of(stage, wildcards)
        if not self._workflow.is_main_process or not path.exists():
            return
        if self._workflow.persistence.metadata(IOFile(str(path))) is not None:
            return
        try:
            recorded = _recorded(stage, path)
        except (UserError, OSError, SafetensorError, ValueError, KeyError, TypeError, IndexError):
            return  # a damaged file: whoever reads it says so
        in_force = self._in_force(stage, wildcards)
        other = [name for name, digest in in_force.items() if recorded.get(name, digest) != digest]
        if other and str(path) not in self._workflow.dag.forcefiles:
            self._workflow.dag.forcefiles.add(str(path))
            print(
                f"note: {path} is made again: a job whose Snakemake was gone made it under other {' and '.join(other)}",
                file=sys.stderr,
            )

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
    if stage in ("evaluate", "particles"):
        content, names = read_rows(path)[0], _MEASURED
    elif stage == "record":
        run = path.with_name("run.json")  # a tape that shares another's teachers has none
        content, names = {**(read_json(run) if run.exists() else {}), **read_json(path)}, _MADE
    else:
        content, names = read_json(path if stage == "select" else path.with_name("run.json")), _MADE
    return {name: content[key] for name, key in names.items() if key in content}
