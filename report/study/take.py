"""From a results folder, finished or not, to what docs/study/SCALE/ keeps of it."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ataka import plan
from ataka.errors import Unusable, UserError, remedied
from ataka.files.disk import sha256
from ataka.files.records import COST, read_json, read_rows
from ataka.plan import Cell, Run, Tape, commands
from ataka.study import Study
from report import candidates, evidence
from report.accuracies import measurements
from report.claims import sentences
from report.problems import Problems
from report.sources import Source
from report.study import files
from report.study.files import Kept, Row
from report.table import Table

_TIMES = ("seconds", "cpu_seconds", "memory_mb", "gpu_memory_mb", "finished_at")


def take(study: Study, root: str, tables: Sequence[Table]) -> Kept:
    """Every measurement that the ``tables`` and the claims need, as far as it exists, and the jobs behind it.

    UserError for measurements that don't hold: of other settings than those in force, damaged, or of unknown training.
    """
    kept, problems = gather(study, root, tables)
    problems.insist(study)
    return kept


def gather(study: Study, root: str, tables: Sequence[Table]) -> tuple[Kept, Problems]:
    """The same of the measurements that hold, and the problems of the others."""
    kept = Kept(study, {table.name: table for table in tables})
    of_tables = [source for table in tables for source in table.sources(study)]
    problems = Problems()
    for source in dict.fromkeys([*of_tables, *sentences.sources(study, sentences.load())]):
        if source.csv(root).exists():
            problems.attempt(source.csv(root), partial(_measurement, kept, root, source))
    if not kept.jobs and not problems.refused:
        command = commands.snakemake(study, f"{root}/table2.tex")
        raise UserError(f"nothing is measured yet below {root}; make it: {command}")
    for node in plan.trainings_of(study, [*kept.cells, *kept.particles]):
        _training(kept, root, node)
    for path in sorted(Path(root, "data").rglob(f"*{COST}")):
        _job(kept, root, path, "prepare", read_json(path, *_TIMES))
    return kept, problems


def _measurement(into: Kept, root: str, source: Source) -> None:
    if isinstance(source, Cell):
        measured = evidence.measured(into.study, root, source)
        bits, rows = measurements.bits(measured, root), [measured.fields]
    else:
        rows = evidence.particles(into.study, root, source).rows
    record = source.run.folder(root) / "run.json"
    if read_json(record, "model_sha256")["model_sha256"] != rows[0]["model_sha256"]:
        raise Unusable(f"{source.csv(root)} measured another network than that of {record}")
    if isinstance(source, Cell):
        into.bits[source], into.cells[source] = bits, rows[0]
    else:
        into.particles[source] = rows
    job = files.job_of(source, rows[0])
    into.jobs[job["artifact"]] = job


def _training(into: Kept, root: str, node: Tape | Run) -> None:
    """The job of a training, its curve, and the choice of alpha, as far as their records are there."""
    folder, path = node.folder(root), plan.file_of(node, root)
    if (folder / "run.json").exists():
        record = read_json(folder / "run.json", "settings_sha256", *_TIMES)
        _job(into, root, path, "record" if isinstance(node, Tape) else "train", record)
        if "history_sha256" in record:
            into.curves[path.relative_to(root).as_posix()] = _curve(folder / "history.csv", record["history_sha256"])
    elif path.exists() and isinstance(node, Tape):  # it points to the tape of another ensemble
        record = read_json(path, "settings_sha256") | read_json(path.with_suffix(COST), *_TIMES)
        _job(into, root, path, "record (shared)", record)
    if isinstance(node, Run):
        _choice(into, root, node)


def _choice(into: Kept, root: str, run: Run) -> None:
    tuned = plan.tuned_run(into.study, run)
    if tuned != run or run.part or run.seed != into.study.seeds[0] or not run.choice(root).exists():
        return
    path = run.choice(root)
    with remedied(f"choose again: {commands.snakemake(into.study, path, force=True)}"):
        into.choices[run] = [_text(row) for row in candidates.rows(root, into.study, run)]
    cost = path.with_suffix(COST)
    _job(into, root, path, "select", read_json(path) | (read_json(cost, *_TIMES) if cost.exists() else {}))


def _curve(path: Path, digest: str) -> list[Row]:
    if sha256(path) != digest:
        raise UserError(f"{path} is damaged or another's: its SHA-256 is not that in {path.with_name('run.json')}")
    return [{name: value for name, value in row.items() if value} for row in read_rows(path)]


def _job(into: Kept, root: str, path: Path, stage: str, record: dict[str, Any]) -> None:
    stated = record | {"config_sha256": record.get("settings_sha256", "")}
    stated |= {"versions": " ".join(_versions(record)), "artifact": path.relative_to(root).as_posix(), "stage": stage}
    into.jobs[stated["artifact"]] = _text({name: stated.get(name) for name in files.JOB})


def _versions(record: dict[str, Any]) -> Iterator[str]:
    for name, version in record.get("versions", {}).items():
        yield f"{name} {version}"


def _text(row: dict[str, Any]) -> Row:
    return {name: "" if value is None else str(value) for name, value in row.items()}
