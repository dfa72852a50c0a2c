"""Before the first job: print the jobs and their cost; stop a study of days on a machine without a GPU."""

import os
import sys
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, get_args

from ataka import plan
from ataka.errors import UserError
from ataka.machine import terminal, warm
from ataka.machine.progress import duration
from ataka.plan import Run, Tape, commands
from ataka.study import Stage, Study, config, plugins
from ataka.study.notes import notes
from report import targets
from report.forecast import devices, jobs, page
from report.forecast.devices import Device
from report.forecast.jobs import Job
from report.watch import traces
from rules.mistakes import mistakes_stop
from rules.scales import Scales

if TYPE_CHECKING:
    from snakemake.workflow import Workflow

PATIENCE = 3 * 86400
"""Seconds of work beyond which a study without a GPU is stopped."""
WIDTH = 110
"""Columns of a line."""

_servers: list[warm.Server] = []
"""At most one server, which forks jobs for as long as Snakemake lives."""


@mistakes_stop()
def announce(scales: Scales, workflow: "Workflow") -> None:
    """Print the cost of all due jobs, scale by scale, and open a warm server where the scale says `warm_start`."""
    terminal.print_what_is_read()
    asked, due = (
        {str(job.output[0]): None for job in some if job.output}
        for some in (workflow.dag.jobs, workflow.dag.needrun_jobs())
    )
    starting: dict[str, dict[str, Job]] = {}
    for root, study in scales.studies.items():
        every = jobs.each(study, root, [output for output in asked if _lies_in(output, root)])
        waiting = {name: job for name, job in every.items() if name in due}
        if waiting:
            starting[root] = every
        artifacts = sum(job.node is not None for job in waiting.values())
        if artifacts:
            _require_cores(study, workflow, waiting.values())
            describe(study, root, every, waiting, cores=workflow.cores if workflow.local_exec else None)
        if artifacts > 1 and study.warm_start and workflow.local_exec and not _servers:
            stages = (f"ataka.stages.{stage}" for stage in get_args(Stage))
            _servers.append(warm.Server("ataka.cli", *stages, "report.cli"))
            os.environ |= _servers[0].environment
    for root, every in starting.items():  # once no scale stops this start; for whoever watches it, as the facts are
        traces.note_start(root, scales.studies[root].overrides, jobs.last(every))
    plugins.keep()


def _require_cores(study: Study, workflow: "Workflow", due: Iterable[Job]) -> None:
    """UserError where a cluster's jobs would compute with more threads than they ask for CPUs."""
    cores = workflow.resource_settings.cores
    processes = max((plan.processes(study, job.node) for job in due if isinstance(job.node, Tape | Run)), default=1)
    needed = study.threads * processes
    if not workflow.local_exec and cores is not None and cores < needed:
        raise UserError(
            f"scale {study.scale} computes with {study.threads} threads a job (threads:)"
            f"{f' and {processes} processes a training (processes:)' if processes > 1 else ''}, but a job would get "
            f"{cores} of the cluster's CPUs: --cores {needed}"
        )


def describe(
    study: Study, root: str, asked: Mapping[str, Job], due: Mapping[str, Job], *, cores: int | None = None
) -> None:
    """Print work, estimate and readings; UserError for days of work on a machine without a GPU.

    ``asked`` are all jobs of the target, whose readings are printed, and ``due`` those that will run: on ``cores`` of
    this machine, or, where these aren't given, elsewhere.
    """
    print(f"scale {study.scale}: {study.about}")
    count = Counter(type(job.node).__name__.lower() for job in due.values() if job.node)
    work = ", ".join(f"{jobs} {_plural(kind) if jobs > 1 else kind}" for kind, jobs in sorted(count.items()))
    try:
        device = devices.here(study, cores=cores) if cores else devices.card(study, "h100")
        seconds = page.wall_seconds(due, device)
        expected = f"about {duration(seconds)} on {device.label} ({device.basis})"
    except devices.Unknown as error:
        device, expected = None, f"no estimate: {error}"
    print(f"to do: {work}; {expected}; the rest: {commands.plan(study, _target(root, asked))}")
    print("open sentences of the paper are read as follows (docs/readings.md):")
    print(*_readings(study, asked), sep="\n")
    for note in notes(study):
        print(f"note: {note}")
    print(flush=True)
    if device and cores and study.without_gpu == "stop" and not devices.gpu(study):
        _require_patience(study, due, device)


def _require_patience(study: Study, due: Mapping[str, Job], device: Device) -> None:
    """UserError where the jobs take days, all in all, on a machine without a GPU."""
    if sum(device.device_seconds(job) for job in due.values()) > PATIENCE:
        smaller = ", ".join(f"results/{scale}/" for scale in config.scales() if scale != config.DEFAULT_SCALE)
        raise UserError(
            f"this would take about {duration(page.wall_seconds(due, device))} on this machine, which has no GPU that "
            f"torch sees. Smaller scales: {smaller} (as in: {commands.snakemake(study, 'results/demo/table2.tex')}). "
            f"To go on all the same: {commands.config(study, without_gpu='go-on')}"
        )


def _readings(study: Study, asked: Mapping[str, Job]) -> list[str]:
    """A line for each question, with the settings that answer it for the artifacts among ``asked``."""
    by_question: dict[str, list[str]] = {}
    for setting, value in plan.all_readings(study, [job.node for job in asked.values() if job.node]).items():
        chosen, _, question = value.rpartition(" [")
        by_question.setdefault(question.rstrip("]"), []).append(f"{setting} {chosen}")
    return [
        textwrap.fill(f"  {question:<4}{', '.join(settings)}", WIDTH, subsequent_indent=6 * " ")
        for question, settings in sorted(by_question.items())
    ]


def _target(root: str, asked: Mapping[str, Job]) -> str:
    """The only file among ``asked`` that no other needs, or else the whole scale."""
    last = jobs.last(asked)
    return last[0] if len(last) == 1 else f"{root}/all"


def _lies_in(output: str, root: str) -> bool:
    with suppress(UserError):
        return targets.root_of(output) == root
    return False


def _plural(noun: str) -> str:
    return noun if noun.endswith("s") else f"{noun}s"


def note_what_a_module_lacks(workflow: "Workflow") -> None:
    """Print what a workflow lacks that imports this one by `module`: Snakemake runs no hooks of a module."""
    if workflow.is_main_process and not workflow.modifier.is_main_snakefile():
        print(
            "note: under `module` a failed job's previous result is not restored, days of work without a GPU are not "
            "stopped, nor results of other code spared, and no job starts warm; `include:` this Snakefile to have them",
            file=sys.stderr,
        )
