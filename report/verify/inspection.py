"""One inspection of a results folder: its state so far, and the questions that several checks ask."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ataka import plan
from ataka.errors import UserError
from ataka.files.disk import sha256
from ataka.plan import digests
from ataka.study import Study


@dataclass
class Findings:
    """The number of artifacts checked, the problems and notes, one line each, and the commands that mend problems."""

    checked: int = 0
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    remedies: list[str] = field(default_factory=list)


class Inspection:
    """One pass over one results folder; each file is hashed once.

    ``missing``      lost files, each with the artifacts that came from it
    ``aged``         artifacts whose code has changed
    ``explained``    files that belong to an artifact
    ``collections``  CSVs of tables and claims that hold, each with what its pages show
    ``again``        files that are to be made once more
    """

    def __init__(self, study: Study, root: Path) -> None:
        self.study, self.root, self.findings = study, root, Findings()
        self.missing: dict[Path, list[Path]] = defaultdict(list)
        self.aged: list[Path] = []
        self.explained: set[Path] = set()
        self.collections: dict[Path, list[Any]] = {}
        self.again: dict[Path, None] = {}
        self._sha256s: dict[Path, str] = {}
        self._codes: dict[tuple[str, ...], str] = {}

    def problem(self, line: str, path: Path | None = None) -> None:
        """Note a problem, and the file that is to be made once more, if that helps."""
        if line not in self.findings.problems:
            self.findings.problems.append(line)
        if path is not None:
            self.again[path] = None

    def note(self, line: str) -> None:
        """Keep a remark that is no fault."""
        self.findings.notes.append(line)

    def sha256(self, path: Path) -> str:
        """SHA-256 of a file, which is read once."""
        if path not in self._sha256s:
            self._sha256s[path] = sha256(path)
        return self._sha256s[path]

    def code(self, path: Path, digest: str, modules: tuple[str, ...]) -> None:
        """Note that the code behind an artifact has changed, if it has."""
        if modules not in self._codes:
            self._codes[modules] = digests.code_digest(modules)
        if self._codes[modules] != digest:
            self.aged.append(path)

    # ---- questions, answered by problems

    def settings(self, path: Path, made: Any, in_force: Mapping[str, Any]) -> Iterator[str]:
        """The problem of an artifact that was made under other settings than those in force."""
        if plan.digest(made) != plan.digest(in_force):
            where = _difference(made, json.loads(json.dumps(in_force)))
            yield f"{path} was made under other settings than those in force ({where})"

    def images(self, path: Path, dataset: str, split: str, digest: str) -> Iterator[str]:
        """The problem of an artifact that was made from other images than those that are prepared now."""
        prepared = plan.data_file(self.root, dataset, "test" if split == "test" else "train")
        if not prepared.is_file():
            self.missing[prepared].append(path)
            return
        from ataka.files.tensors import load_about  # needs torch

        try:
            now = load_about(prepared)["sha256"][split]
        except (UserError, KeyError, TypeError):
            return  # a problem of the prepared file itself
        if now != digest:
            yield f"{path} was made from other images than {prepared} holds now"

    def sources(self, path: Path, made_from: Mapping[str, str]) -> Iterator[str]:
        """The sources of an artifact that have changed since. ``made_from``: SHA-256 by paths below the root."""
        for place, digest in made_from.items():
            source = self.root / place
            if not source.is_file():
                self.missing[source].append(path)
            elif self.sha256(source) != digest:
                yield f"{path} was made from {source}, which has changed since"

    def file(self, file: Path, digest: str, path: Path, record: Path | None = None) -> Iterator[str]:
        """The problem of a file of the artifact ``path`` that is missing, or not as its ``record`` says."""
        self.explained.add(file)
        if not file.is_file():
            yield f"{file} is missing"
        elif self.sha256(file) != digest:
            yield f"{file} is damaged or another's: its SHA-256 is not that in {record or path}"


def _difference(made: Any, in_force: Any, place: str = "") -> str:
    """The first difference between two settings: its place and both values."""
    if isinstance(made, dict) and isinstance(in_force, dict):
        for key in sorted({*made, *in_force}):
            if made.get(key) != in_force.get(key):
                return _difference(made.get(key), in_force.get(key), f"{place}.{key}" if place else key)
    return f"{place} was {made}, is {in_force}"
