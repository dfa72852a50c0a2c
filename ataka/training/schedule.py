"""The learning rate of each step."""

import math

from ataka.study import Setup
from ataka.study.fields import number


def learning_rate(setup: Setup, epoch: int, step: int, steps: int) -> float:
    """The rate of ``step``, from 0, of an epoch of ``steps`` steps, when ``epoch`` epochs have been completed.

    A rate that drops at milestones is the same in all steps of an epoch (G1). Other rates, and warm-up, follow the
    share of the training that is over once the step is taken, as in Rice et al.'s code (locuslab/robust_overfitting,
    train_cifar.py, ``cosine`` and ``superconverge``): the very last step has a rate of 0.
    """
    done = (epoch + (step + 1) / steps) / setup.epochs
    warmup = number(setup.warmup)
    rise = done / warmup if done < warmup else 1.0
    match setup.schedule:
        case "steps":
            return setup.learning_rate * setup.decay ** sum(milestone <= epoch for milestone in setup.milestones) * rise
        case "cosine":
            return setup.learning_rate * (rise if done <= warmup else _half_cosine((done - warmup) / (1 - warmup)))
        case "cyclic":
            return setup.learning_rate * _triangle(done, number(setup.peak))


def _half_cosine(share: float) -> float:
    """The half cosine from 1 to 0 as ``share`` goes from 0 to 1."""
    return (1 + math.cos(math.pi * share)) / 2


def _triangle(share: float, peak: float) -> float:
    """The triangle from 0 to 1 as ``share`` goes from 0 to ``peak``, and back to 0 at 1."""
    return share / peak if share <= peak else (1 - share) / (1 - peak)
