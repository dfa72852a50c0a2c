"""The jobs behind a target, as the rules would run them: what each needs, and the passes that it computes."""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from ataka import plan
from ataka.errors import UserError
from ataka.plan import Cell, Exchange, Node, Particles, Run, Shard, Tape, Work
from ataka.study import Study
from report import catalogue, pictures, targets, union
from report.claims import sentences

ARTIFACTS = ("prepare", "record", "train", "select", "shard", "evaluate", "particles")
RULES = (
    *ARTIFACTS,
    *("collect", "render", "union", "claims", "picture", "gallery", "html", "booklet", "cells", "supplement", "all"),
)
"""The rules in the order in which data flows."""
_MEASURED = {Cell: "evaluate", Shard: "shard", Particles: "particles"}


class Job(NamedTuple):
    """One job: ``output`` is the file that names it, and ``needs`` names the jobs that it waits for.

    Of several ``processes``, each takes a device of its own.
    """

    rule: str
    output: str
    needs: tuple[str, ...] = ()
    node: Node | None = None
    work: tuple[Work, ...] = ()
    tape_bytes: int = 0
    processes: int = 1
    exchange: Exchange | None = None


def behind(
    study: Study, root: str, outputs: Iterable[str], known: Mapping[str, Job] = MappingProxyType({})
) -> dict[str, Job]:
    """Every job that ``outputs`` are made by, in no order; UserError for a file that no rule makes.

    Jobs among ``known`` are taken as they are, which saves the time to work them out again.
    """
    jobs: dict[str, Job] = {}
    wanted = [_first_output(output, root) for output in outputs]
    while wanted:
        output = wanted.pop()
        if output not in jobs:
            jobs[output] = known.get(output) or _job(study, root, output)
            wanted += jobs[output].needs
    return jobs


def each(study: Study, root: str, outputs: Iterable[str]) -> dict[str, Job]:
    """The job of each of ``outputs``, without those behind it; a file that no rule of ours makes is left out."""
    jobs: dict[str, Job] = {}
    for output in outputs:
        with suppress(UserError):
            job = _job(study, root, _first_output(output, root))
            jobs[job.output] = job
    return jobs


def last(jobs: Mapping[str, Job]) -> list[str]:
    """The outputs among ``jobs`` that no other of these jobs needs: of all jobs of a start, its targets."""
    needed = {need for job in jobs.values() for need in job.needs}
    return [output for output in jobs if output not in needed]


def by_table(study: Study, jobs: Mapping[str, Job]) -> dict[str, dict[str, Job]]:
    """For each table among ``jobs`` the jobs behind it, some of which another table needs, too."""
    rendered = [job for job in jobs.values() if job.rule == "render"]
    return {Path(job.output).stem: _reachable(jobs, job.output) for job in sorted(rendered, key=lambda job: job.output)}


def _reachable(jobs: Mapping[str, Job], output: str) -> dict[str, Job]:
    found: dict[str, Job] = {}
    wanted = [output]
    while wanted:
        name = wanted.pop()
        if name not in found:
            found[name] = jobs[name]
            wanted += jobs[name].needs
    return found


def _first_output(output: str, root: str) -> str:
    """The file that names the job: its rule may make several."""
    pages = "|".join(map(re.escape, targets.SUFFIXES[1:]))
    names = {
        r"(/(tapes|runs|cells|particles|data)/.*)\.bits\.npy": r"\1.csv",
        r"/(run\.json|history\.csv)": "/model.safetensors",
        rf"({re.escape(root)}/claims)(\.standalone)?\.(md|tex)": r"\1.csv",
        rf"({re.escape(root)}/pictures/[^/]+)\.(pdf|txt)": r"\1.svg",
        rf"({re.escape(root)}/(?!{re.escape(pictures.PAGE)})[^/]+)({pages})": r"\1.tex",
        rf"({re.escape(root)}/[^/]+)\.choices\.csv": r"\1.csv",
    }
    for pattern, name in names.items():
        output = re.sub(f"{pattern}$", name, output)
    return output


def _job(study: Study, root: str, output: str) -> Job:
    name, _, rest = output.removeprefix(f"{root}/").partition("/")
    if rest and name in plan.ROOMS:
        return _artifact(study, root, output)
    stem, _, suffix = name.partition(".")
    tables = catalogue.names(catalogue.folders(study))
    if not rest and name in ("all", "tables.pdf"):
        rule = "all" if name == "all" else "booklet"
        return Job(rule, output, tuple(f"{root}/{table.name}.tex" for table in catalogue.every(study)[0]))
    if not rest and name == targets.SUPPLEMENT:
        return Job("supplement", output, (f"{root}/{name}.tex",))
    if not rest and name == "cells.csv":
        return Job("cells", output)
    if not rest and name == "union.csv":
        return Job("union", output, tuple(str(cell.csv(root)) for cell in union.sources(study)))
    if not rest and name == "claims.csv":
        sources = sentences.sources(study, sentences.load())
        return Job("claims", output, tuple(str(source.csv(root)) for source in sources))
    if name == pictures.FOLDER and (picture := Path(rest)).stem in pictures.names() and picture.suffix == ".svg":
        return Job("picture", output, tuple(_named(study, root, picture.stem)))
    if not rest and name == pictures.PAGE:
        return Job("gallery", output, tuple(str(pictures.path(root, each)) for each in pictures.every(study)[0]))
    if not rest and name == "report.html":
        tables_of = [f"{root}/{table.name}.csv" for table in catalogue.every(study)[0]]
        drawn = [str(pictures.path(root, each)) for each in pictures.every(study)[0]]
        return Job("html", output, (*tables_of, *drawn, f"{root}/claims.csv"))
    if not rest and stem in tables and suffix == "tex":
        return Job("render", output, (f"{root}/{stem}.csv",))
    if not rest and stem in tables and suffix == "csv":
        table = catalogue.load(stem, catalogue.folders(study))
        needs = [str(source.csv(root)) for source in table.sources(study)]
        return Job("collect", output, (*needs, *(str(run.choice(root)) for run in table.tuned_runs(study))))
    raise UserError(f"no rule makes '{output}'{targets.advice(output, tables)}")


def _named(study: Study, root: str, picture: str) -> Iterator[str]:
    """The files that name the jobs which a picture waits for."""
    for source in pictures.find(picture).sources(study):
        yield str(pictures.files_of(root, source)[0])


def _artifact(study: Study, root: str, output: str) -> Job:
    path = Path(output)
    if path.parts[-3:-2] == ("data",) and path.name in ("train.safetensors", "test.safetensors"):
        study.dataset(path.parent.name)
        return Job("prepare", output)
    if path.name == "choice.json":
        _, run = plan.parse(path.parent / f"seed{study.seeds[0]}/model.safetensors")
        assert isinstance(run, Run)
        plan.require_known(study, run)
        needs = [str(candidate.model(root)) for candidate in plan.candidates(study, run)]
        return Job(
            "select", output, (*needs, _selected_on(study, root, run)), work=tuple(plan.selection_work(study, run))
        )
    try:
        _, node = plan.parse(output)
    except UserError:
        raise UserError(f"no rule makes '{output}'{targets.advice(output, ())}") from None
    plan.require_known(study, node)
    needs = [str(plan.file_of(source, root)) for source in plan.needs(study, node)]
    work = tuple(plan.work_of(study, node))
    if isinstance(node, Cell | Shard | Particles):
        shards = plan.shards_of(study, node) if isinstance(node, Cell) else []
        needs += [*(str(shard.file(root)) for shard in shards), str(plan.data_file(root, node.dataset, "test"))]
        return Job(_MEASURED[type(node)], output, tuple(needs), node, work)
    needs.append(str(plan.data_file(root, node.dataset, "train")))
    if isinstance(node, Tape):
        return Job("record", output, tuple(needs), node, work, plan.tape_bytes(study, node), *_shared_out(study, node))
    method = study.method(node.method)
    if plan.tuned(method) and not node.part:
        needs.append(str(node.choice(root)))
    if method.member == "chosen":
        needs.append(_selected_on(study, root, node))
    return Job("train", output, tuple(needs), node, work, 0, *_shared_out(study, node))


def _shared_out(study: Study, node: Tape | Run) -> tuple[int, Exchange | None]:
    """The processes of a training, and what passes between them."""
    exchange = plan.exchange_of(study, node)
    return (plan.processes(study, node), exchange) if exchange else (1, None)


def _selected_on(study: Study, root: str, run: Run) -> str:
    split = study.selection_of(run.method).split
    return str(plan.data_file(root, run.dataset, "test" if split == "test" else "train"))
