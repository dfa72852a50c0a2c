"""Snakemake with HTCondor's plug-in and bindings, in place of a scheduler this process: for tests.

    python -m tests.slurm.condor NOTES ARGUMENT...

Each submission is noted in the file NOTES, as one JSON object a line, and its job runs here before the next. HTCondor's
own log tells the plug-in of the end, so that everything but the matching of jobs to machines is the real thing.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

_RAN = ("Run Remote", "Run Local", "Total Remote", "Total Local")
_SENT = ("Run Bytes Sent", "Run Bytes Received", "Total Bytes Sent", "Total Bytes Received")
USAGE = [
    *(f"\t\tUsr 0 00:00:00, Sys 0 00:00:00  -  {what} Usage" for what in _RAN),
    *(f"\t0  -  {what} By Job" for what in _SENT),
]
"""Lines that HTCondor's reader of logs insists on at a job's end."""


class Submitted:
    def __init__(self, number: int) -> None:
        self._number = number

    def cluster(self) -> int:
        return self._number


class Schedd:
    """The one method of HTCondor's scheduler that a study without failures needs."""

    notes: Path
    _count = 0

    def submit(self, description: Mapping[str, str]) -> Submitted:
        Schedd._count += 1
        asked = dict(description)
        with self.notes.open("a", encoding="utf-8") as notes:
            notes.write(json.dumps(asked) + "\n")
        log = Path(asked["log"])
        self._tell(log, "000", "Job submitted from host: <127.0.0.1:9618>")
        code = subprocess.run(f"{asked['executable']} {asked['arguments']}", shell=True).returncode
        self._tell(log, "005", "Job terminated.", f"\t(1) Normal termination (return value {code})", *USAGE)
        return Submitted(self._count)

    def _tell(self, log: Path, event: str, *lines: str) -> None:
        first = f"{event} ({self._count:03}.000.000) {datetime.now():%Y-%m-%d %H:%M:%S} {lines[0]}"
        with log.open("a", encoding="utf-8") as file:
            file.write("\n".join([first, *lines[1:], "...", ""]))


def main(notes: str, *arguments: str) -> None:
    import htcondor2  # type: ignore[import-not-found]
    from snakemake.cli import main as snakemake

    Schedd.notes = Path(notes)
    htcondor2.Schedd = Schedd
    sys.argv = ["snakemake", *arguments]
    snakemake()


if __name__ == "__main__":
    main(*sys.argv[1:])
