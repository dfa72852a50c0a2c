"""Values that a text may cite, from a scale's compact files. A value that isn't measured reads "not measured yet".

Names are the paper's data sets and networks, the methods of config/methods.yaml and the attacks of config/: a name that
the study lacks is a UserError.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean
from typing import Any

from ataka.errors import UserError, nearest
from ataka.plan import Cell, Particles
from report import markdown, names
from report.accuracies import differences
from report.claims import judge
from report.claims.sentences import Contrast
from report.grammar import counted, plural
from report.sources import Source
from report.statistics import ALPHA, Paired, summarise
from report.study import pages
from report.study.files import Kept

MISSING = "not measured yet"


@dataclass(frozen=True)
class Difference:
    """One method's accuracy minus another's under an attack, in points, by the paired test of the claims.

    ``str`` gives the whole sentence; ``p`` is two-sided and not corrected for other comparisons.
    """

    words: str
    sample: Paired | None
    n: int = 0
    seeds: int = 0

    @property
    def points(self) -> float | None:
        """The estimate in points; None where a method is not measured."""
        return None if self.sample is None else self.sample.estimate

    @cached_property
    def p(self) -> float:
        """The two-sided p-value; 1 where a method is not measured."""
        return 1.0 if self.sample is None else min(1.0, 2 * min(self.sample.p_above(), self.sample.p_below()))

    @property
    def significant(self) -> bool:
        """Whether the p-value is below the level of all tests."""
        return self.p < ALPHA

    def __bool__(self) -> bool:
        return self.sample is not None

    def __str__(self) -> str:
        if self.sample is None:
            return f"{self.words}: {MISSING}"
        low, high = self.sample.interval(0.95)
        numbers = [f"{value:+.1f}".replace("-", "−") for value in (self.sample.estimate, low, high)]
        p = "p < 0.001" if self.p < 0.001 else f"p = {self.p:.3f}"
        seeds = counted(self.seeds, "seed")
        return f"{self.words}: {numbers[0]} points [{numbers[1]}, {numbers[2]}], {p} ({self.n:,} images, {seeds})"


class Figures:
    """The values of one scale."""

    def __init__(self, kept: Kept) -> None:
        self._kept, self.scale = kept, kept.study.scale

    @property
    def about(self) -> str:
        """The scale in a phrase, without a full stop."""
        return self._kept.study.about.strip().rstrip(".")

    @cached_property
    def pages(self) -> list[str]:
        """Links to the tables' pages, a line each: the seeds, and how much is measured."""
        lines = []
        for name, table in pages.shown(self._kept).items():
            study, rows = pages.of_table(self._kept, table)
            due = len(table.sources(study))
            part = "whole" if len(rows) == due else f"{len(rows)} of {due} {table.noun} so far"
            seeds = names.listed([str(seed) for seed in study.seeds])
            link = f"[Table {markdown.escape(table.numbered)}](study/{self.scale}/{name}.md)"
            lines.append(f"- {link}: {part}, {plural(len(study.seeds), 'seed')} {seeds}")
        return lines

    def label(self, method: str) -> str:
        """The method's label in Markdown; a variant of the same label says its own part of the name, too."""
        study, varied = self._kept.study, differences.varied(method)
        label = markdown.escape(names.method(method, study))
        alike = varied in study.methods and study.methods[varied].label == study.method(method).label
        return f"{label} ({method.removeprefix(varied).lstrip('.')})" if alike else label

    # ---- accuracies

    def value(self, method: str, attack: str, dataset: str = "cifar10", arch: str = "resnet18") -> float | None:
        """The accuracy in %, the mean over the seeds that have it; None where there is none."""
        values = [float(self._kept.cells[cell]["accuracy"]) for cell in self._cells(method, attack, dataset, arch)]
        return fmean(values) if values else None

    def accuracy(self, method: str, attack: str, dataset: str = "cifar10", arch: str = "resnet18") -> str:
        """Such as ``17.1 % (14.9 to 19.6)``, with Wilson's interval, or ``17.1 % ± 0.8`` over several seeds."""
        rows = [self._kept.cells[cell] for cell in self._cells(method, attack, dataset, arch)]
        summary = summarise([float(row["accuracy"]) for row in rows])
        if summary is None:
            return MISSING
        if summary.spread is not None:
            return f"{summary.mean:.1f} % ± {summary.spread:.1f} over {summary.seeds} seeds"
        return f"{summary.mean:.1f} % ({float(rows[0]['ci_low']):.1f} to {float(rows[0]['ci_high']):.1f})"

    def images(self, attack: str) -> str:
        """The number of test images of an attack."""
        counts = sorted({int(row["n"]) for cell, row in self._kept.cells.items() if cell.attack == attack})
        return names.listed([f"{n:,}" for n in counts], "or") or MISSING

    def difference(
        self, method: str, other: str, attack: str, dataset: str = "cifar10", arch: str = "resnet18"
    ) -> Difference:
        """``method`` minus ``other``, over the seeds that have both."""
        words = f"{self.label(method)} − {self.label(other)} under {names.attack(attack, self._kept.study)}"
        pairs = {cell.seed: [cell] for cell in self._cells(method, attack, dataset, arch)}
        for cell in self._cells(other, attack, dataset, arch):
            pairs.get(cell.seed, []).append(cell)
        both = [[self._kept.bits[cell] for cell in pair] for pair in pairs.values() if len(pair) > 1]
        if not both:
            return Difference(words, None)
        if any(len(one) != len(two) for one, two in both):
            raise UserError(f"{words}: the cells are over different images")
        contrast = Contrast(attack, ((method, 1.0), (other, -1.0)))
        sample = judge.paired([100 * (one.astype(float) - two) for one, two in both], contrast)
        return Difference(words, sample, len(both[0][0]), len(both))

    def ranking(self, methods: Sequence[str], attack: str, dataset: str = "cifar10", arch: str = "resnet18") -> str:
        """The methods from the most to the least accurate, with their accuracies."""
        values = {method: self.value(method, attack, dataset, arch) for method in methods}
        known = sorted(((value, method) for method, value in values.items() if value is not None), reverse=True)
        return ", ".join(f"{self.label(method)} {value:.1f}" for value, method in known) or MISSING

    def same(self, method: str, other: str, dataset: str = "cifar10", arch: str = "resnet18") -> str:
        """Whether two methods' networks are the same to the bit, seed by seed."""
        one, two = (self._networks(name, dataset, arch) for name in (method, other))
        seeds = one.keys() & two.keys()
        if not seeds:
            return MISSING
        equal = sum(one[seed] == two[seed] for seed in seeds)
        return f"{equal} of {len(seeds)} pairs of networks are the same to the bit"

    def exceptions(self, attack: str = "aa", weaker: str = "pgd") -> str:
        """The images that a network gets right under ``attack`` and wrong under ``weaker``, network by network."""
        lines = []
        compared = 0
        for cell, bits in sorted(self._kept.bits.items(), key=lambda pair: repr(pair[0])):
            other = self._kept.bits.get(Cell(cell.dataset, cell.arch, cell.method, cell.seed, weaker))
            if cell.attack == attack and other is not None:
                common = min(len(bits), len(other))
                compared += 1
                images = [str(image) for image in range(common) if bits[image] and not other[image]]
                if images:
                    lines.append(f"{self.label(cell.method)} (seed {cell.seed}): {', '.join(images)}")
        if not compared:
            return MISSING
        return f"{len(lines)} of {compared} networks have such an image. {'; '.join(lines)}".strip()

    # ---- particles

    def particles(self, generator: str, statistic: str, method: str = "natural") -> float | None:
        """The mean of a statistic over the images, on the network that was trained as ``method``; None without it."""
        rows = self._particles(generator, method)
        if rows and statistic not in rows[0]:
            raise UserError(f"particles have no statistic '{statistic}'{nearest(statistic, rows[0])}")
        return fmean(float(row[statistic]) for row in rows) if rows else None

    def largest(self, generator: str, statistic: str, method: str = "natural") -> float | None:
        """The largest over the images."""
        return max((float(row[statistic]) for row in self._particles(generator, method)), default=None)

    def change(self, generator: str, other: str, statistic: str, method: str = "natural") -> str:
        """The change of a statistic's mean from the generator ``other`` to ``generator``, in %."""
        new, old = (self.particles(name, statistic, method) for name in (generator, other))
        return MISSING if new is None or not old else f"{number(100 * (new / old - 1), '+z.0f')} %"

    def same_particles(self, generator: str, other: str, method: str = "natural") -> bool:
        """Whether two generators' statistics are equal in every digit for every image."""
        both = [self._particles(name, method) for name in (generator, other)]
        numbers = [[{**row, "generator": "", **dict.fromkeys(_OF_A_JOB, "")} for row in rows] for rows in both]
        return bool(both[0]) and numbers[0] == numbers[1]

    def counted_images(self, generator: str, method: str = "natural") -> int:
        """The number of images on which a generator's particles were measured."""
        return len(self._particles(generator, method))

    # ---- claims

    def claims(self, table: int) -> str:
        """The counts of verdicts on the claims of the paper's table."""
        return pages.counted(pages.verdicts(self._kept, table)[1])

    # ---- which measurements

    def _place(self, dataset: str, arch: str) -> tuple[str, str]:
        study = self._kept.study
        return study.stand_in(dataset) or dataset, study.stand_in(arch) or arch

    def _cells(self, method: str, attack: str, dataset: str, arch: str) -> list[Cell]:
        study = self._kept.study
        study.method(method)
        if study.attacks.get(attack, "unknown"):
            study.attack(attack)
        wanted = [Cell(*self._place(dataset, arch), method, seed, attack) for seed in study.seeds]
        return [cell for cell in wanted if cell in self._kept.cells]

    def _networks(self, method: str, dataset: str, arch: str) -> dict[int, str]:
        """The SHA-256 of a method's network, by its seed."""
        self._kept.study.method(method)
        place = *self._place(dataset, arch), method
        rows = self._kept.cells.items()
        return {cell.seed: row["model_sha256"] for cell, row in rows if (cell.dataset, cell.arch, cell.method) == place}

    def _particles(self, generator: str, method: str) -> list[dict[str, str]]:
        study = self._kept.study
        if generator not in study.generators:
            raise UserError(f"no generator '{generator}' in config/{nearest(generator, study.generators)}")
        fitting = [network for network in study.particles.networks if network.method.split(".")[0] == method]
        dataset = study.stand_in(study.particles.dataset) or study.particles.dataset
        for one in fitting:
            source: Source = Particles(dataset, one.arch, one.method, study.seeds[0], generator)
            if source in self._kept.particles:
                return self._kept.particles[source]
        return []


_OF_A_JOB = ("config_sha256", "seconds", "cpu_seconds", "memory_mb", "gpu_memory_mb", "finished_at", "code_sha256")


def number(value: Any, form: str = ".1f") -> str:
    """A number in a text, or that it isn't measured: the filter ``number`` of texts."""
    return MISSING if value is None else format(value, form).replace("-", "−")
