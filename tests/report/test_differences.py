"""Are a variant's numbers compared with those of the method that it varies, as scipy and statsmodels would?"""

from dataclasses import replace

import numpy
import pytest
from scipy.stats import ttest_rel
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from ataka.plan import Cell
from ataka.study import Study
from report.accuracies.differences import VARIED, Differences, against, examine, varied
from report.accuracies.measurements import Bits, Measurement
from report.layout import DIFFERS


def cell(method: str, attack: str = "pgd", seed: int = 0) -> Cell:
    return Cell("digits", "resnet10-w8", method, seed, attack)


def measured(bits: dict[Cell, Bits]) -> list[Measurement]:
    return [Measurement(one, len(its), 100 * its.mean(), 0, 100, "", {}) for one, its in bits.items()]


def p_of(bits: dict[Cell, Bits]) -> dict[Cell, str]:
    return {one.cell: one.fields["p_holm"] for one in examine(measured(bits), bits)}


def drawn(*shares: float, n: int = 200, source: int = 0) -> list[Bits]:
    generator = numpy.random.default_rng(source)
    return [generator.random(n) < share for share in shares]


def test_a_variant_is_named_after_what_it_varies() -> None:
    assert (varied("en-sat.best"), varied("s-at-aka.n2"), varied("natural")) == ("en-sat", "s-at-aka", "")


def test_one_seed_is_mcnemars_exact_test_with_holms_correction() -> None:
    default, close, far = drawn(0.5, 0.5, 0.8)
    found = p_of({cell("en-sat"): default, cell("en-sat.a"): close, cell("en-sat.b"): far, cell("natural"): far})
    raw = []
    for other in (close, far):
        counts = [[int(((default == x) & (other == y)).sum()) for y in (True, False)] for x in (True, False)]
        raw.append(mcnemar(counts, exact=True).pvalue)
    expected = multipletests(raw, method="holm")[1]
    assert [float(found[cell(name)]) for name in ("en-sat.a", "en-sat.b")] == pytest.approx(expected, abs=1e-6)
    assert (found[cell("en-sat")], found[cell("natural")]) == ("", "")
    assert expected[1] < 0.05 < expected[0]


def test_several_seeds_are_a_paired_t() -> None:
    bits = {}
    for seed in range(3):
        bits[cell("en-sat", seed=seed)], bits[cell("en-sat.a", seed=seed)] = drawn(0.4, 0.6, source=seed)
    pairs = [[100 * bits[cell(name, seed=seed)].mean() for seed in range(3)] for name in ("en-sat.a", "en-sat")]
    found = [float(p_of(bits)[cell("en-sat.a", seed=seed)]) for seed in range(3)]
    assert found == pytest.approx([ttest_rel(*pairs).pvalue] * 3, abs=1e-6)


def test_what_has_no_counterpart_is_not_compared() -> None:
    default, other = drawn(0.1, 0.9)
    alone = {cell("en-sat.a"): other}
    shorter = {cell("en-sat"): default[:50], cell("en-sat.a"): other}
    lacking = {cell("en-sat"): default, cell("en-sat.a"): other, cell("en-sat.a", seed=1): other}
    for bits in (alone, shorter, lacking):
        assert not any(p_of(bits).values())
        assert Differences(examine(measured(bits), bits)).mark(bits) == ""
        assert [*Differences(examine(measured(bits), bits)).notes()] == []


def test_equal_verdicts_are_no_difference() -> None:
    (default,) = drawn(0.5)
    assert float(p_of({cell("en-sat"): default, cell("en-sat.a"): default.copy()})[cell("en-sat.a")]) == 1


def test_marks_and_what_they_mean() -> None:
    default, close, far = drawn(0.5, 0.5, 0.8)
    bits = {cell("en-sat"): default, cell("en-sat.a"): close, cell("en-sat.b"): far}
    found = Differences(examine(measured(bits), bits))
    assert [found.mark([cell(f"en-sat{one}")]) for one in ("", ".a", ".b")] == ["", "", DIFFERS]
    (note,) = found.notes()
    assert "exact McNemar: it speaks of these two networks" in note
    assert "over 2 comparisons, of which 1 differs)" in note


def test_a_table_of_variants_that_all_are_the_same_marks_one_in_twenty() -> None:
    """The share of such tables with any mark is at most the level."""
    marked = 0
    for source in range(200):
        default, *others = drawn(*[0.5] * 6, n=100, source=source)
        bits = {cell("en-sat"): default} | {cell(f"en-sat.{at}"): other for at, other in enumerate(others)}
        found = Differences(examine(measured(bits), bits))
        marked += any(found.mark([one]) for one in bits)
    assert marked <= 0.05 * 200 + 3 * (200 * 0.05 * 0.95) ** 0.5


def test_two_data_sets_are_two_comparisons() -> None:
    default, far = drawn(0.3, 0.7)
    one = {cell("en-sat"): default, cell("en-sat.a"): far}
    both = one | {replace(where, dataset="cifar10"): its for where, its in one.items()}
    assert float(p_of(both)[cell("en-sat.a")]) == pytest.approx(2 * float(p_of(one)[cell("en-sat.a")]), rel=1e-2)


def test_the_table_of_readings_has_no_best(study: Study) -> None:
    from report import catalogue

    assert catalogue.load("readings").variants
    assert not any(catalogue.load(name).variants for name in ("table2", "table3", "table4", "table5"))


# ---- against a reference


def p_against(bits: dict[Cell, Bits], *methods: str) -> dict[Cell, str]:
    comparison = against("s-at-aka", methods, "(S)AT-AKA")
    return {one.cell: one.fields[comparison.column] for one in examine(measured(bits), bits, [comparison])}


def test_each_method_is_compared_with_the_reference_and_a_variant_with_its_variant() -> None:
    rows = ("s-at-aka", "s-at-aka.swa", "mtard", "mtard.balanced", "mtard.balanced.swa", "mtard.swa", "natural")
    other = against("s-at-aka", rows, "").other
    assert {name: other(name) for name in rows} == {
        "s-at-aka": "",
        "s-at-aka.swa": "",
        "mtard": "s-at-aka",
        "mtard.balanced": "s-at-aka",
        "mtard.balanced.swa": "s-at-aka.swa",
        "mtard.swa": "s-at-aka.swa",
        "natural": "s-at-aka",
    }
    assert against("s-at-aka", ("s-at-aka", "mtard.swa"), "").other("mtard.swa") == "s-at-aka"


def test_a_reference_is_tested_as_a_default_is() -> None:
    reference, close, far = drawn(0.5, 0.5, 0.8)
    bits = {cell("s-at-aka"): reference, cell("mtard"): close, cell("adaad"): far}
    found = p_against(bits, "s-at-aka", "mtard", "adaad")
    renamed = {cell("x"): reference, cell("x.a"): close, cell("x.b"): far}
    assert [found[cell(name)] for name in ("s-at-aka", "mtard", "adaad")] == [*p_of(renamed).values()]
    assert float(found[cell("adaad")]) < 0.05 < float(found[cell("mtard")])


def test_two_kinds_of_comparison_have_marks_and_notes_of_their_own() -> None:
    reference, close, far = drawn(0.5, 0.5, 0.8)
    bits = {cell("s-at-aka"): reference, cell("mtard"): close, cell("mtard.balanced"): far}
    kinds = [VARIED, against("s-at-aka", [one.method for one in bits], "(S)AT-AKA")]
    found = Differences(examine(measured(bits), bits, kinds), kinds)
    assert [found.mark([one]) for one in bits] == ["", "", "∗‡"]
    varied_note, reference_note = found.notes()
    assert varied_note.startswith("∗: differs from the default at 5%")
    assert "over 1 comparison, of which 1 differs)" in varied_note
    assert reference_note.startswith("‡: differs from (S)AT-AKA at 5%")
    assert "over 2 comparisons, of which 1 differs)" in reference_note


def test_the_supplement_compares_with_and_without_averages_and_marks_the_best(study: Study) -> None:
    from report import catalogue

    table = catalogue.load("supplement")
    assert (table.ranked, table.of_the_paper, table.on_request, table.numbered) == (True, False, True, "S1")
    varied_by, reference = table.comparisons(study)
    assert varied_by.other("mtard.swa") == "mtard"
    assert (reference.words, reference.other("mtard.swa")) == ("(S)AT-AKA", "s-at-aka.swa")
