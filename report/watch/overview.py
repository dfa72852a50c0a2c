"""A study at one moment: its jobs by their states, the time left, and the words that both terminal and page show."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ataka.errors import UserError, few
from ataka.machine.progress import duration
from ataka.plan import commands
from ataka.study import Study
from report.forecast.jobs import RULES, Job
from report.grammar import counted
from report.watch import places, remaining, sights, traces
from report.watch.places import Place
from report.watch.remaining import Records, Remaining
from report.watch.sights import STATES, Logs, Sight, State

LISTED: tuple[State, ...] = ("failed", "stopped", "running", "queued")
"""The states whose jobs are listed by their names."""
_ALWAYS: tuple[State, ...] = ("done", "running", "to come")
_QUIET = 60.0
"""Seconds between two jobs, while Snakemake decides, in which a study still counts as running."""


@dataclass(frozen=True)
class Overview:
    """A study at the time ``at``; ``restart`` is the command that goes on with it."""

    place: Place
    inner: tuple[str, ...]
    """The targets that count, by their paths in the study's checkout."""
    sights: Mapping[str, Sight]
    left: Remaining
    at: float
    restart: str
    plan: str
    """The command that plans it."""
    locked: bool
    """Whether a Snakemake has locked the files: it runs, or was killed."""
    unknown: tuple[str, ...] = ()
    """The files that a running Snakemake makes under other settings than these."""

    def of(self, *states: State) -> list[Sight]:
        """The jobs in these states, the latest sign of life first."""
        chosen = [sight for sight in self.sights.values() if sight.state in states]
        return sorted(chosen, key=lambda sight: (-sight.last, sight.name))

    @property
    def finished(self) -> bool:
        return all(sight.state == "done" for sight in self.sights.values())

    @property
    def title(self) -> str:
        """The folder and the targets that count."""
        return f"{self.place.root}: {few(target.removeprefix(f'{self.place.inner}/') for target in self.inner)}"

    @property
    def moment(self) -> str:
        """The time ``at``, with its day and time zone."""
        return time.strftime("%d %B %Y, %H:%M %Z", time.localtime(self.at))

    @property
    def done(self) -> str:
        return f"{len(self.of('done')):,} of {counted(len(self.sights), 'job')} done"

    @property
    def status(self) -> str:
        """The state of the whole study, in a sentence."""
        if self.finished:
            return f"finished: all {len(self.sights):,} jobs are done"
        running, queued = len(self.of("running")), len(self.of("queued"))
        if running or queued:
            parts = [_count(running, "runs", "run"), _count(queued, "is queued", "are queued")]
            return f"{' and '.join(filter(None, parts))}{self._forecast(until=bool(running))}"
        last = max((sight.last for sight in self.sights.values() if sight.job.rule != "prepare"), default=0.0)
        if not last:
            return f"not started{self._forecast(until=False)}"
        if self.at - last < _QUIET and not self.of("failed", "stopped"):
            return f"between two jobs{self._forecast(until=True)}"
        return f"stopped: no job has run since {self.when(last)}{self._forecast(until=False)}"

    def _forecast(self, *, until: bool) -> str:
        seconds, basis = self.left.seconds, self.left.basis
        if seconds is None:
            return f"; the time left is known once this was run: {self.plan}"
        end = f", until about {_clock(self.at + seconds, self.at)}" if until else ""
        return f"; about {duration(seconds)} left{end} ({basis})"

    @property
    def advice(self) -> list[str]:
        """Sentences on what a person may have to do."""
        sentences = []
        if self.unknown:
            count = counted(len(self.unknown), "file")
            which = f"{count} that Snakemake is to make, such as {self.unknown[0]}"
            sentences.append(f"not counted: {which}; if it was started with --config, give the same here, as JSON")
        if waiting := sights.blocked(self.sights):
            sentences.append(f"{_count(waiting, 'waits', 'wait')} for one that failed")
        if self.finished or self.of("running", "queued") or self.status.startswith("between"):
            return sentences
        if self.locked:
            sentences.append("Snakemake's lock is there; if it was killed, remove the lock: snakemake --unlock")
        return [*sentences, f"go on with: {self.restart}"]

    def unfinished(self) -> list[tuple[State, list[Sight]]]:
        """The jobs to look at, by their states: failures first."""
        return [(state, jobs) for state in LISTED if (jobs := self.of(state))]

    def rows(self) -> list[list[str]]:
        """The jobs by their rules and states: a header, and a line for each rule and for all; 0 is left out."""
        shown = [state for state in STATES if state in _ALWAYS or self.of(state)]
        by_rule = {rule: [sight for sight in self.sights.values() if sight.job.rule == rule] for rule in RULES}
        lines = [self._row(rule, chosen, shown) for rule, chosen in by_rule.items() if chosen]
        return [["stage", "jobs", *shown], *lines, self._row("all", list(self.sights.values()), shown)]

    @staticmethod
    def _row(title: str, chosen: Sequence[Sight], shown: Sequence[State]) -> list[str]:
        counts = [sum(sight.state == state for sight in chosen) for state in shown]
        return [title, f"{len(chosen):,}", *(f"{count:,}" if count else "" for count in counts)]

    def details(self, sight: Sight) -> list[str]:
        """The lines below a job's name: how far it is, or why it isn't done and where its log lies."""
        line, log = sight.line, f"log: {sight.log}"
        where = line.where if line else ""
        if sight.state == "running":
            facts = line.facts if line else ()
            return [_listed(where or "starts", *facts, self._job_left(sight), self._silence(sight), sight.place)]
        if sight.state == "queued":
            return [sight.words]
        if sight.state == "failed":
            return [sight.words, _listed(self.when(sight.last), where, sight.place), log]
        return [_listed(f"last seen {self.when(sight.last)}", where, sight.place), sight.words, log]

    def _job_left(self, sight: Sight) -> str:
        left = self.left.each.get(next(output for output, its in self.sights.items() if its is sight))
        return f"about {duration(left)} left" if left else ""

    def _silence(self, sight: Sight) -> str:
        quiet = self.at - sight.last
        return f"silent for {duration(quiet)}" if quiet > 2 * _QUIET else ""

    def when(self, moment: float) -> str:
        """A moment by the clock, and how long ago."""
        return f"{_clock(moment, self.at)} ({duration(max(self.at - moment, 0.0))} ago)"


def _listed(*parts: str) -> str:
    return ", ".join(filter(None, parts))


def _count(count: int, one: str, more: str) -> str:
    """Such as ``2 jobs run``; nothing for 0."""
    return f"{count:,} {'job ' + one if count == 1 else 'jobs ' + more}" if count else ""


def _clock(moment: float, now: float) -> str:
    """A local time, with its day where that is another."""
    then, today = time.localtime(moment), time.localtime(now)
    return time.strftime("%H:%M" if then[:3] == today[:3] else "%a %d %b %H:%M", then)


_Start = tuple[frozenset[str], tuple[str, ...]]
"""The files that Snakemakes are to make, and the targets of the last start."""


class Watcher:
    """Looks at a results folder again and again: the jobs behind its targets are worked out once for each start."""

    def __init__(self, study: Study, place: Place) -> None:
        self._study, self._place = study, place
        self._records, self._logs = Records(), Logs()
        self._counted: tuple[_Start, list[str], list[str], dict[str, Job]] | None = None

    def look(self) -> Overview:
        """The study at this moment; UserError where the folder holds nothing."""
        place, now = self._place, time.time()
        notes = traces.notes(place.checkout, place.root, place.inner)
        start = frozenset(notes.due), notes.targets
        if self._counted is None or self._counted[0] != start:
            unknown = places.unknown(self._study, place, notes)
            self._counted = (start, unknown, *places.behind(self._study, place, notes))
        _, unknown, targets, every = self._counted
        seen = sights.see(place.root, every, notes, self._logs, now)
        left = remaining.of(self._study, seen, notes, self._records, now)
        inner = tuple(map(self._inner, targets))
        again = [self._inner(output) for output, sight in seen.items() if sight.kept]
        restart = commands.snakemake(self._study, *inner, forcerun=again)
        target = inner[0] if len(inner) == 1 else f"{place.inner}/all"
        planned = commands.plan(self._study, target)
        locked = not notes.due.keys().isdisjoint(every)
        return Overview(place, inner, seen, left, now, restart, planned, locked, tuple(unknown))

    def _inner(self, output: str) -> str:
        """The path of a file in the study's checkout."""
        return str(Path(self._place.inner, Path(output).relative_to(self._place.root)))


def unfinished(study: Study, root: str) -> Overview | None:
    """The study in the results folder ``root`` at this moment; None if it is finished, or nothing of it is there."""
    try:
        overview = Watcher(study, Place(root, "")).look()
    except UserError:
        return None
    return None if overview.finished else overview
