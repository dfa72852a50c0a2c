"""LaTeX and Markdown: golden files, escaping, captions that say what is so, and a PDF without complaints.

After a change that is meant: ATAKA_UPDATE_GOLDEN=1 pytest tests/report, then read the difference.
"""

import os
import re
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml
from rich.console import Console

from ataka.errors import UserError
from ataka.plan import Cell
from ataka.study import Study, words
from report import catalogue, collect, latex, markdown, page, render
from report.accuracies import accuracy_caption
from report.accuracies.accuracy_table import AccuracyTable
from report.page import Page
from report.show import show
from report.style import Style
from tests.report import studies
from tests.typesetting import ENGINES, compiled

GOLDEN = Path(__file__).with_name("golden")


def compose(root: Path, study: Study, name: str = "table2", **options: Any) -> Page:
    """A table's page; collects first, unless it is to be partial."""
    table = catalogue.load(name)
    if not options.get("partial"):
        collect.write(collect.gather(table, study, str(root)), table, root / name)
    return page.compose(table, study, str(root), **options)


def build(folder: Path, study: Study, name: str = "table2", **options: Any) -> Page:
    root = studies.root(folder)
    studies.write(root, study, name)
    return compose(root, study, name, **options)


def text_of(made: Page) -> str:
    return words.plain(" ".join(made.caption.text + made.caption.notes))


@pytest.mark.parametrize(
    ("name", "settings", "options"),
    [
        ("one_seed", studies.SMALL, {}),
        ("three_seeds", studies.PAPER, {}),
        ("published", studies.SMALL, {"style": Style.PUBLISHED}),
        ("table1", studies.WHOLE, {"name": "table1"}),
        ("table1_published", studies.WHOLE, {"name": "table1", "style": Style.PUBLISHED}),
        ("table3", studies.WHOLE, {"name": "table3"}),
        ("table4", studies.PAPER, {"name": "table4"}),
        ("table4_compact", studies.PAPER, {"name": "table4", "style": Style.COMPACT}),
        ("table4_published", studies.WHOLE, {"name": "table4", "style": Style.PUBLISHED}),
        ("table4-fog", studies.WHOLE, {"name": "table4-fog"}),
        ("table5", studies.PAPER, {"name": "table5"}),
    ],
)
def test_golden_files(tmp_path: Path, name: str, settings: dict[str, Any], options: dict[str, Any]) -> None:
    compare(name, build(tmp_path, studies.study(settings), **options))


def test_golden_files_of_an_unfinished_study(tmp_path: Path) -> None:
    study = studies.study(seeds=[0, 1, 2])
    root = studies.root(tmp_path)
    studies.write(root, study)
    for cell in catalogue.load("table2").cells(study):
        if cell.method == "p-at-aka" or (cell.method == "s-at-aka" and cell.seed > 0) or cell.attack == "aa":
            cell.csv(root).unlink()
    made = compose(root, study, partial=True)
    assert made.stem.name == "table2.partial"
    assert (root / "table2.partial.csv").exists()
    assert not (root / "table2.csv").exists()
    compare("partial", made)


def compare(name: str, made: Page) -> None:
    for suffix, text in ((".tex", render.tex(made)), (".md", render.md(made))):
        golden = GOLDEN / f"{name}{suffix}"
        if os.environ.get("ATAKA_UPDATE_GOLDEN"):
            golden.write_text(text, encoding="utf-8")
        assert text == golden.read_text(encoding="utf-8")


def test_partial_leaves_stale_cells_out_and_says_so(root: Path, study: Study) -> None:
    stale = Cell("digits", "resnet10-w8", "en-sat", 0, "clean")
    path = studies.write_cell(root, study, stale, {"config_sha256": "0" * 64})
    Cell("digits", "resnet10-w8", "en-sat", 0, "pgd").csv(root).unlink()
    made = compose(root, study, partial=True)
    assert any(note.startswith(f"left out: {path} was made under other settings") for note in made.notes)
    assert any("missing: 1 file, the first" in note for note in made.notes)
    assert [entry.measured for entry in made.layout.panels[0].sections[1][0].entries] == [
        False,
        True,
        False,
        True,
    ]
    assert "Unfinished: 22 of 24 cells measured so far." in text_of(made)
    assert "not measured yet" in text_of(made)


def test_the_caption_states_scale_images_seeds_budget_and_stand_ins(root: Path, study: Study) -> None:
    text = text_of(compose(root, study))
    for statement in [
        "Demo scale: a study for tests: 8×8 digits & small networks.",
        "Stand-ins: digits for CIFAR-10, RN-10 (w 8) for RN-18 and WRN-10-1 for WRN-34-10.",
        "Left out: CIFAR-100 and MN.",
        "Each number is over 360 test images (Clean, FGSM and PGD) "
        "and 32 test images (AA) (columns over different images do not compare).",
        "One seed (0).",
        "Budget ‖ε‖∞ ≤ 26/255.",
        "Dashes (–): not trained at these settings (en-ARD, en-IAD and en-RSLAD).",
        "PGD: 20 steps of 2/255.",
        "AA: AutoAttack, standard version.",
        "α was chosen among 0.1 and 0.5 by PGD-10 accuracy on the validation split (seed 0).",
    ]:
        assert statement in text


def test_the_caption_follows_the_cells_not_the_settings(root: Path, study: Study) -> None:
    for method, n in (("natural", 100), ("en-sat", 50)):
        studies.write_cell(root, study, Cell("digits", "resnet10-w8", method, 0, "fgsm"), n=n)
    text = text_of(compose(root, study))
    assert "360 test images (Clean and PGD), 50, 100 or 360 test images (FGSM) and 32 test images (AA)" in text


def test_the_caption_says_when_autoattack_is_cut_short_and_budgets_differ(tmp_path: Path) -> None:
    short = {"version": "shortened", "iterations": 3, "target_classes": 2, "queries": 20, "eps": "8/255"}
    study = studies.study(attacks=studies.SMALL["attacks"] | {"aa": short})
    text = text_of(build(tmp_path, study))
    assert "AA: AutoAttack cut short (3 iterations, 2 target classes, 20 queries), weaker" in text
    assert "AutoAttack, standard" not in text
    assert "Budget ‖ε‖∞ ≤ 26/255 (FGSM and PGD) and 8/255 (AA)." in text


def test_the_caption_names_the_rows_whose_set_up_averages_weights_or_adds_more(tmp_path: Path) -> None:
    """An option for another network than the table's is none of its rows."""
    setups = {
        "natural": {"swa": {"begin": "1/2"}, "smoothing": 0.1},
        "sat": {"swa": {"begin": "1/2"}, "awp": {"gamma": 0.005}},
        "mart": {"where": {"wrn34-10": {"ema": {}}}},
    }
    text = text_of(build(tmp_path, studies.study(setups=setups)))
    assert "Weights averaged over the epochs from 1/2 of the training on (SWA): Natural and en-SAT." in text
    assert "Adversarial weight perturbation, γ = 0.005: en-SAT." in text
    assert "Label smoothing 0.1: Natural." in text
    assert "EMA" not in text


def test_the_caption_admits_a_choice_by_test_accuracy(tmp_path: Path) -> None:
    study = studies.study(selection=studies.SMALL["selection"] | {"split": "test"})
    assert "on the test split itself, which flatters" in text_of(build(tmp_path, study))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"50% of a_b & c#d", r"50\% of a\_b \& c\#d"),
        (r"\input{x} ~^", r"\textbackslash{}input\{x\} \textasciitilde{}\textasciicircum{}"),
        ("costs $5", r"costs \$5"),
        ("‖ε‖∞ ≤ 8/255", r"$\|\epsilon\|_\infty$ $\le$ 8/255"),
        ("$α", r"\$$\alpha$"),
    ],
)
def test_latex_specials_are_escaped(text: str, expected: str) -> None:
    assert latex.escape(text) == expected


def test_what_begins_like_an_argument_begins_a_row() -> None:
    assert [latex.first(text) for text in ("[a]", "*a", "a[b]")] == ["{}[a]", "{}*a", "a[b]"]


def test_a_character_that_latex_lacks_is_named_where_no_setting_was_read() -> None:
    with pytest.raises(UserError, match="LaTeX can't set '日'"):
        latex.escape("measured on 日本")


def test_markdown_specials_are_escaped() -> None:
    assert markdown.escape("a|b *c* _d_ <e>") == r"a\|b \*c\* \_d\_ \<e\>"


def test_an_unknown_name_in_a_template_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError):
        render.environment().from_string(r"\VAR{nothing}").render()


def test_the_caption_says_what_other_attacks_and_derived_rows_are(tmp_path: Path) -> None:
    made = build(tmp_path, studies.study(), "table4")
    text = text_of(made)
    for statement in [
        "Budget ‖ε‖∞ ≤ 26/255 (FGSM, PGD and CW).",
        "CW: CW∞, PGD on the margin loss, 30 steps of 2/255.",
        "Fog of strength 128 (its weight beside an image of 0 to 255, no ℓ∞ budget), 20 steps of 0.01; its field is "
        "normalised over chunks of 128 images, a weaker attack than image by image.",
        "(S)CAT-AKA, mean: the mean over (S)CAT-AKA S₁, (S)CAT-AKA S₂ and (S)CAT-AKA S₃.",
        "(S)CAT-AKA, range: the largest minus the smallest of (S)CAT-AKA S₁,",
        "(S)CAT-AKA, chosen: the one with the best PGD-10 accuracy on the validation split.",
    ]:
        assert statement in text
    assert "Table 4" not in text  # its number stands elsewhere
    assert made.heading == "4"


def test_the_caption_names_the_attacks_that_are_left_out(tmp_path: Path) -> None:
    text = text_of(build(tmp_path, studies.study(), "table4-fog"))
    assert "Left out: CIFAR-100, Fog 512, Fog 2048, Fog 4096 and Fog 8192." in text
    assert "Mean: the mean over Fog 128 and Fog 256." in text
    assert "Budget" not in text
    without = studies.study(attacks=studies.SMALL["attacks"] | {"fog": None})
    assert "Left out: CIFAR-100 and Fog." in text_of(build(tmp_path / "without", without, "table4"))


def test_the_caption_says_whose_teachers_may_be_anothers(tmp_path: Path) -> None:
    shared = (
        "The teachers of (S)AT-AKA₁ and (S)AT-AKA₂ are taken from the 3 trained on SVGD's particles, not trained anew"
    )
    assert shared in text_of(build(tmp_path, studies.study(), "table5"))
    median = studies.study(generators={"svgd": {"bandwidth": "median"}})
    assert "not trained anew" not in text_of(build(tmp_path / "median", median, "table5"))


def test_frozen_teachers_are_stand_ins_too(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "{number: 2, title: Mine, datasets: [cifar10], archs: [resnet18], columns: [clean], rows: [[en-rslad]]}"
    )
    table = catalogue.load("mine", [tmp_path])
    assert isinstance(table, AccuracyTable)
    assert "and WRN-10-1 for WRN-34-10." in " ".join(accuracy_caption._stand_ins(table, studies.study(studies.WHOLE)))


def test_a_supplement_has_nothing_published_beside_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="table4-fog is no table of the paper"):
        build(tmp_path, studies.study(), "table4-fog", style=Style.PUBLISHED)


NASTY = {
    "natural": "50% R&D_#1 ~^ <x> |y|",
    "en-sat": "ARD (50% of $D$) & more",
    "n-at-aka": "[N] $\\lambda_{i}$ = 3",
    "l-at-aka": "* \\textsc{Mine}, costs \\$5",
    "s-at-aka": 'on "two"\nlines, Größe',
    "p-at-aka": "e\u0301, “α” ± ½",
}
"""Labels, by their methods."""
SAID = {
    "natural": ("50\\% R\\&D\\_\\#1 ", "50% R&D\\_#1 \\~^ \\<x\\> \\|y\\|"),
    "en-sat": ("ARD (50\\% of $D$) \\& more ", "ARD (50% of D) & more"),
    "n-at-aka": ("{}[N] $\\lambda_{i}$ = 3 ", "\\[N\\] λᵢ = 3"),
    "l-at-aka": ("{}* \\textsc{Mine}, costs \\$5 ", "\\* Mine, costs \\$5"),
    "s-at-aka": ("on ``two'' lines, Gr\\\"{o}\\ss{}e ", 'on "two" lines, Größe'),
    "p-at-aka": ("\\'{e}, ``$\\alpha$'' $\\pm$ $\\frac{1}{2}$ ", "é, “α” ± ½"),
}
"""The beginnings of their rows in LaTeX, and their names in Markdown."""


def nasty_study() -> Study:
    methods = studies.SMALL["methods"]
    labelled = {name: methods.get(name, {}) | {"label": label} for name, label in NASTY.items()}
    return studies.study(methods=methods | labelled)


def nasty_table(folder: Path) -> AccuracyTable:
    rows = [[name] for name in NASTY] + [[{"range_of": ["natural", "en-sat"], "label": "$\\Delta$ [%]"}]]
    columns = [
        {"attack": "clean", "label": "C & D"},
        {"attack": "fgsm", "label": "[$\\ell_\\infty$]", "note": "at ε = 50%, $\\lambda$ and [x]"},
        {"mean_of": ["clean", "fgsm"], "label": "* 50%"},
    ]
    title = "Robustness (50% of $D$) [as printed] by “$\\ell_\\infty$”"
    table = {"title": title, "caption": "One & two\n_lines_, 5 \\$.", "heading": "$A_1$ [%]", "columns": columns}
    table |= {"datasets": ["cifar10"], "archs": ["resnet18"], "rows": rows}
    (folder / "nasty.yaml").write_text(yaml.safe_dump(table, allow_unicode=True), encoding="utf-8")
    loaded = catalogue.load("nasty", [folder])
    assert isinstance(loaded, AccuracyTable)
    return loaded


@pytest.fixture
def nasty(tmp_path: Path) -> Page:
    study, root = nasty_study(), studies.root(tmp_path)
    table = nasty_table(tmp_path)
    for cell in table.cells(study):
        studies.write_cell(root, study, cell)
    collect.write(collect.gather(table, study, str(root)), table, root / "nasty")
    return page.compose(table, study, str(root))


def test_each_methods_numbers_stand_in_its_own_row_whatever_its_label(nasty: Page) -> None:
    rows = [row for panel in nasty.layout.panels for section in panel.sections for row in section]
    tex, md = render.tex(nasty).splitlines(), render.md(nasty).splitlines()
    for (in_latex, in_markdown), row in zip(SAID.values(), rows, strict=False):
        beginning = f"\\raggedright {in_latex}"
        (line,) = [line.strip() for line in tex if line.strip().startswith(beginning)]
        cells = re.split(r"(?<!\\)&", line.removesuffix(" \\\\"))
        assert line.endswith(" \\\\")
        assert "%" not in line.replace("\\%", "")
        assert [re.sub(r"[^\d.]", "", cell) for cell in cells[1:]] == [entry.text for entry in row.entries]
        (line,) = [line for line in md if line.startswith(f"| {in_markdown} |")]
        assert len(re.findall(r"(?<!\\)\|", line)) == len(row.entries) + 2


def test_notes_and_titles_hold_the_latex_that_labels_may(nasty: Page) -> None:
    tex, md = render.tex(nasty), render.md(nasty)
    assert r"\caption[{Robustness (50\% of $D$) [as printed] by ``$\ell_{\infty}$''.}]{%" in tex
    assert r"\renewcommand{\thetable}{$A_1$ [\%]}" in render.standalone(nasty)
    assert r"[$\ell_{\infty}$]: at $\epsilon$ = 50\%, $\lambda$ and [x]." in tex
    assert r"One \& two \_lines\_, 5 \$." in tex
    assert r"$\Delta$ [\%]: the largest minus the smallest of 50\% R\&D" in tex
    assert r"* 50\%: the mean over C \& D and [$\ell_{\infty}$]." in tex
    assert md.startswith(
        r"**Table A₁ \[%\].** Robustness (50% of D) \[as printed\] by “ℓ∞”. One & two \_lines\_, 5 \$."
    )
    assert r"\[ℓ∞\]: at ε = 50%, λ and \[x\]." in md
    assert "Δ \\[%\\]: the largest minus the smallest of 50% R&D\\_#1" in md


@pytest.mark.parametrize("engine", ENGINES)
def test_nasty_labels_compile(nasty: Page, engine: str) -> None:
    _, standalone, *_ = render.write(nasty)
    compiled(standalone, engine)


MARKUP = {
    "natural": "[/b] x",
    "en-sat": "[b]",
    "n-at-aka": "[bold]x",
    "l-at-aka": ":smile: [link=x]y",
    "s-at-aka": "\\textbackslash{}[b]",
}
"""Labels, by their methods, that rich would take for its own."""


@pytest.mark.parametrize("is_terminal", [False, True])
def test_a_terminal_shows_labels_as_they_are(tmp_path: Path, is_terminal: bool) -> None:
    methods = studies.SMALL["methods"]
    study = studies.study(methods=methods | {name: methods.get(name, {}) | {"label": MARKUP[name]} for name in MARKUP})
    made = build(tmp_path, study)
    (group,) = {group.columns: group for group in made.layout.groups}.values()
    headed = replace(group, title="[i]t[/i]", columns=("[c] 50%", *group.columns[1:]))
    groups = (headed,) * len(made.layout.groups)
    panels = tuple(replace(panel, title="[u]p") for panel in made.layout.panels)
    made = replace(made, heading="[h]", layout=replace(made.layout, groups=groups, panels=panels))
    console = Console(file=StringIO(), width=100, force_terminal=is_terminal, color_system=None)
    show(made, ["[f].tex"], console)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    for text in (*map(words.plain, map(words.read, MARKUP.values())), "[c] 50%", "[i]t[/i] | [u]p", "[h]", "[f].tex"):
        assert text in shown


@pytest.mark.parametrize("key", ["title", "heading", "caption"])
@pytest.mark.parametrize("text", ["costs $5", "日本", "\\foo", "two \\\\ lines"])
def test_what_latex_would_not_set_is_refused_when_a_table_is_read(key: str, text: str, tmp_path: Path) -> None:
    table = {"title": "T", "datasets": ["cifar10"], "archs": ["resnet18"], "columns": ["clean"], "rows": [["natural"]]}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(table | {key: text}, allow_unicode=True), encoding="utf-8")
    with pytest.raises(UserError, match=rf"mine.yaml: {key}: "):
        catalogue.load("mine", [tmp_path])


@pytest.mark.parametrize("engine", ENGINES[:1])
@pytest.mark.parametrize(
    ("settings", "options"),
    [
        (studies.SMALL | {"about": 'a "test" of 50% & more_of #these {braces} \\ ~ ^ $ <>|'}, {}),
        (studies.PAPER, {}),
        (studies.PAPER, {"style": Style.PUBLISHED}),
        *[(studies.PAPER, {"name": name}) for name in catalogue.names() if name != "table2"],
        (studies.PAPER, {"name": "table4", "style": Style.PUBLISHED}),
        (studies.SMALL, {"name": "table1", "style": Style.PUBLISHED}),
        (studies.SMALL, {"name": "table1", "style": Style.COMPACT}),
        (studies.PAPER | {"seeds": [0]}, {"name": "table4"}),
    ],
)
def test_it_compiles_on_one_page_within_the_margins(
    tmp_path: Path, settings: dict[str, Any], options: dict[str, Any], engine: str
) -> None:
    _, standalone, *_ = render.write(build(tmp_path, studies.study(settings), **options))
    compiled(standalone, engine)


def test_several_versions_of_torch_in_one_table_are_named(root: Path, study: Study) -> None:
    """A build for another device is the same version."""
    whole = compose(root, study)
    assert "versions of torch" not in text_of(whole)
    cells = [Cell("digits", "resnet10-w8", "s-at-aka", 0, attack) for attack in ("fgsm", "pgd", "aa")]
    for cell, version in zip(cells, ("2.13.0+cpu", "2.14.1+cu126", "2.14.1"), strict=True):
        studies.write_cell(root, study, cell, {"torch": version})
    (note,) = [note for note in compose(root, study).caption.notes if "versions of torch" in note]
    assert "2.13.0 (1 of 24 cells)" in note
    assert "2.14.1 (" in note
    assert "+" not in note
