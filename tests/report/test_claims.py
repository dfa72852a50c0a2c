"""The paper's sentences: what each compares, the verdicts that known effects get, how often they err, their words."""

import csv
import gc
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import pytest
from scipy import stats

from ataka import plan
from ataka.errors import UserError
from ataka.plan import Cell, commands
from ataka.study import Study, config
from report import catalogue
from report.claims import claims_page, floats, judge, printed, sentences
from report.claims.floats import Float
from report.claims.judge import Judged, Measured, Outcome, Verdict
from report.claims.sentences import Claim, Comparison, Contrast, Sentence
from report.cli import main
from report.statistics import ALPHA, Floats, PairedBits, PairedT
from tests.report import studies
from tests.report.test_papers import CLASSES, ONE_COLUMN
from tests.typesetting import ENGINES, compiled, installed, space_left

CLAIMS = sentences.load()
CONFIG = json.dumps(studies.WHOLE)
SUPERIORITY = Sentence(
    id="mine",
    table=2,
    where="nowhere",
    sentence="A beats B",
    kind="superiority",
    datasets=("cifar10",),
    archs=("resnet18",),
    attacks=("pgd",),
    compare=(Comparison(methods=("s-at-aka",), than=("en-sat",)),),
)
EQUIVALENCE = SUPERIORITY.model_copy(update={"kind": "equivalence", "margin": 1.0})
CONTRAST = Contrast("pgd", (("s-at-aka", 1.0), ("en-sat", -1.0)))


def claim(id: str) -> Claim:
    (found,) = [one for one in CLAIMS if one.id == id]
    return found


# ---- the sentences


def test_there_are_many_and_each_has_a_name_of_its_own() -> None:
    assert len(CLAIMS) >= 25
    assert len({one.id for one in CLAIMS}) == len(CLAIMS)
    assert {one.sentence.table for one in CLAIMS} == {1, 2, 3, 4, 5}


def test_at_the_papers_scale_every_claim_is_measured_by_what_the_tables_need() -> None:
    study = config.load("paper")
    needed = {source for name in catalogue.names() for source in catalogue.load(name).sources(study)}
    for one in CLAIMS:
        found = one.sources(study)
        assert found, one.id
        assert set(found) <= needed, one.id
        assert all(plan.settings_of(study, source) for source in found)


@pytest.mark.parametrize("scale", ["pocket", "demo", "smoke"])
def test_what_a_scale_leaves_out_is_not_measured_there(scale: str) -> None:
    study = config.load(scale)
    for one in CLAIMS:
        kept = one.dataset != "cifar100" and one.arch != "mobilenetv2"
        assert bool(one.sources(study)) == kept == (not one.left_out(study)), one.id


def test_a_claim_has_all_its_comparisons() -> None:
    found = claim("beats-benchmarks/cifar100/mobilenetv2")
    assert [len(case) for case in found.cases] == [16, 16, 16]
    assert found.required == 3
    assert claim("soft-is-best/cifar10/resnet18").required == 2
    assert [len(case) for case in claim("students-alike/cifar10/wrn34-10").cases] == [3] * 4  # pairs of students
    (slope, *_), *_ = claim("more-teachers/cifar10/resnet18").cases
    assert dict(slope.weights) == pytest.approx(
        {"s-at-aka.n1": -0.3, "s-at-aka.n2": -0.1, "s-at-aka": 0.1, "s-at-aka.n4": 0.3}
    )
    assert slope.reach == pytest.approx(40)


@pytest.mark.parametrize(
    ("id", "holds", "agreeing"),
    [
        ("beats-benchmarks/cifar10/resnet18", True, (48, 48)),
        ("beats-benchmarks/cifar10/mobilenetv2", False, (45, 48)),  # (N)AT-AKA's AA is 49.19
        ("soft-is-best/cifar10/mobilenetv2", True, (8, 9)),  # FGSM: 66.44 and (P) 67.00
        ("clean-drop-natural/cifar10/resnet18", False, (0, 4)),
        ("svgd-is-necessary/cifar10/resnet18/s-at-aka", True, (3, 3)),
        ("cat-aka-outperforms/cifar100/resnet18", False, (16, 18)),
        ("students-alike/cifar10/wrn34-10", True, (12, 12)),
        ("three-suffice/cifar100/mobilenetv2", True, (3, 3)),
        ("more-teachers/cifar10/resnet18", True, (3, 3)),
        ("more-diverse/linf", True, (1, 1)),
    ],
)
def test_what_the_paper_printed_by_arithmetic(id: str, holds: bool, agreeing: tuple[int, int]) -> None:
    found = printed.agreement(claim(id))
    assert found == (*agreeing, holds)


def test_what_the_paper_did_not_print() -> None:
    assert printed.agreement(claim("more-diverse/l1")) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "superior"}, "kind"),
        ({"margin": 1.0}, "superiority has no margin"),
        ({"kind": "equivalence"}, "equivalence needs a margin"),
        ({"attacks": []}, "give datasets, archs and attacks, or a network"),
        ({"compare": [{"methods": ["s-at-aka"]}]}, "than is missing"),
        ({"kind": "trend"}, "a trend is over methods"),
        ({"compare": [{"methods": ["en-sat"], "than": ["en-sat"]}]}, "'en-sat' is listed twice"),
        ({"atacks": []}, "atacks"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, changes: Mapping[str, Any], message: str) -> None:
    path = tmp_path / "claims.yaml"
    path.write_text(
        f"[{SUPERIORITY.model_copy(update={}).model_dump(mode='json') | dict(changes)}]".replace("None", "null")
    )
    with pytest.raises(UserError) as error:
        sentences.load(path)
    assert str(path) in str(error.value)
    assert message in str(error.value)


# ---- how often a verdict errs


class Simulated(PairedT):
    """Differences over seeds of one study among many, whose tests were made for all at once: scipy's own take long."""

    @staticmethod
    def many(samples: Floats) -> "list[Simulated]":
        """A study for each row."""
        made = [Simulated(row) for row in samples]
        for bound in (-1.0, -0.0, 1.0):
            for side, alternative in (("above", "greater"), ("below", "less")):
                p = stats.ttest_1samp(samples, bound, axis=1, alternative=alternative).pvalue
                for one, value in zip(made, p, strict=True):
                    one.__dict__[side, bound] = float(value)
        return made

    def p_above(self, bound: float = 0.0) -> float:
        return float(self.__dict__["above", bound])

    def p_below(self, bound: float = 0.0) -> float:
        return float(self.__dict__["below", bound])


def simulated(mean: float, deviation: float, studies: int, seeds: int, random: int) -> list[Simulated]:
    return Simulated.many(numpy.random.default_rng(random).normal(mean, deviation, (studies, seeds)))


def measured(samples: Sequence[PairedT], sentence: Sentence = SUPERIORITY) -> Measured:
    """A claim with these comparisons, each a case."""
    made = Claim(sentence, sentence.compare[0], "cifar10", "resnet18")
    made.__dict__["cases"] = [[CONTRAST]] * len(samples)
    return Measured(made, [[Outcome(sentence, CONTRAST, one, 100, one.size)] for one in samples])


def share(families: list[list[Measured]]) -> tuple[float, float]:
    """In how many families at least one claim is supported, and contradicted."""
    words = [{one.word for one in judge.correct(family)} for family in families]
    return (
        sum("supported" in one for one in words) / len(families),
        sum("contradicted" in one for one in words) / len(families),
    )


@pytest.fixture(autouse=True)
def nothing_to_collect(monkeypatch: pytest.MonkeyPatch) -> None:
    """statsmodels collects garbage in each of Holm's corrections: a tenth of a second, thousands of times here."""
    monkeypatch.setattr(gc, "collect", lambda: 0)


def test_no_difference_is_settled_in_at_most_one_family_of_twenty() -> None:
    claims = [measured([one]) for one in simulated(0, 1, 5 * 1500, 3, random=1)]
    families = [claims[at : at + 5] for at in range(0, len(claims), 5)]
    supported, contradicted = share(families)
    assert supported + contradicted == pytest.approx(ALPHA, abs=0.017)  # three standard errors


def test_a_claim_of_which_one_comparison_is_wrong_is_seldom_settled() -> None:
    true, none = simulated(9, 1, 1500, 4, random=2), simulated(0, 1, 1500, 4, random=3)
    supported, contradicted = share([[measured(pair)] for pair in zip(true, none, strict=True)])
    assert supported + contradicted <= ALPHA + 0.017


def test_networks_at_the_margin_are_seldom_called_alike() -> None:
    supported, _ = share([[measured([one], EQUIVALENCE)] for one in simulated(1.0, 0.3, 1500, 5, random=4)])
    assert supported == pytest.approx(ALPHA, abs=0.017)


def test_an_effect_is_found_as_often_as_the_power_calculation_says() -> None:
    pilot = measured([PairedT(1 + numpy.array([-1, 0, 1]) * 0.8)])  # a mean of 1, a deviation of 0.8
    runs = simulated(1, 0.8, 1000, int(pilot.needed(family=1)), random=5)
    assert share([[measured([one])] for one in runs])[0] == pytest.approx(0.82, abs=0.05)
    pilot = measured([PairedT(0.2 + numpy.array([-1, 0, 1]) * 0.5)], EQUIVALENCE)
    runs = simulated(0.2, 0.5, 1000, int(pilot.needed(family=1)), random=6)
    assert 0.75 < share([[measured([one], EQUIVALENCE)] for one in runs])[0] < 0.97  # it allows for both sides


def test_what_would_settle_it_grows_with_the_family_and_with_the_weakest_comparison() -> None:
    strong, weak = (PairedT(mean + numpy.array([-1.0, 0, 1])) for mean in (3, 1))
    one, both = measured([strong]), measured([strong, weak])
    assert one.needed(1) < one.needed(20)
    assert both.needed(1) == measured([weak]).needed(1) > one.needed(1)


def test_any_significant_reversal_contradicts() -> None:
    better, reversed_ = (PairedT(mean + numpy.array([-0.1, 0, 0.1])) for mean in (5, -5))
    (verdict,) = judge.correct([measured([better, better, reversed_])])
    assert (verdict.word, verdict.decisive.sample.estimate, verdict.needed) == ("contradicted", -5, None)
    most = SUPERIORITY.model_copy(update={"hold_in": "most"})
    (verdict,) = judge.correct([measured([better, better, reversed_], most)])
    assert (verdict.word, verdict.decisive.sample.estimate) == ("supported", 5)


def test_the_p_value_of_two_networks_is_mcnemars() -> None:
    sample = PairedBits(numpy.repeat([100.0, -100.0, 0.0], [14, 4, 300]), 100)
    one = Measured(measured([]).claim, [[Outcome(SUPERIORITY, CONTRAST, sample, 318, 1)]])
    one.claim.__dict__["cases"] = [[CONTRAST]]
    assert one.p == pytest.approx(stats.binomtest(14, 18).pvalue)


# ---- known effects, through the files


ACCURACY = {"natural": 0.2, "en-sat": 0.4, "en-ard": 0.4, "en-iad": 0.4, "en-rslad": 0.4, "n-at-aka": 0.55}
ACCURACY |= {"l-at-aka": 0.6, "s-at-aka": 0.75, "p-at-aka": 0.65}


def accuracy(cell: Cell) -> float:
    if cell.attack == "clean":
        return 0.9
    if cell.method.startswith("s-at-aka.n"):
        return {"1": 0.3, "2": 0.5, "4": 0.75}[cell.method[-1]]
    contrary = 0.9 if cell.method.endswith("rslad") else 0.5
    return ACCURACY.get(cell.method.removesuffix(".pgd"), contrary)


def evidence(study: Study) -> dict[Any, Any]:
    """Known accuracies; networks of one training on PGD's particles are those on SVGD's, bit for bit [A1]."""
    found: dict[Any, Any] = {}
    for source in sentences.sources(study, CLAIMS):
        if isinstance(source, Cell):
            same = replace(source, method=source.method.removesuffix(".pgd"))
            found[source] = studies.draw_bits(study, same, accuracy(source))
        else:
            rows = studies.particle_rows(study, source)
            found[source] = {name: numpy.array([float(row[name]) for row in rows]) for name in ("l1", "l2", "linf")}
            found[source] |= dict.fromkeys(("ce_mean", "ce_std", "ce_max"), numpy.arange(float(study.particles.images)))
    return found


def judged(study: Study) -> dict[str, Verdict]:
    return {one.claim.id: one for one in judge.judge(study, CLAIMS, evidence(study))}


SETTINGS = studies.SMALL | {"methods": {}, "attacks": studies.SMALL["attacks"] | {"aa": {"images": 200}}}
SETTINGS |= {"particles": {**studies.SMALL.get("particles", {}), "images": 40}}
MANY = {"seeds": [0, 1, 2, 3]}
PLAIN = {"stand_ins": studies.PAPER["stand_ins"]}
EXPECTED = {
    "beats-benchmarks/cifar10/resnet18": "supported",
    "autoattack/cifar10/resnet18": "supported",
    "soft-is-best/cifar10/resnet18": "supported",
    "svgd-is-necessary/cifar10/resnet18/s-at-aka": "inconclusive",
    "rslad-cannot-reach/cifar10/resnet18/l-at-aka": "contradicted",
    "clean-drop-natural/cifar10/resnet18": "inconclusive",
    "one-teacher/cifar10/resnet18": "supported",
    "more-teachers/cifar10/resnet18": "supported",
    "strong-attack": "supported",
    "more-teachers/cifar100/resnet18": "not measured",
}


@pytest.mark.parametrize("more", [{}, MANY], ids=["one seed", "four seeds"])
def test_known_effects_get_the_right_verdicts(more: Mapping[str, Any]) -> None:
    found = judged(studies.study(SETTINGS | more))
    assert {id: found[id].word for id in EXPECTED} == EXPECTED
    same = found["svgd-is-necessary/cifar10/resnet18/s-at-aka"]
    assert isinstance(same, Judged)
    assert same.decisive.sample.estimate == 0


def test_one_claims_numbers_by_hand() -> None:
    study = studies.study(SETTINGS)
    found = evidence(study)
    verdict = judged(study)["one-teacher/cifar10/resnet18"]
    assert isinstance(verdict, Judged)
    tested = verdict.decisive
    better, worse = (found[source] for source in verdict.claim.samples(study, tested.contrast)[0])
    up, down = int((better & ~worse).sum()), int((~better & worse).sum())
    assert tested.p_holds == pytest.approx(stats.binomtest(up, up + down, alternative="greater").pvalue)
    assert tested.p_holds == max(one.p_holds for case in verdict.measured.cases for one in case)
    assert verdict.measured.p == pytest.approx(2 * tested.p_holds)
    family = [one for one in judged(study).values() if isinstance(one, Judged) and one.claim.sentence.table == 5]
    assert verdict.p_holm >= verdict.measured.p
    assert verdict.family == len(family) == 3


# ---- the page


@pytest.fixture
def root(tmp_path: Path, study: Study) -> Path:
    """Every cell and every particle that the claims need, in which nothing is planned."""
    folder, study = studies.root(tmp_path), studies.study(studies.WHOLE)
    for source in sentences.sources(study, CLAIMS):
        if isinstance(source, Cell):
            same = replace(source, method=source.method.removesuffix(".pgd"))
            studies.write_bits(folder, study, source, studies.draw_bits(study, same, accuracy(source)))
        else:
            studies.write_particles(folder, source, studies.particle_rows(study, source))
    return folder


def run(root: Path, *arguments: str, settings: str = CONFIG) -> int:
    return main(["claims", "--root", str(root), "--config", settings, *arguments])


def test_from_cells_to_a_page_that_compiles(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(root) == 0
    said = capsys.readouterr().out
    assert said.startswith("At the demo scale (a study for tests: 8×8 digits & small networks), of 62 claims: ")
    assert said.endswith(
        f"written: {root}/claims.csv {root}/claims.tex {root}/claims.standalone.tex {root}/claims.md\n"
    )
    text = (root / "claims.md").read_text()
    assert "They say nothing about the paper's own experiments, nor about another scale." in text
    assert "Stand-ins: digits for CIFAR-10, RN-10 (w 8) for RN-18" in text
    assert "One seed: a verdict is about the very networks that were trained, not about the methods." in text
    assert re.search(
        r"digits, RN-10 \(w 8\), \(S\)AT-AKA \| inconclusive \| \(S\)AT-AKA − \(S\)AT-AKA with PGD, \w+ \(of 3\) \| "
        r"no difference \| 1.000 \| 1.000 \| \d+ \| 1 \| no number of images \| yes",
        text,
    )
    assert "| CIFAR-100, MN | not measured | this scale leaves out CIFAR-100, MN |" in text
    assert all(one.sentence.sentence.split("[")[0].strip() in text for one in CLAIMS)
    if shutil.which("pdflatex"):
        compiled(root / "claims.standalone.tex", pages="pages")


@pytest.fixture(scope="module", params=[{}, MANY | PLAIN], ids=["one seed", "four seeds of the paper's networks"])
def printed_claims(request: pytest.FixtureRequest) -> tuple[list[Float], str]:
    """The floats of the claims, and claims.tex: most are not measured, or all by several seeds."""
    study = studies.study(SETTINGS | request.param)
    verdicts = judge.judge(study, CLAIMS, evidence(study))
    blocks = claims_page.blocks(study, verdicts)
    notes = [*claims_page.head(study, verdicts), *claims_page.notes(study, in_print=True)]
    return floats.of(blocks, notes), claims_page.text(study, verdicts, Path("claims.tex"))


def test_every_claim_is_in_one_float_and_a_table_goes_on_where_it_was(
    printed_claims: tuple[list[Float], str],
) -> None:
    every, tex = printed_claims
    assert [float.table for float in every if not float.continued] == [1, 2, 3, 4, 5]
    assert any(float.continued for float in every)
    quotes = [sentence.quote for float in every for sentence in float.sentences]
    assert quotes == list(dict.fromkeys(one.sentence.sentence.strip() for one in CLAIMS))
    assert sum(len(sentence.lines) for float in every for sentence in float.sentences) == len(CLAIMS)
    counted = [re.findall(r"\d+", float.outcome) for float in every if not float.continued]
    assert sum(int(number) for numbers in counted for number in numbers) == len(CLAIMS)
    assert tex.count(r"\caption[]{") == tex.count(r"\addtocounter{table}{-1}") == len(every) - 5
    assert "settle" not in tex


@pytest.mark.parametrize("engine", ENGINES[:1])
@pytest.mark.parametrize("name", CLASSES)
def test_claims_fit_the_pages_of_a_paper(
    name: str, engine: str, printed_claims: tuple[list[Float], str], tmp_path: Path
) -> None:
    begin, needed = CLASSES[name]
    installed(needed)
    _, tex = printed_claims
    (tmp_path / "claims.tex").write_text(tex, encoding="utf-8")
    document = tmp_path / "paper.tex"
    begun = begin.replace(ONE_COLUMN, ONE_COLUMN + r"\textheight=193mm")  # llncs's
    document.write_text(
        f"{begun}\\usepackage{{booktabs}}\\begin{{document}}Before. \\input{{claims.tex}}\\end{{document}}\n"
    )
    compiled(document, engine, pages="pages")
    assert "Float too large" not in document.with_suffix(".log").read_text(encoding="utf-8", errors="replace")
    numbers = re.findall(r"newlabel\{tab:claims\d-demo\}\{\{(\w+)\}", document.with_suffix(".aux").read_text())
    assert numbers in (["1", "2", "3", "4", "5"], ["I", "II", "III", "IV", "V"])


@pytest.mark.parametrize("engine", ENGINES)
def test_claims_leave_no_space_in_a_paragraph(
    engine: str, printed_claims: tuple[list[Float], str], tmp_path: Path
) -> None:
    _, tex = printed_claims
    (tmp_path / "claims.tex").write_text(tex, encoding="utf-8")
    assert space_left(tmp_path / "claims.tex", engine) == 0


def test_every_number_stands_in_the_csv(root: Path) -> None:
    assert run(root) == 0
    with (root / "claims.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["claim"]: row for row in csv.DictReader(file)}
    assert list(rows) == [one.id for one in CLAIMS]
    row = rows["soft-is-best/cifar10/resnet18"]
    assert (row["verdict"], row["about"], row["n"], row["seeds"]) == ("supported", "networks", "360", "1")
    assert float(row["ci_low"]) < float(row["estimate"]) < float(row["ci_high"])
    assert (row["images_to_settle"], row["seeds_to_settle"]) == ("", "")
    row = rows["students-alike/cifar10/resnet18"]
    assert (row["verdict"], row["confidence"], row["seeds_to_settle"]) == ("inconclusive", "0.9", "1")
    assert int(row["images_to_settle"]) > 360
    assert rows["three-suffice/cifar100/resnet18"]["why"] == "this scale leaves out CIFAR-100"


def test_several_seeds_speak_of_the_methods_and_ask_for_seeds() -> None:
    study = studies.study(SETTINGS | MANY)
    verdicts = judge.judge(study, CLAIMS, evidence(study))
    assert "4 seeds: a verdict is about the methods as trained here, by the paired t test" in " ".join(
        claims_page.notes(study)
    )
    rows = [row for block in claims_page.blocks(study, verdicts) for row in block.rows if row[1] == "inconclusive"]
    assert all(re.fullmatch(r"([\d,]+|over 10 million|no number of) (seeds|images)", row[8]) for row in rows)
    assert {row[8].split()[-1] for row in rows if row[7] == "4"} == {"seeds"}


def test_what_is_missing_or_stale_is_refused_and_may_be_left_out(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lost = Cell("digits", "resnet10-w8", "s-at-aka.n4", 0, "aa").bits(root)
    lost.unlink()
    assert run(root) == 2
    said = capsys.readouterr().err
    assert f"{lost} is missing" in said
    command = commands.snakemake(studies.study(studies.WHOLE), f"{root}/claims.csv")
    assert f"measure what is missing: {command} (or judge what there is: --partial)" in said
    assert run(root, "--partial") == 0
    assert "Unfinished" in (root / "claims.partial.md").read_text()
    assert not (root / "claims.csv").exists()
    with (root / "claims.partial.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["claim"]: row for row in csv.DictReader(file)}
    assert rows["one-teacher/cifar10/resnet18"]["why"] == "not measured yet"
    assert rows["soft-is-best/cifar10/resnet18"]["verdict"] == "supported"
    assert run(root, settings=CONFIG.replace('"steps": 20', '"steps": 21')) == 2
    assert "was made under other settings" in capsys.readouterr().err
