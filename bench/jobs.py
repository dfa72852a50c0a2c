"""The fixed cost of a job on a cluster and of a dry run, beside commit 6c62ef6, the last before these were cut.

A job evaluates 16 digits without an attack, so that nearly all of its cost is the start: Snakemake twice, as Slurm's
plug-in has it, then torch. In a group the first Snakemake and torch start once, and the second Snakemake for each
evaluation. CPU seconds and memory are those of Slurm's accounting. The memory is the peak of the batch step and that of
the largest step beside it, over all processes, so that memory which a forked process shares counts twice. An evaluation
in a group of eight has an eighth of the group's CPU seconds, and the group's memory. A dry run is
`snakemake -n results/all`, with the peak of its one process, which loads Slurm's plug-in where that is installed. The
commits take turns, with the same packages. Other work on the machine costs CPU seconds, too: measure on an idle one.

    python -m bench.jobs                writes docs/performance/jobs.csv

It needs git's history, Snakemake's plug-in (`make slurm`) and the packages of a cluster with accounting
(`python -m tests.slurm.cluster install --accounting`).
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from bench.timing import FOLDER, keep, turns
from tests.slurm.cluster import Cluster, Unavailable, running
from tests.slurm.study import OnCluster
from tests.workflow.driver import HOME, Checkout

BEFORE = "6c62ef6"
SEEDS = range(4)
RUNS = "digits/resnet10-w8/natural"
CELLS = [f"results/smoke/cells/{RUNS}/seed{seed}/{attack}.csv" for seed in SEEDS for attack in ("clean", "fgsm")]
PROFILE = (
    *("--executor", "slurm", "--jobs", "8", "--cores", "1", "--latency-wait", "30"),
    *("--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "5"),
)
TOGETHER = ("--group-components", f"evaluations={len(CELLS)}")
DRY_RUNS = {"one seed": 1, "ten seeds": 10}
_MEASURED = """
import json, os, sys
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(child, 0)
print(json.dumps([os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime, usage.ru_maxrss]))
"""
"""A small process between: Linux counts the memory of whoever starts a program as the program's."""
_PATIENCE = 60


@dataclass(frozen=True)
class Usage:
    """What one job took; ``memory`` in 10^6 bytes."""

    cpu_seconds: float
    memory: float


@dataclass(frozen=True)
class Row:
    """A line of the CSV: medians, and the quartiles of the CPU seconds. Shares are those of ``BEFORE`` alone."""

    task: str
    contestant: str
    cpu_seconds: str
    low: str
    high: str
    cpu_share: str
    memory_mb: str
    memory_share: str


def job(study: OnCluster, cells: Sequence[str], *more: str) -> Usage:
    """Make ``cells`` in one Slurm job; the usage for each of them."""
    answer = study.on_cluster("--force", *cells, *more, *_with(len(SEEDS)), timeout=1200)
    ids = {*re.findall(r"SLURM jobid (\d+)", answer.text)}
    if answer.code or len(ids) != 1:
        raise SystemExit(f"exit code {answer.code}, {len(ids)} jobs:\n{answer.text}")
    usage = _accounted(study.cluster, ids.pop(), len(cells))
    return Usage(usage.cpu_seconds / len(cells), usage.memory)


def _accounted(cluster: Cluster, job: str, steps: int) -> Usage:
    """CPU seconds of a job, and its batch step's peak of memory with that of its largest step, once sacct knows all."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        answer = cluster.ask(
            "sacct", "--parsable2", "--noheader", "--jobs", job, "--units", "K", "--format", "State,TotalCPU,MaxRSS"
        )
        lines = [line.split("|") for line in answer.splitlines()]
        if len(lines) == 2 + steps and all(state == "COMPLETED" for state, *_ in lines):
            batch, *others = (float(rss.removesuffix("K")) * 1024 / 1e6 for *_, rss in lines[1:])
            return Usage(_seconds(lines[0][1]), batch + max(others))
        time.sleep(1)
    raise SystemExit(f"sacct has no complete account of job {job}:\n{answer}")


def _seconds(clock: str) -> float:
    """``[hours:]minutes:seconds`` as seconds."""
    seconds = 0.0
    for part in clock.split(":"):
        seconds = 60 * seconds + float(part)
    return seconds


def dry_run(checkout: Checkout, seeds: int) -> Usage:
    """`snakemake -n results/all`."""
    asked = [sys.executable, "-m", "snakemake", "-n", "results/all", *_with(seeds)]
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, *asked],
        cwd=checkout.folder,
        env=checkout.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    code, cpu_seconds, kilobytes = json.loads(done.stdout.splitlines()[-1])
    if code:
        raise SystemExit(f"exit code {code}:\n{done.stdout}")
    return Usage(cpu_seconds, kilobytes * 1024 / 1e6)


def _with(seeds: int) -> tuple[str, str]:
    return "--config", f"seeds={json.dumps([*range(seeds)])}"


def in_turn(contestants: Mapping[str, Callable[[], Usage]], rounds: int) -> dict[str, list[Usage]]:
    """Each contestant once a round; every round begins with another."""
    usages: dict[str, list[Usage]] = {name: [] for name in contestants}
    for _, name, usage in turns(contestants, rounds):
        usages[name].append(usage)
        print(f"{name}: {usage}", flush=True)
    return usages


def rows(task: str, usages: Mapping[str, Sequence[Usage]]) -> Iterator[Row]:
    """The lines of ``task``; the first contestant is the measure of the shares."""
    medians = {
        name: Usage(statistics.median(run.cpu_seconds for run in each), statistics.median(run.memory for run in each))
        for name, each in usages.items()
    }
    base = next(iter(medians.values()))
    for name, median in medians.items():
        seconds = [run.cpu_seconds for run in usages[name]]
        low, _, high = statistics.quantiles(seconds, n=4, method="inclusive") if len(seconds) > 1 else 3 * seconds
        yield Row(
            task,
            name,
            f"{median.cpu_seconds:.3g}",
            f"{low:.3g}",
            f"{high:.3g}",
            f"{median.cpu_seconds / base.cpu_seconds:.2f}",
            f"{median.memory:.0f}",
            f"{median.memory / base.memory:.2f}",
        )


def measure(rounds: int) -> Iterator[Row]:
    """Jobs on a cluster, then dry runs."""
    with tempfile.TemporaryDirectory(prefix="jobs-") as name, running(accounting=True) as cluster:
        folder = Path(name)
        before, now = (
            OnCluster(checkout.folder, cluster, _plugin(), PROFILE)
            for checkout in (commit(BEFORE, folder / "before"), Checkout.of(HOME, folder / "now"))
        )
        for study in (before, now):
            _prepare(study)
        jobs = {
            f"{BEFORE}, a job alone": partial(job, before, CELLS[:1]),
            "now, a job alone": partial(job, now, CELLS[:1]),
            "now, one of eight in a group": partial(job, now, CELLS, *TOGETHER),
        }
        yield from rows("an evaluation on the cluster", in_turn(jobs, rounds))
        for words, seeds in DRY_RUNS.items():
            runs = {
                BEFORE: partial(dry_run, Checkout(before.folder), seeds),
                "now": partial(dry_run, Checkout(now.folder), seeds),
            }
            yield from rows(f"a dry run, {words}", in_turn(runs, rounds))


def commit(name: str, folder: Path) -> Checkout:
    """The files of a commit in a new ``folder``."""
    folder.mkdir()
    archive = subprocess.run(["git", "archive", name], cwd=HOME, stdout=subprocess.PIPE, check=True).stdout
    subprocess.run(["tar", "x"], cwd=folder, input=archive, check=True)
    return Checkout(folder)


def _prepare(study: OnCluster) -> None:
    """Train what is evaluated, and evaluate it once; let a dry run note what it reads of the methods' modules."""
    dry_run(study, 1)
    answer = study.snakemake(*CELLS, *_with(len(SEEDS)), timeout=1200)
    if answer.code:
        raise SystemExit(answer.text)


def _plugin() -> Path:
    spec = find_spec("snakemake_executor_plugin_slurm")
    if spec is None or spec.origin is None:
        raise Unavailable("there is no Snakemake plug-in for it: make slurm")
    return Path(spec.origin).parent.parent


def main(arguments: list[str]) -> int:
    """Measure, and write the CSV after each line."""
    parser = argparse.ArgumentParser(prog="python -m bench.jobs", description="The fixed cost of a cluster's job.")
    parser.add_argument("--rounds", type=int, default=5, help="how often each contestant has its turn (5)")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the CSV goes")
    given = parser.parse_args(arguments)
    try:
        keep("jobs", measure(given.rounds), given.folder, packages=["snakemake"])
    except Unavailable as error:
        print(f"no cluster with Slurm: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
