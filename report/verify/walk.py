"""Every file of a results folder, in the order in which the files are made, and the check of each."""

import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from ataka import plan
from ataka.errors import Unusable, UserError
from ataka.plan import Cell, Node, Particles, Run, Shard, Tape, commands
from report import pictures
from report.grammar import counted
from report.verify import concluded, measured, trained
from report.verify.inspection import Findings, Inspection

_ASIDE = ("logs", plan.BEFORE)
"""The folders of the jobs' logs and of the files from before the jobs: nothing depends on these."""
_RESUME = ".resume"
"""The folder in which an unfinished job keeps its checkpoints."""

Check = Callable[[], Iterator[str]]


def roots(path: Path) -> list[Path]:
    """The results folder at ``path``, and those of all scales if it is called ``results``; UserError for none."""
    if not path.is_dir():
        raise UserError(f"'{path}' is no folder of results; such are results and results/SCALE")
    scales = sorted(path.iterdir()) if path.resolve().name == "results" else []
    candidates = [path, *(scale for scale in scales if scale.name not in (*plan.ROOMS, *_ASIDE))]
    results = [folder for folder in candidates if any((folder / room).is_dir() for room in plan.ROOMS)]
    if not results:
        raise UserError(
            f"'{path}' holds no results (none of {', '.join(plan.ROOMS)}); make some, or name another folder"
        )
    return results


def walk(at: Inspection) -> Findings:
    """Check every file below the inspection's root."""
    files = sorted(_files(at), key=partial(_order, at.root))
    unexplained = {path: why for path in files if (why := visit(at, path)) is not None}
    unfinished = {folder for path in files for folder in path.parents if (folder / _RESUME).is_dir()}
    if (at.root / plan.BEFORE).is_dir():
        at.note(
            f"{at.root / plan.BEFORE} keeps what was there before jobs that run now, or whose Snakemake was killed: "
            "the next start of Snakemake puts it back"
        )
    for folder in sorted(unfinished):
        at.note(f"{folder}: a job here isn't finished; started again, it goes on")
    for path, why in unexplained.items():
        if path not in at.explained and not unfinished & {*path.parents}:
            at.note(
                f"{path} is not part of the study ({why}). If a module of yours made it, name the module's folder in "
                "PYTHONPATH; else it may be deleted"
            )
    for path, needed_by in sorted(at.missing.items()):
        more = f" and {len(needed_by) - 1} more" if len(needed_by) > 1 else ""
        at.problem(f"{path} is missing, and {needed_by[0]}{more} came from it", path)
    if any("other settings than those in force" in problem for problem in at.findings.problems):
        at.note(f"{at.root}: if this study was made under --config, give the same to verify")
    if at.aged:
        some = f"{counted(len(at.aged), 'artifact')}, such as {at.aged[0]}"
        at.note(f"{at.root}: the code behind {some}, has changed since; snakemake makes them again")
    at.findings.remedies = list(_remedies(at))
    return at.findings


def _remedies(at: Inspection) -> Iterator[str]:
    """One command for all files that Snakemake makes, and one for each page that only a user's command makes."""
    by_hand = {path: concluded.command(at, path) for path in at.again}
    if targets := [path for path, command in by_hand.items() if command is None]:
        yield commands.snakemake(at.study, *targets, force=True)
    yield from dict.fromkeys(filter(None, by_hand.values()))


def _order(root: Path, path: Path) -> tuple[int, Path]:
    """Sources come before the files made from them, as they must be mended first; CSVs come before their pages."""
    room = path.relative_to(root).parts[0]
    return (plan.ROOMS.index(room) if room in plan.ROOMS else len(plan.ROOMS), path)


def _files(at: Inspection) -> Iterator[Path]:
    """Every file below the results folder that belongs to this scale, also behind links to other disks."""
    seen: set[Path] = set()
    others = {root for root in roots(at.root) if root != at.root}

    def unreadable(error: OSError) -> None:
        at.problem(f"can't read {error.filename}: {error.strerror}; let it be read")

    for folder, folders, names in os.walk(at.root, onerror=unreadable, followlinks=True):
        here = Path(folder)
        if here.resolve() in seen:  # a link to a folder above
            folders.clear()
            continue
        seen.add(here.resolve())
        if here == at.root:
            folders[:] = [name for name in folders if name not in _ASIDE and here / name not in others]
        yield from (here / name for name in names)


def visit(at: Inspection, path: Path) -> str | None:
    """Check an artifact by its main file; for another file return the reason why no artifact explains it."""
    try:
        check = _check_of(at, path)
    except UserError as error:
        return str(error)
    if check is None:
        return None if len(path.relative_to(at.root).parts) == 1 else "no artifact explains it"
    at.findings.checked += 1
    at.explained.add(path)
    try:
        for problem in check():
            at.problem(problem, path)
    except Unusable as error:
        at.problem(error.problem, path)
    except UserError as error:
        at.problem(str(error))
    except KeyError as error:
        at.problem(f"{path} lacks {error}: an older version made it, or a hand", path)
    except (OSError, LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        at.problem(f"{path} isn't what this version writes ({error})", path)
    return None


def _check_of(at: Inspection, path: Path) -> Check | None:
    """The check of a file; None if it has none. UserError if it is called like an artifact of another study."""
    place = path.relative_to(at.root)
    if len(place.parts) == 1:
        return _at_the_top(at, path)
    if place.parts[0] == pictures.FOLDER:
        return partial(concluded.picture, at, path)
    if place.match("data/*/train.safetensors") or place.match("data/*/test.safetensors"):
        return partial(trained.data, at, path)
    if place.name == "choice.json":
        node = _known(at, place.parent / f"seed{at.study.seeds[0]}/model.safetensors")
        if not isinstance(node, Run) or plan.tuned_run(at.study, node) != node:
            raise UserError("no alpha is chosen here")
        return partial(trained.choice, at, path, node)
    if place.name == "run.json":
        main = path.with_name("manifest.json" if place.parts[0] == "tapes" else "model.safetensors")
        if _known(at, main.relative_to(at.root)) and not main.is_file() and not (path.parent / _RESUME).is_dir():
            at.explained.add(path)
            at.problem(f"{main} is missing, though {path} is there", main)
        return None
    node = _known(at, place)
    if isinstance(node, Tape):
        return partial(trained.tape, at, node)
    if isinstance(node, Run):
        return partial(trained.run, at, node)
    if isinstance(node, Cell):
        return partial(measured.cell, at, node)
    if isinstance(node, Shard):
        return partial(measured.shard, at, node)
    return partial(measured.particles, at, node) if isinstance(node, Particles) else None


def _at_the_top(at: Inspection, path: Path) -> Check | None:
    """The check of a file of a table, a union, claims, cells.csv or report.html; None for a user's notes."""
    if concluded.is_page(at, path):
        return partial(concluded.shown, at, path)
    if path.name in ("report.html", "report.partial.html"):
        return partial(concluded.whole_page, at, path)
    if path.suffix != ".csv":
        return None
    computed = {"claims": concluded.verdicts, "union": concluded.unions}
    of_choices = concluded.choices_of if path.name.endswith(".choices.csv") else concluded.collection
    return partial(computed.get(concluded.name_of(path), of_choices), at, path)


def _known(at: Inspection, place: Path) -> Node | None:
    """The artifact of this study that a path names; None if its form is that of no artifact."""
    try:
        _, node = plan.parse(place)
    except plan.OtherName:
        raise
    except UserError:
        return None
    plan.require_known(at.study, node)
    plan.settings_of(at.study, node)
    return node
