"""Whether measurements may stand together: of one set of settings, one code, the same images, the same networks."""

from collections.abc import Hashable
from dataclasses import replace
from pathlib import Path

from ataka import plan
from ataka.errors import UserError
from ataka.plan import Cell, Particles, Run, Shard
from report.study import files
from report.study.files import Kept, Row


def merge(stored: Kept | None, taken: Kept, root: str) -> Kept:
    """What is stored and what was taken below ``root``, which replaces what it measured again.

    UserError, naming both, where they are of different settings, code, images or networks.
    """
    seeds = tuple(dict.fromkeys([*(stored.study.seeds if stored else ()), *taken.study.seeds]))
    both = replace(taken, study=taken.study.model_copy(update={"seeds": seeds}))
    if stored:
        both.tables = {**stored.tables, **taken.tables}
        for name in ("cells", "bits", "particles", "choices", "curves", "jobs"):
            setattr(both, name, {**getattr(stored, name), **getattr(taken, name)})
    places = {path: f"{root}/{path}" for path in taken.jobs}
    if stored:
        folder = files.FOLDER / taken.study.scale
        places = {path: f"{path} of {folder}" for path in stored.jobs} | places
    _require(both, places)
    return both


def _require(kept: Kept, places: dict[str, str]) -> None:
    """``places``: the words for each job in messages, by its path."""
    seen: dict[Hashable, tuple[str, str]] = {}
    for path, job in kept.jobs.items():
        _require_in_force(kept, path, job, places[path])
        for column, key, noun in _common(kept, path, job):
            digest = job[column]
            if not digest:
                continue
            other, place = seen.setdefault((column, key), (digest, places[path]))
            if other != digest:
                raise UserError(
                    f"{place} and {places[path]} are of different {noun} ({column} {other[:12]} and {digest[:12]}): "
                    f"they can't stand in one study; measure both again, or remove {files.FOLDER / kept.study.scale}"
                )


def _require_in_force(kept: Kept, path: str, job: Row, place: str) -> None:
    expected = _settings(kept, path)
    if expected is not None and job["config_sha256"] != expected:
        raise UserError(
            f"{place} was measured under other settings than those in force (config_sha256 "
            f"{job['config_sha256'][:12]}, now {expected[:12]}): give --config as it was measured, measure it again, "
            f"or remove {files.FOLDER / kept.study.scale}"
        )


def _settings(kept: Kept, path: str) -> str | None:
    """The digest of the settings in force for an artifact; None of prepared images, which trainings' settings name."""
    if path.startswith("data/"):
        return None
    if path.endswith("choice.json"):
        return plan.digest(plan.selection_settings(kept.study, Path(path).parent.name))
    return plan.digest(plan.settings_of(kept.study, plan.parse(path)[1]))


def _common(kept: Kept, path: str, job: Row) -> list[tuple[str, Hashable, str]]:
    """The columns that all jobs with the same key have in common, with the key and the noun for messages."""
    if path.startswith("data/"):
        return []
    if path.endswith("choice.json"):
        return [("code_sha256", plan.selection_code(kept.study), "code")]
    node = plan.parse(path)[1]
    common: list[tuple[str, Hashable, str]] = [("code_sha256", plan.code_of(kept.study, node), "code")]
    if isinstance(node, Cell | Shard | Particles):
        common.append(("data_sha256", (node.dataset, "test"), "test images"))
        common.append(("model_sha256", node.run, "networks"))
        return common
    common.append(("data_sha256", (node.dataset, plan.trained_on(kept.study, node)), "training images"))
    return [*common, ("model_sha256", node, "networks")] if isinstance(node, Run) else common
