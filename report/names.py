"""How data sets, networks and attacks are written in print; a name that isn't listed is printed as it is."""

import re

from ataka import models

_DATASETS = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "digits": "digits"}
_ATTACKS = {"clean": "Clean", "fgsm": "FGSM", "pgd": "PGD", "aa": "AA", "cw": "CW", "cw-l2": "CW ℓ₂", "fog": "Fog"}


def dataset(name: str) -> str:
    return _DATASETS.get(name, name)


def arch(name: str) -> str:
    """The registry's short label, as ``RN-18``."""
    return models.label(name)


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
