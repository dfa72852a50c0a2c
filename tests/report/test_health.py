"""Does each health check see what it is for, and nothing else? Do its marks come to the numbers they belong to?"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy
import pytest

from ataka.errors import UserError
from ataka.plan import Cell, Run
from ataka.study import Study, config
from report import catalogue, collect, page
from report.accuracies import health
from report.accuracies.accuracy_layout import lay_out
from report.accuracies.health import Bits, Marks, examine, meanings
from report.accuracies.measurements import Measurement
from report.layout import LETTERS
from report.paper import published_facts
from tests.report import studies
from tests.report.test_render import compare, compose, text_of

RUN = Run("digits", "resnet10-w8", "en-sat", 0)
HEALTHY = {"zero_gradient_share": "0.0", "clamped_share": "0.0", "loss_rise": "0.03", "accuracy_at_eps_1": "0.0"}
HEALTHY |= {"chance": "10.0"}


def cell(attack: str, method: str = RUN.method) -> Cell:
    return Cell(RUN.dataset, RUN.arch, method, RUN.seed, attack)


def first(count: int, of: int = 100) -> Bits:
    """Right on the first ``count`` images."""
    return numpy.arange(of) < count


def examined(study: Study, bits: Mapping[str, Bits], **fields: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """The checks and health columns by attack, of a run with these bits and further columns."""
    measurements = []
    for attack, its in bits.items():
        n, correct = len(its), int(its.sum())
        row = {"n": str(n), "correct": str(correct)} | dict(fields.get(attack, {}))
        measurements.append(Measurement(cell(attack), n, 100 * correct / n, 0, 100, "", row))
    found = examine(measurements, study, {cell(attack): its for attack, its in bits.items()})
    return {one.cell.attack: {name: one.fields[name] for name in ("checks", "health")} for one in found}


GOOD = {"clean": first(90), "fgsm": first(60), "pgd": first(50), "aa": first(46)}
DIAGNOSED: dict[str, Any] = {"pgd": HEALTHY, "aa": {"square_gain": "0.0", "warned": "0"}}


def test_a_healthy_run_raises_nothing(study: Study) -> None:
    assert examined(study, GOOD, **DIAGNOSED) == {
        "clean": {"checks": "", "health": ""},
        "fgsm": {"checks": "order", "health": ""},
        "pgd": {"checks": "order;gap;zero-gradient;clamped;rising;unbounded", "health": ""},
        "aa": {"checks": "order;subset;square;warning", "health": ""},
    }


@pytest.mark.parametrize(
    ("attack", "bits", "fields", "raised"),
    [
        # seven images that only the stronger attack leaves right: p = 1/128; six: 1/64
        ("pgd", first(60 + 7), {}, "order;gap"),
        ("pgd", first(60 + 6), {}, "gap"),
        ("fgsm", first(90 + 7), {}, "order"),
        ("fgsm", first(90 + 6), {}, ""),
        ("aa", first(46) | (numpy.arange(100) == 95), {}, "subset"),
        ("pgd", first(46 + 6), {}, ""),
        ("pgd", first(46 + 7), {}, "gap"),
        ("pgd", first(50), {"zero_gradient_share": "0.011"}, "zero-gradient"),
        ("pgd", first(50), {"zero_gradient_share": "0.01"}, ""),
        ("pgd", first(50), {"zero_gradient_share": "nan"}, "zero-gradient"),
        ("pgd", first(50), {"clamped_share": "0.011"}, "clamped"),
        ("pgd", first(50), {"clamped_share": "0.01"}, ""),
        ("pgd", first(50), {"loss_rise": "0.051"}, "rising"),
        ("pgd", first(50), {"loss_rise": "0.05"}, ""),
        ("pgd", first(0), {"loss_rise": "0.2"}, ""),
        ("pgd", first(50), {"accuracy_at_eps_1": "10.9375"}, "unbounded"),
        ("pgd", first(50), {"accuracy_at_eps_1": "9.375"}, ""),
        ("pgd", first(50), {"accuracy_at_eps_1": "1.5625", "chance": "1.0"}, "unbounded"),
        ("aa", first(46), {"square_gain": "0.2"}, ""),
        ("aa", first(46), {"square_gain": "0.3"}, "square"),
        ("aa", first(46), {"warned": "1"}, "warning"),
    ],
)
def test_a_sign_of_trouble_is_seen(study: Study, attack: str, bits: Bits, fields: dict[str, str], raised: str) -> None:
    columns = DIAGNOSED | {attack: {**DIAGNOSED.get(attack, {}), **fields}}
    weaker = {"aa": first(0)} if not bits.any() else {}
    found = examined(study, GOOD | {attack: bits} | weaker, **columns)
    assert found[attack]["health"] == raised
    others = {"gap"} if attack == "aa" else set()
    assert {name for other in found if other != attack for name in found[other]["health"].split(";")} <= others | {""}


def test_attacks_are_compared_on_the_images_of_both(study: Study) -> None:
    hard_first = numpy.arange(100) >= 40  # PGD fools exactly the first 40
    bits = {"clean": first(100), "pgd": hard_first, "aa": first(0, of=40)}
    found = examined(study, bits)
    assert found["pgd"]["health"] == ""  # 60 % on all images, but on AutoAttack's 40 it leaves none either
    assert examined(study, bits | {"aa": first(0, of=50)})["pgd"]["health"] == "gap"


def test_the_nearest_weaker_attack_that_there_is_counts(study: Study) -> None:
    assert examined(study, {"clean": first(90), "aa": first(97)})["aa"] == {
        "checks": "order;subset",
        "health": "order;subset",
    }
    assert examined(study, {"clean": first(50), "cw": first(60), "fog": first(40)}) == {
        "clean": {"checks": "", "health": ""},
        "cw": {"checks": "order", "health": "order"},
        "fog": {"checks": "order", "health": ""},
    }
    assert examined(study, {"pgd": first(50)})["pgd"]["checks"] == ""


def test_attacks_of_other_budgets_are_not_compared(study: Study) -> None:
    """PGD within half the budget leaves more images right than FGSM and AutoAttack within the whole one."""
    smaller = {"pgd-eps-50": first(70), "fgsm": first(60), "aa": first(46), "clean": first(90)}
    found = examined(study, smaller, **{"pgd-eps-50": HEALTHY})
    assert found["pgd-eps-50"] == {"checks": "order;zero-gradient;clamped;rising;unbounded", "health": ""}
    assert found["aa"]["checks"] == "order;subset"
    masked = examined(study, {"pgd-eps-200": first(95), "clean": first(60), "pgd": first(50), "aa": first(50)})
    assert masked["pgd-eps-200"]["health"] == "order"  # clean images have no budget
    assert masked["aa"]["health"] == ""


def test_other_runs_do_not_meddle(study: Study) -> None:
    other = Measurement(cell("clean", "natural"), 100, 0, 0, 100, "", {"n": "100", "correct": "0"})
    mine = Measurement(cell("fgsm"), 100, 60, 0, 100, "", {"n": "100", "correct": "60"})
    found = examine([other, mine], study, {other.cell: first(0), mine.cell: first(60)})
    assert found[1].fields["checks"] == ""


# ---- from a folder


def gather(study: Study, root: Path, name: str = "table2") -> collect.Collection:
    return collect.gather(catalogue.load(name), study, str(root))


def test_the_collection_notes_what_was_checked(root: Path, study: Study) -> None:
    studies.write_cell(root, study, cell("pgd"), {"loss_rise": "0.2"})
    rows = {one.cell: one.fields for one in gather(study, root).measurements}
    assert rows[cell("pgd")]["health"] == "rising"
    assert {row["health"] for key, row in rows.items() if key != cell("pgd")} == {""}


def test_without_bits_or_diagnostics_there_is_less_to_check(root: Path, study: Study) -> None:
    for path in root.rglob("*.bits.npy"):
        path.unlink()
    made = compose(root, study)
    assert "Health checks: none raised of 30." in text_of(made)  # 6 rows, 3 of PGD, 2 of AutoAttack
    old = dict.fromkeys((*HEALTHY, "square_gain", "warned"), "")
    for one in catalogue.load("table2").sources(study):
        assert isinstance(one, Cell)
        studies.write_cell(root, study, one, old).with_suffix(".bits.npy").unlink()
    assert "Health checks: none could be made." in text_of(compose(root, study))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: numpy.save(path, first(10, 360)), "holds other verdicts"),
        (lambda path: numpy.save(path, first(10, 11)), "holds other verdicts"),
        (lambda path: numpy.save(path, numpy.ones(360)), "holds other verdicts"),
        (lambda path: path.write_bytes(b"no bits"), "can't be read"),
        (lambda path: path.write_bytes(b""), "can't be read"),
    ],
)
def test_bits_of_another_cell_are_refused(
    root: Path, study: Study, damage: Callable[[Path], Any], message: str
) -> None:
    path = cell("pgd").bits(root)
    damage(path)
    found = gather(study, root)
    assert len(found.measurements) == 23
    assert found.refused[0].startswith(f"{path} ")
    assert message in found.refused[0]
    with pytest.raises(UserError, match=f"--forcerun {cell('pgd').csv(root)} "):
        found.insist(study, collect.target(catalogue.load("table2"), str(root)))


# ---- in print


@pytest.mark.parametrize(
    ("rows", "outcome"),
    [
        ([], "none could be made"),
        ([{"checks": "", "health": ""}, {}], "none could be made"),
        ([{"checks": "order", "health": ""}, {}], "none raised of 1"),
        ([{"checks": "order;gap", "health": "gap"}, {"checks": "order", "health": ""}], "1 raised of 3"),
        ([{"checks": "order", "health": ""}] * 1200, "none raised of 1,200"),
    ],
)
def test_a_check_that_could_not_be_made_is_none_that_was_not_raised(rows: list[dict[str, str]], outcome: str) -> None:
    assert health.checks(rows).outcome == outcome


def sick(root: Path, study: Study) -> None:
    """Several cells that raise checks."""
    n = study.data.test or 10_000
    for seed in study.seeds:
        at = Cell(
            "digits" if n == 360 else "cifar10", "resnet10-w8" if n == 360 else "resnet18", "n-at-aka", seed, "pgd"
        )
        studies.write_cell(root, study, at, {"loss_rise": "0.1", "zero_gradient_share": "0.25"}, correct=n * 7 // 10)
    studies.write_cell(root, study, Cell(at.dataset, at.arch, "s-at-aka", 0, "aa"), {"warned": "1"})


@pytest.mark.parametrize(("name", "settings"), [("health", studies.SMALL), ("health_seeds", studies.PAPER)])
def test_golden_files_with_marks(tmp_path: Path, name: str, settings: dict[str, Any]) -> None:
    study = studies.study(settings)
    root = studies.root(tmp_path)
    studies.write(root, study)
    sick(root, study)
    compare(name, compose(root, study))


def test_marks_are_explained_and_read_from_the_collection_alone(root: Path, study: Study) -> None:
    sick(root, study)
    made = compose(root, study)
    text = text_of(made)
    assert "5 raised of 60. ᵃ: a weaker attack leaves significantly less" in text
    assert "ᵉ: AutoAttack warns." in text
    for path in (root / "cells").rglob("*"):
        if path.is_file():
            path.unlink()
    assert page.compose(catalogue.load("table2"), study, str(root)).layout == made.layout


def test_a_mark_of_one_seed_marks_the_mean_and_what_is_derived(tmp_path: Path) -> None:
    study = studies.study(seeds=[0, 1])
    (tmp_path / "mine.yaml").write_text(
        "{number: 2, title: Mine, datasets: [cifar10], archs: [resnet18], "
        "columns: [clean, pgd, {mean_of: [clean, pgd], label: Mean}], "
        "rows: [[natural, en-sat, {mean_of: [natural, en-sat], label: mean}]]}"
    )
    raised = Cell("digits", "resnet10-w8", "natural", 1, "pgd")
    measurements = [
        Measurement(
            Cell("digits", "resnet10-w8", method, seed, attack), 10, 50, 0, 100, "", {"checks": "rising", "health": ""}
        )
        for method in ("natural", "en-sat")
        for seed in (0, 1)
        for attack in ("clean", "pgd")
    ]
    for one in measurements:
        one.fields["health"] = "rising" if one.cell == raised else ""
    made = lay_out(catalogue.load("mine", [tmp_path]), study, measurements)
    assert [[entry.mark for entry in row.entries] for row in made.panels[0].sections[0]] == [
        ["", "ᵃ", "ᵃ"],
        ["", "", ""],
        ["", "ᵃ", "ᵃ"],
    ]
    assert list(Marks(measurements, study).notes()) == [
        f"Health checks: 1 raised of 8. ᵃ: {meanings(study)['rising']}."
    ]


def test_every_check_has_a_mark_and_a_place_in_the_documentation() -> None:
    study = config.load()
    assert len(LETTERS) >= len(meanings(study))
    text = (config.HOME / "docs/health.md").read_text(encoding="utf-8")
    for name in meanings(study):
        assert f"| {name} |" in text
    limits = {check.name: check.above for attack in study.attacks.values() if attack for check in attack.checks}
    for threshold in (
        f"{health.LEVEL:.0%}".replace("%", " %"),
        f"{limits['gap']:g} points",
        f"{limits['square']:g} points",
        f"{limits['zero-gradient']:.0%}".replace("%", " %"),
        f"{limits['rising']:.0%}".replace("%", " %"),
    ):
        assert threshold in text
    assert limits["gap"] == published_facts.GAP
