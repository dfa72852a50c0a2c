"""The printed names of data sets, networks, attacks and methods, as words (ataka/study/words.py)."""

from collections.abc import Iterable

from ataka import models
from ataka.errors import UserError
from ataka.study import Study, words


def dataset(name: str, study: Study) -> str:
    """The data set's own label, as ``CIFAR-10``."""
    try:
        label = study.dataset(name).specification.label
    except UserError:  # a name that only stands for another at this scale
        return name
    return _read(label)


def arch(name: str) -> str:
    """The registry's short label, as ``RN-18``."""
    return _read(models.label(name))


def labels(study: Study, names: Iterable[str]) -> dict[str, str]:
    """The printed names of data sets and networks, by their names."""

    def label(name: str) -> str:
        try:
            return arch(name)
        except ValueError:
            return dataset(name, study)

    return {name: label(name) for name in names}


def attack(name: str, study: Study) -> str:
    """The label of the attack's kind, as ``PGD``, for the attack that is named as its kind, or else the first of it.

    Of the others a variant of another entry, such as ``fog-256`` of ``fog``, is ``Fog 256``, and the rest are printed
    by their names. An attack that the scale leaves out counts as one of the other entry's kind, or of the kind of its
    own name.
    """
    base, _, variant = name.partition("-")
    entries = {key: entry for key, entry in study.attacks.items() if entry}
    family = entries[base].kind if base in entries else base
    kind = entries[name].kind if name in entries else family
    alike = {key: _read(entry.label) for key, entry in entries.items() if entry.kind == kind}
    if not alike:
        return name
    head, label = next((key, alike[key]) for key in (kind, *alike) if key in alike)
    if variant and kind == family:
        return f"{label} {variant}"
    return label if name == head or name not in entries else name


def method(name: str, study: Study) -> str:
    """The method's own label, as ``(S)AT-AKA``."""
    return _read(study.method(name).label)


def told_apart(name: str, study: Study) -> str:
    """The method's label, and for a variant under another set-up or reading also its own part: ``en-SAT, t4``."""
    base, _, variant = name.partition(".")
    label = method(name, study)
    alike = variant and base in study.methods and method(base, study) == label
    return f"{label}, {variant}" if alike else label


def _read(label: str) -> str:
    """The words of a label; UserError for a module's label that LaTeX would not set."""
    try:
        return words.read(words.label(label))
    except ValueError as error:
        raise UserError(f"label: {error}") from None


def listed(parts: list[str], last: str = "and") -> str:
    """``a, b and c``."""
    return f" {last} ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))
