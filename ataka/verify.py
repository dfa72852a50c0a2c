"""Does every artifact below a results folder still hold? Each is checked against its own record and its sources.

A *problem* is a file that isn't what its provenance says: edited, damaged, swapped, stale, or made from something that
has changed since. A *note* is worth knowing and no mistake: code that has changed, a file that no artifact explains. Of
a table the CSV is checked, row by row, against the measurements that it was collected from; its pages, by their seals.
"""

import json
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy

from ataka import plan
from ataka.errors import UserError
from ataka.files import cells, choices
from ataka.files.disk import sha256
from ataka.files.prepared import load_split
from ataka.files.records import holds, read_json, read_rows, require_collected, seal
from ataka.files.tensors import load_about
from ataka.plan import Cell, Particles, Run, Tape, digests
from ataka.stages.common import data_file
from ataka.study import Study, config

_ASIDE = ("logs", "benchmarks", plan.BEFORE)
"""What jobs said and took, and what was there before them: nothing depends on it."""
_RESUME = ".resume"
"""Where a job that isn't finished keeps what it needs to go on."""


@dataclass
class Findings:
    """How many artifacts were checked, and what was found, one line each."""

    checked: int = 0
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def verify(path: Path, overrides: Mapping[str, Any]) -> None:
    """Check everything below ``path``, a results folder or ``results`` with all its scales, and print what is found.

    Raises UserError if anything doesn't hold.
    """
    checked = problems = 0
    for root in roots(Path(os.path.normpath(path))):
        found = check(root, overrides)
        checked += found.checked
        problems += len(found.problems)
        for line in [*found.problems, *(f"note: {note}" for note in found.notes)]:
            _say(line)
    summary = f"{checked} artifacts checked, {problems} {'problem' if problems == 1 else 'problems'}"
    if problems:
        raise UserError(summary)
    _say(summary)


def _say(line: str) -> None:
    try:
        print(line.encode("utf-8", "backslashreplace").decode(), flush=True)
    except BrokenPipeError:  # such as `| head`; Python would complain once more when it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def roots(path: Path) -> list[Path]:
    """The results folder at ``path``, and those of all scales if it is called ``results``; UserError for none."""
    if not path.is_dir():
        raise UserError(f"'{path}' is no folder of results; such are results and results/SCALE")
    scales = sorted(path.iterdir()) if path.resolve().name == "results" else []
    candidates = [path, *(one for one in scales if one.name not in (*plan.ROOMS, *_ASIDE))]
    found = [one for one in candidates if any((one / room).is_dir() for room in plan.ROOMS)]
    if not found:
        raise UserError(
            f"'{path}' holds no results (none of {', '.join(plan.ROOMS)}); make some, or name another folder"
        )
    return found


def check(root: Path, overrides: Mapping[str, Any]) -> Findings:
    """What is wrong below one results folder."""
    try:
        named = root if root.name not in ("", "..") else root.resolve()
        study = config.load(plan.scale_of(named.as_posix()), overrides)
    except UserError as error:
        return Findings(problems=[f"{root} can't be checked: {error}"])
    return _Check(study, root).run()


_COMPUTED = ("claims", "union")
"""Computed from cells by `report`, which alone could do it again: whether they were edited is what can be seen here."""


class _Check:
    """One pass over one results folder; each file is hashed once."""

    def __init__(self, study: Study, root: Path) -> None:
        self.study, self.root, self.found = study, root, Findings()
        self._digests: dict[Path, str] = {}
        self._codes: dict[tuple[str, ...], str] = {}
        self._missing: dict[Path, list[Path]] = defaultdict(list)
        self._aged: list[Path] = []
        self._explained: set[Path] = set()
        self._why: dict[Path, str] = {}

    def run(self) -> Findings:
        files = sorted(self._files(), key=self._order)
        for path in files:
            self._visit(path)
        unfinished = {folder for path in files for folder in path.parents if (folder / _RESUME).is_dir()}
        if (self.root / plan.BEFORE).is_dir():
            self._note(
                f"{self.root / plan.BEFORE} keeps what was there before jobs that run now, or whose Snakemake was "
                "killed: the next start of Snakemake puts it back"
            )
        for folder in sorted(unfinished):
            self._note(f"{folder}: a job here isn't finished; started again, it goes on")
        for path in files:
            if path not in self._explained and not unfinished & {*path.parents}:
                why = self._why.get(path, "no artifact explains it")
                self._note(f"{path} is not part of the study: {why}. Delete it if nobody needs it")
        for path, needed_by in sorted(self._missing.items()):
            more = f" and {len(needed_by) - 1} more" if len(needed_by) > 1 else ""
            self._problem(f"{path} is missing, and {needed_by[0]}{more} came from it; {_again(path)}")
        if any("other settings than those in force" in problem for problem in self.found.problems):
            self._note(f"{self.root}: if this study was made under --config, give the same to verify")
        if self._aged:
            some = f"{len(self._aged)} artifacts, such as {self._aged[0]}"
            self._note(f"{self.root}: the code behind {some}, has changed since; snakemake makes them again")
        return self.found

    def _order(self, path: Path) -> tuple[int, Path]:
        """What is made first comes first: it is to be mended before what came from it."""
        room = path.relative_to(self.root).parts[0]
        return (plan.ROOMS.index(room) if room in plan.ROOMS else len(plan.ROOMS), path)

    def _files(self) -> Iterator[Path]:
        """Every file below the results folder that belongs to this scale."""
        others = {one for one in roots(self.root) if one != self.root}

        def unreadable(error: OSError) -> None:
            self._problem(f"can't read {error.filename}: {error.strerror}; let it be read")

        for folder, folders, names in os.walk(self.root, onerror=unreadable):
            here = Path(folder)
            if here == self.root:
                folders[:] = [name for name in folders if name not in _ASIDE and here / name not in others]
            yield from (here / name for name in names)

    def _visit(self, path: Path) -> None:
        place = path.relative_to(self.root)
        if len(place.parts) == 1:
            self._explained.add(path)
            if path.suffix in (".tex", ".md"):
                self._page(path)
            elif path.suffix == ".csv":
                computed = path.name.partition(".")[0] in _COMPUTED
                of_choices = self._choices if path.name.endswith(".choices.csv") else self._table
                self._attempt(path, self._computed if computed else of_choices, path)
            return
        if place.match("data/*/train.safetensors") or place.match("data/*/test.safetensors"):
            self._attempt(path, self._data, path)
            return
        names = {"choice.json": f"seed{self.study.seeds[0]}/model.safetensors", "run.json": "model.safetensors"}
        if place.name == "run.json" and place.parts[0] == "tapes":
            names["run.json"] = "manifest.json"
        main = place.parent / names.get(place.name, place.name)
        try:
            _, node = plan.parse(main)
            plan.require_known(self.study, node)
            plan.settings_of(self.study, node)
            if place.name == "choice.json" and not (isinstance(node, Run) and plan.tuned_run(self.study, node) == node):
                raise UserError("no alpha is chosen here")
        except UserError as error:
            if not str(error).startswith(f"'{main}'"):  # it is called like an artifact
                self._why[path] = str(error)
            return
        if place.name == "run.json":
            if not (self.root / main).is_file() and not (path.parent / _RESUME).is_dir():
                self._explained.add(path)
                self._problem(f"{self.root / main} is missing, though {path} is there; {_again(self.root / main)}")
        elif place.name == "choice.json":
            self._attempt(path, self._choice, path, node)
        else:
            checks: dict[type, Callable[..., Iterator[str]]]
            checks = {Tape: self._tape, Run: self._run, Cell: self._cell, Particles: self._particles}
            self._attempt(path, checks[type(node)], node)

    def _page(self, path: Path) -> None:
        """A rendered table, or verdicts; notes of the user's own are none of these."""
        measured = path.with_name(f"{path.stem.removesuffix('.published')}.csv")
        text = path.read_bytes().decode("utf-8", "replace")
        sealed = holds(text, path.suffix)
        if sealed is None and not measured.is_file():
            return
        self.found.checked += 1
        if not sealed:
            self._problem(f"{path} was edited or is damaged: its seal doesn't hold; {_again(path)}")
        elif not measured.is_file():
            self._problem(f"{measured} is missing, though {path} is there; {_again(measured)}")
        elif path.stat().st_mtime_ns < measured.stat().st_mtime_ns:
            self._note(f"{path} is older than {measured} and may show other numbers; snakemake renders it again")

    def _attempt(self, path: Path, check: Callable[..., Iterator[str]], *given: Any) -> None:
        self.found.checked += 1
        self._explained.add(path)
        try:
            for problem in check(*given):
                self._problem(problem)
        except UserError as error:
            self._problem(str(error))
        except KeyError as error:
            self._problem(f"{path} lacks {error}: an older version made it, or a hand; {_again(path)}")
        except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
            self._problem(f"{path} isn't what this version writes ({error}); {_again(path)}")

    def _problem(self, line: str) -> None:
        if line not in self.found.problems:
            self.found.problems.append(line)

    def _note(self, line: str) -> None:
        self.found.notes.append(line)

    # ---- one kind of artifact each: what is wrong with it

    def _data(self, path: Path) -> Iterator[str]:
        dataset, part = path.parent.name, path.stem
        for name in ("train", "validation") if part == "train" else ("test",):
            load_split(path, name, plan.data_settings(self.study, dataset, part))
        yield from ()

    def _tape(self, node: Tape) -> Iterator[str]:
        path, folder = node.manifest(self.root), node.folder(self.root)
        manifest = read_json(path)
        yield from self._settings(path, manifest["settings"], plan.tape_settings(self.study, node))
        yield from self._images(path, node.dataset, "train", manifest["data_sha256"])
        epochs = manifest["settings"]["setup"]["epochs"]
        if (len(manifest["epochs"]), len(manifest["teachers"])) != (epochs, manifest["settings"]["n"]):
            yield f"{path} lists {len(manifest['epochs'])} epochs of {epochs}; {_again(path)}"
        for entry in (*manifest["epochs"], *manifest["teachers"]):
            yield from self._same(Path(os.path.normpath(folder / entry["file"])), entry["sha256"], path)
        if origin := manifest.get("shared"):
            yield from self._same(Path(os.path.normpath(folder / origin["of"])), origin["sha256"], path)
        else:
            yield from self._record(node, path)

    def _run(self, node: Run) -> Iterator[str]:
        path = node.model(self.root)
        yield from self._record(node, path)
        if node.alpha is not None and node.alpha not in self.study.selection.alphas:
            self._note(f"{path} is no candidate any more (selection.alphas)")

    def _record(self, node: Tape | Run, path: Path) -> Iterator[str]:
        """A training's run.json, and what it says of the files beside it and of what they were made from."""
        beside = node.folder(self.root) / "run.json"
        self._explained |= {beside}
        record = read_json(beside)
        yield from self._names(beside, record, asdict(node), path)
        yield from self._settings(path, record["settings"], plan.settings_of(self.study, node))
        for key, name in (("model_sha256", "model.safetensors"), ("history_sha256", "history.csv")):
            if key in record:
                yield from self._same(node.folder(self.root) / name, record[key], path, beside)
        if "data_sha256" in record:
            yield from self._images(path, node.dataset, "train", record["data_sha256"])
        yield from self._sources(path, record["made_from"])
        self._code(path, record["code_sha256"], plan.code_of(self.study, node))

    def _choice(self, path: Path, run: Run) -> Iterator[str]:
        selection = self.study.selection_of(run.method)
        settings = plan.digest(plan.selection_settings(self.study, run.method))
        allowed = selection.collapsed
        choice = choices.read(path, settings_sha256=settings, collapsed=allowed, remedy=_again(path))
        if [candidate.alpha for candidate in choice.grid] != list(selection.alphas):
            yield f"{path}: its candidates are not those of selection.alphas; {_again(path)}"
        yield from self._images(path, run.dataset, choice.split, choice.data_sha256)
        yield from self._sources(path, choice.made_from)
        self._code(path, choice.code_sha256, plan.selection_code(self.study))

    def _cell(self, node: Cell) -> Iterator[str]:
        path, bits = node.csv(self.root), node.bits(self.root)
        self._explained.add(bits)
        rows = read_rows(path, cells.COLUMNS, _again(path))
        cells.parse(rows, str(path), _again(path))
        (row,) = rows
        found = [*self._measured(path, node, row)]
        found += self._same(bits, row["bits_sha256"], path)
        if not found:
            verdicts = numpy.load(bits)
            if (len(verdicts), int(verdicts.sum())) != (int(row["n"]), int(row["correct"])):
                found = [f"{path}: its numbers are not those of {bits.name}; {_again(path)}"]
        yield from found or _unsealed(path, rows)

    def _particles(self, node: Particles) -> Iterator[str]:
        path = node.csv(self.root)
        rows = read_rows(path)
        images = [str(index) for index in range(self.study.particles.images)]
        if [row["image"] for row in rows] != images:
            yield f"{path}: its rows are not those of the first {len(images)} test images; {_again(path)}"
            return
        yield from [*self._measured(path, node, rows[0])] or _unsealed(path, rows)

    def _measured(self, path: Path, node: Cell | Particles, row: Mapping[str, str]) -> Iterator[str]:
        """What a cell and a row of particles have in common."""
        yield from self._names(path, row, {"scale": self.study.scale, **asdict(node)}, path)
        if row["config_sha256"] != plan.digest(plan.settings_of(self.study, node)):
            yield f"{path} was measured under other settings than those in force; {_again(path)}"
        model = node.run.model(self.root)
        if not model.is_file():
            self._missing[model].append(path)
        elif self._sha256(model) != row["model_sha256"]:
            yield f"{path} was measured on another network than {model} is now; {_again(path)}"
        yield from self._images(path, node.dataset, "test", row["data_sha256"])
        self._code(path, row["code_sha256"], plan.code_of(self.study, node))

    # ---- what tables show

    def _table(self, path: Path) -> Iterator[str]:
        """A collection holds the rows of measurements as they are."""
        taken: dict[Path, list[dict[str, str]]] = defaultdict(list)
        rows, differs = read_rows(path), False
        for row in rows:
            run = row["dataset"], row["arch"], row["method"], int(row["seed"])
            node = Cell(*run, row["attack"]) if "attack" in row else Particles(*run, row["generator"])
            taken[node.csv(self.root)].append(_filled(row))
        others = sorted({int(row["seed"]) for row in rows} - {*self.study.seeds})
        if others and path.stem != "cells":
            seeds, now = (", ".join(map(str, some)) for some in (others, self.study.seeds))
            self._note(f"{path} has seeds that are not those in force: {seeds} beside {now}; give verify the --config")
        for source, told in taken.items():
            if not source.is_file():
                self._missing[source].append(path)
                continue
            measured = read_rows(source)
            own = measured[0].keys()  # a collection may say more of a row, as its health
            told = [{name: value for name, value in row.items() if name in own} for row in told]
            if own - rows[0].keys() or told != [_filled(row) for row in measured]:
                yield f"{path}: what it has of {source} is not what stands there; {_again(path)}"
                differs = True
        if not differs:
            yield from _edited(path, rows)

    def _computed(self, path: Path) -> Iterator[str]:
        yield from _edited(path, read_rows(path))

    def _choices(self, path: Path) -> Iterator[str]:
        """Each row is a candidate of the choice that it names, and all are there of each choice behind the table."""
        rows = read_rows(path)
        listed = Counter((row["dataset"], row["arch"], row["method"]) for row in rows)
        for run in self._tuned(path):
            source = run.choice(self.root)
            if source.is_file() and listed[run.dataset, run.arch, run.method] != len(read_json(source)["grid"]):
                yield f"{path} lacks candidates of {source}, or has more; {_again(path)}"
        for line, row in enumerate(rows, start=2):
            run = Run(row["dataset"], row["arch"], row["method"], int(row["seed"]))
            source = run.choice(self.root)
            if not source.is_file():
                self._missing[source].append(path)
                continue
            choice = read_json(source)
            numbers = ("n", "clean", "robust")
            told = {name: _number(row[name]) for name in numbers} | {"status": row["status"], "chosen": row["chosen"]}
            grid = [
                {name: entry[name] for name in (*numbers, "status")}
                | {"chosen": "yes" if entry["alpha"] == choice["alpha"] else "no"}
                for entry in choice["grid"]
                if f"{entry['alpha']:g}" == row["alpha"]
            ]
            if told not in grid:
                yield f"{path}, line {line}, is not what {source} says; {_again(path)}"
        if rows:
            yield from _edited(path, rows)

    def _tuned(self, choices: Path) -> list[Run]:
        """The runs whose choices of alpha belong to a table's collection."""
        table = choices.with_name(choices.name.replace(".choices.", "."))
        if not table.is_file():
            return []
        first = self.study.seeds[0]
        runs = {Run(row["dataset"], row["arch"], row["method"], first) for row in read_rows(table)}
        return [run for run in {plan.tuned_run(self.study, one) for one in runs} if run]

    # ---- the parts of a check

    def _names(self, path: Path, row: Mapping[str, Any], names: Mapping[str, Any], again: Path) -> Iterator[str]:
        for name, value in names.items():
            if str(row[name]) != str(value):
                yield f"{path}: its {name} is '{row[name]}', where it lies it must be '{value}'; {_again(again)}"

    def _settings(self, path: Path, made: Any, in_force: Mapping[str, Any]) -> Iterator[str]:
        if plan.digest(made) != plan.digest(in_force):
            where = _differ(made, json.loads(json.dumps(in_force)))
            yield f"{path} was made under other settings than those in force ({where}); {_again(path)}"

    def _images(self, path: Path, dataset: str, name: str, digest: str) -> Iterator[str]:
        prepared = data_file(str(self.root), dataset, "test" if name == "test" else "train")
        if not prepared.is_file():
            self._missing[prepared].append(path)
            return
        try:
            now = load_about(prepared)["sha256"][name]
        except (UserError, KeyError, TypeError):
            return  # told where the data are checked
        if now != digest:
            yield f"{path} was made from other images than {prepared} holds now; {_again(path)}"

    def _sources(self, path: Path, made_from: Mapping[str, str]) -> Iterator[str]:
        for place, digest in made_from.items():
            source = self.root / place
            if not source.is_file():
                self._missing[source].append(path)
            elif self._sha256(source) != digest:
                yield f"{path} was made from {source}, which has changed since; {_again(path)}"

    def _same(self, file: Path, digest: str, path: Path, record: Path | None = None) -> Iterator[str]:
        """A file that belongs to the artifact ``path``, whose ``record`` knows its digest."""
        self._explained.add(file)
        if not file.is_file():
            yield f"{file} is missing; {_again(path)}"
        elif self._sha256(file) != digest:
            yield f"{file} is damaged or another's: its SHA-256 is not that in {record or path}; {_again(path)}"

    def _code(self, path: Path, digest: str, modules: tuple[str, ...]) -> None:
        if modules not in self._codes:
            self._codes[modules] = digests.code_digest(modules)
        if self._codes[modules] != digest:
            self._aged.append(path)

    def _sha256(self, path: Path) -> str:
        if path not in self._digests:
            self._digests[path] = sha256(path)
        return self._digests[path]


def _unsealed(path: Path, rows: list[dict[str, str]]) -> Iterator[str]:
    for line, row in enumerate(rows, start=2):
        if row["seal"] != seal(row):
            yield f"{path}, line {line}, was changed after it was written: its seal doesn't hold; {_again(path)}"


def _edited(path: Path, rows: list[dict[str, str]]) -> Iterator[str]:
    """Unless the rows of a collection are as they were written."""
    require_collected(rows, path, _again(path))
    yield from ()


def _filled(row: Mapping[str, str]) -> dict[str, str]:
    """A row without its empty fields: a table has every measurement's columns."""
    return {name: value for name, value in row.items() if value}


def _number(text: str) -> float | None:
    return float(text) if text else None


def _differ(made: Any, in_force: Any, place: str = "") -> str:
    """Where two settings first differ, and how."""
    if isinstance(made, dict) and isinstance(in_force, dict):
        for key in sorted({*made, *in_force}):
            if made.get(key) != in_force.get(key):
                return _differ(made.get(key), in_force.get(key), f"{place}.{key}" if place else key)
    return f"{place} was {made}, is {in_force}"


def _again(path: Path) -> str:
    if ".partial." in path.name:
        return "delete it, and make it again with --partial"
    return f"make it again: snakemake --cores all --force {path}"
