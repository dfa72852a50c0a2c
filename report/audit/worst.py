"""The worst case of a network in each threat model: over the attacks of one norm and one budget, as RobustBench has it.

An attack without a budget in a norm, such as Fog, has a threat model of its own and joins no other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ataka.files.cells import numbers
from ataka.plan import Cell
from ataka.study import Study
from ataka.study.attacks import Ball
from report.accuracies.measurements import Bits
from report.union import worst


@dataclass(frozen=True)
class WorstCase:
    """The images of all its attacks, and those among them that are right under every one."""

    ball: Ball
    attacks: Sequence[str]
    n: int
    correct: int

    @property
    def accuracy(self) -> tuple[float, float, float]:
        """The accuracy and its 95 % interval, in per cent."""
        stated = numbers(self.correct, self.n)
        accuracy, low, high = (float(str(stated[name])) for name in ("accuracy", "ci_low", "ci_high"))
        return accuracy, low, high


def worst_cases(study: Study, verdicts: Mapping[Cell, Bits]) -> list[WorstCase]:
    """One for each ball that an attack of ``verdicts`` searches; clean images lie in each ball, so they count, too."""
    attacks = {cell.attack: study.attack(cell.attack) for cell in verdicts}
    bits = {cell.attack: right for cell, right in verdicts.items()}
    clean = [name for name, entry in attacks.items() if not entry.beats and not entry.ball]
    cases = []
    for ball in dict.fromkeys(entry.ball for entry in attacks.values() if entry.ball):
        inside = [*clean, *(name for name, entry in attacks.items() if entry.ball == ball)]
        right = worst([bits[name] for name in inside])
        cases.append(WorstCase(ball, inside, len(right), int(right.sum())))
    return cases
