"""How data sets, networks and attacks are written in print; a name that isn't listed is printed as it is."""

import re
from collections.abc import Iterable

from ataka import models
from ataka.errors import UserError
from ataka.study import Study

_ATTACKS = {"clean": "Clean", "fgsm": "FGSM", "pgd": "PGD", "aa": "AA", "cw": "CW", "cw-l2": "CW ℓ₂", "fog": "Fog"}


def dataset(name: str, study: Study) -> str:
    """The data set's own label, as ``CIFAR-10``."""
    try:
        return study.dataset(name).specification.label
    except UserError:  # a name that only stands for another at this scale
        return name


def arch(name: str) -> str:
    """The registry's short label, as ``RN-18``."""
    return models.label(name)


def labels(study: Study, names: Iterable[str]) -> dict[str, str]:
    """How data sets and networks are printed, by their names."""

    def label(name: str) -> str:
        try:
            return arch(name)
        except ValueError:
            return dataset(name, study)

    return {name: label(name) for name in names}


def attack(name: str) -> str:
    """As ``PGD``; a variant of one that is listed as ``Fog 256``."""
    base, _, variant = name.partition("-")
    return _ATTACKS.get(name) or (f"{_ATTACKS[base]} {variant}" if base in _ATTACKS else name)


def method(label: str) -> str:
    """A method's label without its LaTeX: ``(S)AT-AKA$_1$`` is ``(S)AT-AKA_1``."""
    return re.sub(r"\\[a-zA-Z]+|[${}\\]", "", label)


def listed(words: list[str], last: str = "and") -> str:
    """``a, b and c``."""
    return f" {last} ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))
