"""Does a study know its attacks by their own modules alone, wherever these lie, and refuse what is none?"""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ataka import plan
from ataka.errors import UserError
from ataka.plan import Cell, Run
from ataka.study import attacks, config
from report import names

SHIFT = """
from ataka.attacks.check import checked
from ataka.study.attacks import AttackOptions
from ataka.study.fields import Budget

LABEL = "Shift"


class Options(AttackOptions):
    eps: Budget
    down: bool = False


def sentence(options):
    return "{heading}: every pixel by {eps}, down: {down}."


@checked()
def attack(model, x, y, *, eps, down):
    return (x - eps if down else x + eps).clamp(0, 1)
"""
Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write modules of a package ``elsewhere`` that lies outside the repository."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(**modules: str) -> None:
        for name, text in modules.items():
            path = tmp_path / "elsewhere" / f"{name}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
            monkeypatch.delitem(sys.modules, f"elsewhere.{name}", raising=False)
        monkeypatch.delitem(sys.modules, "elsewhere", raising=False)

    return write


def load(**entries: Any) -> config.Study:
    return config.load("smoke", {"attacks": entries})


def test_an_attack_from_elsewhere_is_as_good_as_ours(write: Write) -> None:
    write(shift=SHIFT)
    study = load(**{"shift": {"kind": "elsewhere.shift"}, "shift-down": {"kind": "elsewhere.shift", "down": True}})
    entry = study.attack("shift")
    assert entry.settings == {"kind": "elsewhere.shift", "images": None, "eps": study.eps, "down": False}
    assert (entry.beats, entry.forwards, entry.checks) == (["clean"], 3, [])
    assert names.attack("shift", study) == "Shift"
    assert names.attack("shift-down", study) == "Shift down"
    cell = Cell("digits", "resnet10-w8", "natural", 0, "shift")
    assert plan.cell_settings(study, cell)["attack"] == entry.settings
    assert plan.code_of(study, cell) == ("ataka.evaluation", "elsewhere.shift")


def test_it_may_choose_alpha(write: Write) -> None:
    write(shift=SHIFT)
    study = config.load("smoke", {"selection": {"attack": {"kind": "elsewhere.shift"}}})
    assert "steps" not in study.selection.attack.options  # of the attack that it takes the place of
    assert study.selection.attack.short == "Shift"
    assert "elsewhere.shift" in plan.selection_code(study)
    assert plan.selection_settings(study, "s-at-aka")["attack"]["kind"] == "elsewhere.shift"
    assert config.load("smoke").selection.attack.short == "PGD-2"


def test_its_code_and_its_options_decide_its_cells_alone(write: Write) -> None:
    def digests(**options: object) -> list[str]:
        study = load(shift={"kind": "elsewhere.shift", **options})
        run = Run("digits", "resnet10-w8", "natural", 0)
        cells = [Cell("digits", "resnet10-w8", "natural", 0, name) for name in ("shift", "pgd")]
        return [plan.digest(plan.settings_of(study, node)) for node in (run, *cells)]

    write(shift=SHIFT)
    before, after = digests(), digests(down=True)
    assert [one == other for one, other in zip(before, after, strict=True)] == [True, False, True]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "attacks.mine: no attack of kind 'elsewhere.mine', and no such module is on the Python path"),
        (
            SHIFT + "BEATS = ('fgms', 'clean')",
            "'elsewhere.mine': its BEATS has no attack of kind 'fgms'; did you mean 'fgsm'?",
        ),
        (SHIFT + "BEATS = ('fgsm')", "'elsewhere.mine': its BEATS is a string; write a tuple, ('fgsm',)"),
        (
            "import nowhere",
            "attacks.mine: can't import the attack 'elsewhere.mine': ModuleNotFoundError: No module nam",
        ),
        ("1 / 0", "can't import the attack 'elsewhere.mine': ZeroDivisionError: division by zero (mine.py, line 1)"),
        ("x = 1", "attacks.mine: 'elsewhere.mine' is no attack: it needs a function attack and a class Options"),
        (
            SHIFT.replace("(AttackOptions)", ""),
            "'elsewhere.mine': its Options must inherit AttackOptions",
        ),
        (SHIFT.replace("{eps}", "{esp}"), "attacks.mine: 'elsewhere.mine': its sentence names {esp}, which is none of"),
        (
            SHIFT.replace("eps, down", "eps, step"),
            "attacks.mine: 'elsewhere.mine': its function attack and its Options don't fit: missing a required",
        ),
        (
            SHIFT.replace("eps, down", "eps"),
            "don't fit: got an unexpected keyword argument 'down'",
        ),
    ],
)
def test_what_is_no_attack_is_refused_with_the_reason(write: Write, text: str | None, reason: str) -> None:
    write(**{"other" if text is None else "mine": text or ""})
    with pytest.raises(UserError, match=re.escape(reason)):
        load(mine={"kind": "elsewhere.mine"})


def in_chunks(parameters: str, more: str = "") -> str:
    """The shift, with a function ``attack_chunk`` of these parameters."""
    return SHIFT + f"def attack_chunk(model, x, y, *, {parameters}): return x\n{more}"


SIZE = "class Options(Options):\n    chunk: int = 8\n"


@pytest.mark.parametrize("place", ["", ", seed", ", seed, index", ", index, point, keep", ", **place"])
def test_an_attack_in_chunks_names_what_it_takes_of_its_place(write: Write, place: str) -> None:
    write(mine=in_chunks(f"eps, down{place}", SIZE + ("Point = dict" if "point" in place else "")))
    assert load(mine={"kind": "elsewhere.mine"}).attack("mine").options["chunk"] == 8


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (in_chunks("eps, down"), "it has attack_chunk, so its Options need chunk"),
        (in_chunks("eps, down, sead", SIZE), "attack_chunk and its Options don't fit: missing a required"),
        (in_chunks("eps", SIZE), "attack_chunk and its Options don't fit: got an unexpected keyword argument 'down'"),
        (in_chunks("eps, down, point", SIZE), "its attack_chunk resumes at a Point, which it must define"),
        (in_chunks("eps, down", SIZE + "draw = attack_chunk"), "don't fit: got an unexpected keyword argument 'start'"),
    ],
)
def test_an_attack_in_chunks_that_can_not_be_called_is_refused(write: Write, text: str, reason: str) -> None:
    write(mine=text)
    with pytest.raises(UserError, match=re.escape(reason)):
        load(mine={"kind": "elsewhere.mine"})


def test_its_keys_are_refused_with_the_nearest_of_its_own(write: Write) -> None:
    write(shift=SHIFT)
    with pytest.raises(UserError, match=re.escape("attacks.mine.dwon: unknown key; did you mean 'down'?")):
        load(mine={"kind": "elsewhere.shift", "dwon": True})
    with pytest.raises(UserError, match=re.escape("attacks.mine.eps: '2' is out of range")):
        load(mine={"kind": "elsewhere.shift", "eps": 2})


@pytest.mark.parametrize(("kind", "near"), [("fsgm", "fgsm"), ("svgd", "known: aa, aa_l2"), ("check", "known: aa")])
def test_a_misspelt_kind_is_told_the_nearest(kind: str, near: str) -> None:
    with pytest.raises(UserError, match=f"attacks.mine: .*'{kind}'.*{near}"):
        load(mine={"kind": kind})


@pytest.mark.parametrize(
    ("entries", "headings"),
    [
        ({}, {"pgd": "PGD", "cw-l2": "CW ℓ₂", "fog": "Fog", "fog-256": "Fog 256", "fog-512": "Fog 512"}),
        ({"fog": None}, {"fog": "Fog", "fog-256": "Fog 256"}),
        ({"pgd-100": {"kind": "pgd", "step_size": 0.1, "steps": 100}}, {"pgd": "PGD", "pgd-100": "PGD 100"}),
        ({"strong": {"kind": "pgd", "step_size": 0.1, "steps": 100}}, {"pgd": "PGD", "strong": "strong"}),
        ({}, {"nothing": "nothing"}),
    ],
)
def test_two_columns_never_have_the_same_heading(entries: dict[str, Any], headings: dict[str, str]) -> None:
    study = load(**entries)
    assert {name: names.attack(name, study) for name in headings} == headings
    every = [names.attack(name, study) for name in study.attacks]
    assert len(set(every)) == len(every)


def test_to_list_the_kinds_imports_none_of_them() -> None:
    code = "from ataka.study import attacks; import sys; print([m for m in sys.modules if 'ataka.attacks.' in m])"
    ran = subprocess.run([sys.executable, "-c", f"{code}; attacks.kinds()"], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
    assert {"pgd", "aa"} <= set(attacks.kinds())
