"""The files that a page needs and can't use, and the one command that makes them all."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from ataka.errors import Unusable, UserError
from ataka.plan import commands
from ataka.study import Study

T = TypeVar("T")
_LISTED = 10
"""Problems named one by one in an error; the rest are counted."""


@dataclass
class Problems:
    """``refused`` holds reasons, ``again`` the files that are to be made again, ``missing`` those that are missing."""

    refused: list[str] = field(default_factory=list)
    again: list[Path] = field(default_factory=list)
    missing: list[Path] = field(default_factory=list)

    def attempt(self, path: Path, read: Callable[[], T], needed: Sequence[Path] = ()) -> T | None:
        """What ``read`` makes of ``path``; None, and one problem more, where it can't, or a ``needed`` file is lost."""
        lost = [file for file in needed or (path,) if not file.exists()]
        if lost:
            self.missing.append(lost[0])
            return None
        try:
            return read()
        except Unusable as error:
            self.refused.append(error.problem)
            self.again.append(path)
        except UserError as error:
            self.refused.append(str(error))
        return None

    def remedy(self, study: Study, target: str = "") -> str:
        """The command that makes ``target`` and all that it lacks, or the files alone; "" where none would help."""
        if not self.again and not self.missing:
            return ""
        files = [*self.again, *self.missing]
        command = (
            commands.snakemake(study, target, forcerun=self.again)
            if target
            else commands.snakemake(study, *files, force=True)
        )
        return f"{'make them again' if self.again else 'measure what is missing'}: {command}"

    def insist(self, study: Study, target: str = "", otherwise: str = "") -> None:
        """UserError unless everything is there and holds; ``otherwise`` is what a user may do instead."""
        lines = self.refused + [f"{path} is missing" for path in self.missing]
        if not lines:
            return
        more = [f"... and {len(lines) - _LISTED} more"] if len(lines) > _LISTED else []
        remedy = self.remedy(study, target) + (f" (or {otherwise})" if otherwise else "")
        raise UserError("\n".join([*lines[:_LISTED], *more, remedy]).rstrip())
