"""Checks that a study's settings define every name that they mention: methods, set-ups, generators, networks."""

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from ataka import datasets, models
from ataka.errors import few, nearest
from ataka.study.methods import Ensemble, Method
from ataka.study.setups import Setup

if TYPE_CHECKING:
    from ataka.study import Study

PRINTED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
"""A name that stands in paths and, as it is, in LaTeX."""
_ENTRY = re.compile(r"[a-z0-9][a-z0-9_-]*")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]*(\.[a-z0-9-]+)*")


def check(study: "Study") -> None:
    """Raise ValueError, with the nearest name, for the first name outside a method that nothing defines."""
    _check_differences(study, "setups", {name: setup.where for name, setup in study.setups.items()})
    _check_differences(study, "methods", {name: method.where for name, method in study.methods.items()})
    for measured in study.particles.networks:
        _known(measured.method, study.methods, "particles.networks")
        _architecture(measured.arch, "particles.networks")
    _known(study.particles.dataset, study.teachers, "particles.dataset")
    _check_shards(study)
    for dataset, arch in study.teachers.items():
        _architecture(study.stand_ins.get(arch, arch), f"teachers.{dataset}")
    for group, named in (("attacks", study.attacks), ("generators", study.generators)):
        for name in named:
            if not PRINTED.fullmatch(name):
                raise ValueError(f"{group}.{name}: a name is letters, digits, '.', '-' and '_'")
    for name in study.datasets:
        if not _ENTRY.fullmatch(name):
            raise ValueError(f"datasets.{name}: a name is lower case, digits, '-' and '_'")
        if name in datasets.names():
            raise ValueError(f"datasets.{name}: a data set of that name comes with ataka; choose another")
    for name, used in study.stand_ins.items():
        if name not in study.teachers and not _is_architecture(name):
            advice = nearest(name, study.teachers)
            raise ValueError(f"stand_ins: '{name}' is neither a data set of the tables nor a network{advice}")
        if _is_architecture(name):
            _architecture(used, f"stand_ins.{name}")


def _check_differences(study: "Study", group: str, where: Mapping[str, Mapping[str, object]]) -> None:
    """Refuse unknown names of data sets and networks in ``where``: entries of ``group`` to their differences."""
    for entry, differences in where.items():
        for key in differences:
            if key not in study.teachers and not _is_architecture(key):
                raise ValueError(f"{group}.{entry}.where: '{key}' is neither a data set of the tables nor a network")


def _check_shards(study: "Study") -> None:
    """Refuse shards of an attack that is cut into no chunks: they would be ignored."""
    for name in study.shards:
        _known(name, study.attacks, "shards")
        entry = study.attacks[name]
        if entry and entry.chunk is None:
            chunked = [other for other, attack in study.attacks.items() if attack and attack.chunk]
            raise ValueError(
                f"shards.{name}: an attack of kind {entry.kind} has no canonical chunks for several jobs to share; "
                f"attacks with such chunks: {few(chunked, most=12)}"
            )


def check_method(study: "Study", name: str) -> None:
    """Raise ValueError where the method ``name`` mentions what nothing defines, or contradicts itself."""
    method = study.methods[name]
    if not _NAME.fullmatch(name):
        raise ValueError(f"methods.{name}: a name is lower case, digits and '-', variants after a '.'")
    _known(method.setup, study.setups, f"methods.{name}.setup")
    ways = {"objective": method.objective, "checkpoints": method.checkpoints, "member_of": method.member_of}
    given = [way for way, value in ways.items() if value]
    if len(given) > 1:
        raise ValueError(f"methods.{name}: {' and '.join(given)} exclude each other")
    if method.generator is not None:
        _known(method.generator, study.generators, f"methods.{name}.generator")
    for role, teacher in method.teachers.items():
        _known(teacher, study.methods, f"methods.{name}.teachers.{role}")
        if study.methods[teacher].teachers:
            raise ValueError(f"methods.{name}.teachers.{role}: {teacher} has teachers itself")
    for role, arch in method.architectures.items():
        _known(role, method.teachers, f"methods.{name}.architectures")
        _architecture(study.stand_ins.get(arch, arch), f"methods.{name}.architectures.{role}")
    if method.chosen_on is not None and method.alpha != "tuned" and method.member != "chosen":
        raise ValueError(f"methods.{name}.chosen_on: nothing is chosen, alpha is {method.alpha}")
    if method.average_of is not None:
        _known(method.average_of, study.methods, f"methods.{name}.average_of")
        if method.members < 2 or study.methods[method.average_of].members != method.members or method.joint:
            raise ValueError(f"methods.{name}.average_of: {method.average_of} has no {method.members} members for it")
    if method.attacked == "member" and method.members == 1:
        raise ValueError(f"methods.{name}.attacked: it is one network, which has no members")
    if method.member_of is not None:
        _known(method.member_of, study.methods, f"methods.{name}.member_of")
        together = study.methods[method.member_of]
        if not together.joint:
            raise ValueError(f"methods.{name}.member_of: the members of {method.member_of} don't train together")
        if method.member is None or (method.member != "chosen" and method.member >= together.members):
            raise ValueError(f"methods.{name}.member: say 'chosen', or 0 to {together.members - 1}")
    elif method.member is not None:
        raise ValueError(f"methods.{name}.member needs member_of")
    _check_chosen(study, name, method)
    if method.ensemble:
        _check_ensemble(study, name, method, method.ensemble)
    elif method.online:
        raise ValueError(f"methods.{name}.online needs an ensemble to train beside")
    elif method.members > 1 and method.alpha == "tuned" and not method.joint:
        raise ValueError(f"methods.{name}.members: alpha is tuned for one network, not for several")


def _check_chosen(study: "Study", name: str, method: Method) -> None:
    """Nothing is chosen on images that a network behind it was trained on (``images: all``)."""
    trained = study.methods[method.member_of] if method.member_of else method
    setups = [trained.setup, *(study.methods[teacher].setup for teacher in trained.teachers.values())]
    setups += [trained.ensemble.setup] if trained.ensemble else []
    on_validation = (method.chosen_on or study.selection.split) == "validation"
    choices = {
        "alpha: tuned": (method.alpha == "tuned" and on_validation, "give alpha a number"),
        "member: chosen": (method.member == "chosen" and on_validation, "give the member's number"),
        "checkpoint: best": (_somewhere(study, trained.setup, "checkpoint", "best"), "take checkpoint: last"),
    }
    for choice, (is_made, way) in choices.items():
        seen = [setup for setup in setups if is_made and _somewhere(study, setup, "images", "all")]
        if seen:
            raise ValueError(
                f"methods.{name}: {choice} is a choice on validation images, but set-up '{seen[0]}' trains on all "
                f"images; {way}, or setups.{seen[0]}.images: rest"
            )


def _somewhere(study: "Study", setup: str, field: str, value: object) -> bool:
    """Whether a set-up, for any data set or network, has this value of a field."""
    if setup not in study.setups:
        return False  # an unknown name is told of elsewhere
    entry = study.setups[setup]
    return value in (getattr(entry, field), *(change.get(field) for change in entry.where.values()))


def _check_ensemble(study: "Study", name: str, method: Method, ensemble: Ensemble) -> None:
    _known(ensemble.generator, study.generators, f"methods.{name}.ensemble.generator")
    _known(ensemble.setup, study.setups, f"methods.{name}.ensemble.setup")
    for teacher, student in _both_setups(study, method.setup, ensemble.setup):
        _check_pair(name, method, ensemble, teacher, student)
    if method.members > 1:
        raise ValueError(f"methods.{name}.members: a student of an ensemble is one network, not several")
    if ensemble.shares:
        _known(ensemble.shares.generator, study.generators, f"methods.{name}.ensemble.shares.generator")
        if ensemble.shares.n < ensemble.n:
            raise ValueError(f"methods.{name}.ensemble.shares.n: {ensemble.shares.n} are fewer than {ensemble.n}")


def _both_setups(study: "Study", student: str, teacher: str) -> Iterator[tuple[Setup, Setup]]:
    """The set-ups of teachers and student, for each data set of this scale and each network that the latter names."""
    of_student = study.setups[student]
    for dataset, arch in study.teachers.items():
        if study.stand_in(dataset) is not None:
            theirs = study.setups[teacher].at([dataset, arch])
            others = [name for name in of_student.where if name not in study.teachers]
            yield from ((theirs, of_student.at([dataset, other])) for other in ("", *others))


def _check_pair(name: str, method: Method, ensemble: Ensemble, teacher: Setup, student: Setup) -> None:
    """``student`` can follow ``teacher``: it sees the same images, and as often at most."""
    for setting in ("augmentation", "images"):
        theirs, its = getattr(teacher, setting), getattr(student, setting)
        if its != theirs:
            raise ValueError(
                f"methods.{name}: the student sees the images that its teachers saw, but {setting} is {its} (set-up "
                f"{method.setup}) and {theirs} (set-up {ensemble.setup})"
            )
    if student.epochs > teacher.epochs:
        raise ValueError(
            f"methods.{name}: the student trains {student.epochs} epochs (set-up {method.setup}) "
            f"but its tape has only {teacher.epochs} (set-up {ensemble.setup})"
        )
    if teacher.averaging and not method.online:
        raise ValueError(
            f"methods.{name}.ensemble.setup: {ensemble.setup} averages weights, but a tape holds what teachers say as "
            "they train; name a set-up without ema and swa (the student's own may have them)"
        )
    if method.online and _of_the_loop(student) != _of_the_loop(teacher):
        raise ValueError(
            f"methods.{name}.online: student and teachers train in one loop, but under other set-ups (the student "
            f"{method.setup}, the teachers {ensemble.setup}); take one that is the same for both networks"
        )


def _of_the_loop(setup: Setup) -> Mapping[str, object]:
    """The settings shared by all networks of a training; other settings act before training or on what is kept."""
    return setup.model_dump(exclude={"initialisation", "batchnorm_momentum", "ema", "swa", "checkpoint"})


def _known(name: str, names: Mapping[str, object], where: str) -> None:
    if name not in names:
        raise ValueError(f"{where}: '{name}' is not defined{nearest(name, names)}")


def _architecture(arch: str | None, where: str) -> None:
    if arch is not None:
        try:
            models.check(arch)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None


def _is_architecture(name: str) -> bool:
    try:
        models.check(name)
    except ValueError:
        return False
    return True
