"""Attempts of a cluster's job: how each ended, for the next attempt and for whoever reads Snakemake's terminal.

A cluster ends a job at its time limit, kills it for its memory, or loses its node; Snakemake then starts the job again.
Each attempt notes its start and its end in a file among the logs. An attempt without an end was killed.
"""

import json
import os
import platform
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from ataka.machine import slurm

NUMBER = "ATAKA_ATTEMPT"
"""The environment variable that holds the number of a job's attempt, from 1; without it nothing is noted."""
MOST_KILLS = 3
"""Killed attempts after which a job is given up."""
MISTAKE = 2
"""The exit code of a failure that a person has to mend."""
INTERRUPTED = (130, 143)
"""The exit codes after Ctrl-C and SIGTERM."""


@dataclass(frozen=True)
class Attempt:
    """One attempt of a job."""

    number: int
    place: str
    code: int | None = None
    """Its exit code; None if it was killed, or still runs."""
    message: str = ""

    @property
    def killed(self) -> bool:
        """Whether the attempt has no exit code: its process was killed, or still runs."""
        return self.code is None

    def __str__(self) -> str:
        if self.killed:
            return f"attempt {self.number} ({self.place}) was killed without a word, as for its memory"
        if self.code in INTERRUPTED:
            return f"attempt {self.number} ({self.place}) was ended, as at its time limit: {self.message}"
        return f"attempt {self.number} ({self.place}) failed: {self.message}"


def file_of(root: str | Path, output: str | Path) -> Path:
    """The file of the attempts at ``output``, a file below the results folder ``root``."""
    return Path(root, "logs/attempts", Path(output).relative_to(root).with_suffix(".jsonl"))


def read(path: Path, before: int | None = None) -> list[Attempt]:
    """The attempts that ``path`` notes, those with numbers below ``before`` if it is given."""
    attempts: dict[int, Attempt] = {}
    with suppress(OSError):
        for line in path.read_text(encoding="utf-8").splitlines():
            with suppress(ValueError, TypeError):  # a line that a kill cut short
                attempt = Attempt(**json.loads(line))
                attempts[attempt.number] = attempt
    return [attempt for number, attempt in sorted(attempts.items()) if before is None or number < before]


def given_up(attempts: Iterable[Attempt]) -> str | None:
    """The reason why no further attempt would help: a mistake, the same failure twice, or too many kills."""
    past = list(attempts)
    if not past:
        return None
    last, killed = past[-1], [attempt for attempt in past if attempt.killed]
    if len(killed) >= MOST_KILLS:
        return f"{last}; {len(killed)} attempts were killed, each with twice the memory of the one before"
    twice = len(past) > 1 and not last.killed and last.code == past[-2].code and last.message == past[-2].message
    if last.code == MISTAKE or (twice and last.code not in INTERRUPTED):
        return str(last)
    return None


class Note:
    """This process's attempt, noted in ``path``; without a path, or a number in the environment, nothing is noted."""

    def __init__(self, path: Path | None) -> None:
        number = os.environ.get(NUMBER, "")
        self._path = path if number.isdecimal() else None
        self.given_up: str | None = None
        """The reason why this attempt is in vain; such an attempt is not noted."""
        if self._path:
            place = f"Slurm job {slurm.job()} on {platform.node()}" if slurm.job() else platform.node()
            self._attempt = Attempt(int(number), place)
            self.given_up = given_up(read(self._path, self._attempt.number))
            if self.given_up is None:
                self._write(self._path, self._attempt)

    def end(self, code: int, message: str = "") -> None:
        """Note the exit code, and the last words of a job that failed; forget the attempts at what was made."""
        if self._path and code == 0:
            self._path.unlink(missing_ok=True)
        elif self._path:
            self._write(self._path, replace(self._attempt, code=code, message=message))

    def _write(self, path: Path, attempt: Attempt) -> None:
        with suppress(OSError):  # the work matters more
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(vars(attempt)) + "\n")
