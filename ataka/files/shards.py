"""The files of shards: the predictions of some of an evaluation's chunks, and one evaluation joined from all of them.

A shard's file has the form of a checkpoint (``resume``): its predictions, the counts of its chunks, and the digests of
settings, code and inputs under which it was made. An evaluation that is joined from shards resumes, as it were, after
its last chunk.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import reduce
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ataka.errors import Unusable, UserError, few
from ataka.files.resume import FORMAT, State, States, read
from ataka.machine.meter import Usage


class _Complete(Exception):
    """The shard's last image is predicted."""


class Part(States):
    """The checkpoints of an evaluation of the places ``images`` alone, among ``count`` test images.

    The evaluation begins as if the images before had been predicted, and is stopped after the last of ``images``.
    """

    def __init__(self, *job: Any, images: range, count: int) -> None:
        super().__init__(*job)
        self.images, self.count = images, count
        self._end: State | None = None

    def evaluate(self, path: Path, run: Callable[[], object]) -> None:
        """Call ``run``, an evaluation that keeps its checkpoints here, and write its predictions to ``path``."""
        with suppress(_Complete):
            run()
        if self._end is None:
            raise UserError(f"{path}: there are fewer images than the {self.images.stop} that its shards end with")
        self.write(path, self._end)

    def restore(self, take: Callable[[State], None]) -> bool:
        """Give ``take`` the last checkpoint, or a state in which the images before this part count as attacked."""
        if super().restore(take):
            return True
        skipped = {"predicted": torch.zeros(self.images.start, dtype=torch.int64)}
        take(State("", skipped, {"counts": {}, "point": {}}))
        return False

    def keep(self, where: str, make: Callable[[], tuple[Mapping[str, Tensor], Mapping[str, Any]]]) -> None:
        """Keep a checkpoint; once the part's last image is judged, keep the part's verdicts and end the evaluation."""
        tensors, facts = make()
        if len(tensors["predicted"]) < self.images.stop:
            super().keep(where, make)
            return
        mine = {"predicted": tensors["predicted"][self.images.start : self.images.stop]}
        place = {"first": self.images.start, "end": self.images.stop, "of": self.count}
        self._end = State(where, mine, {"counts": facts["counts"], **place})
        raise _Complete


class Joined(States):
    """The checkpoints of an evaluation that begins with the predictions of all its shards, the files ``paths``."""

    def __init__(self, *job: Any, paths: Sequence[Path]) -> None:
        super().__init__(*job)
        self.paths = paths

    def restore(self, take: Callable[[State], None]) -> bool:
        """Hand all predictions to ``take``. Unusable for a shard that is damaged or of other settings, code or inputs;
        UserError where shards are missing or overlap.
        """
        parts = sorted((self._read(path) for path in self.paths), key=lambda part: part[0]["facts"]["first"])
        places = [part[0]["facts"] for part in parts]
        starts, ends = [place["first"] for place in places], [place["end"] for place in places]
        if starts != [0, *ends[:-1]] or any(place["of"] != ends[-1] for place in places):
            raise UserError(f"these shards don't make one cell: {few(map(str, self.paths), most=12)}")
        counts: Counter[str] = Counter()
        for place in places:
            counts.update(place["counts"])
        predicted = torch.cat([part[1]["predicted"] for part in parts])
        self._before = reduce(Usage.followed_by, (Usage(**part[0]["usage"]) for part in parts))
        take(State("", {"predicted": predicted}, {"counts": dict(counts), "point": {}}))
        return True

    def _read(self, path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
        try:
            content, tensors = read(path)
        except (ValueError, KeyError) as error:
            raise Unusable(f"{path} is damaged: {error}") from None
        if content["format"] != FORMAT or content["identity"] != self.identity:
            theirs = content["identity"] if content["format"] == FORMAT else {"format": content["format"]}
            other = ", ".join(name for name, value in theirs.items() if self.identity.get(name) != value)
            raise Unusable(f"{path} was made under other {other or 'inputs'}")
        if content["environment"] != self.environment:
            self._say(f"{path} was made under {content['environment']}: bits may differ")
        return content, tensors
