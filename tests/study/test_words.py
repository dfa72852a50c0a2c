"""Do labels say the same in LaTeX, in Markdown and in a terminal, and is refused what LaTeX would not set?"""

import contextlib
import random
import re
import string
import unicodedata
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from ataka.errors import UserError
from ataka.study import config, plugins, words
from report import latex, markdown
from tests.typesetting import ENGINES, compiled

LABELS = {  # as LaTeX, as Markdown, in a terminal
    "ARD (50% of $D$)": (r"ARD (50\% of $D$)", "ARD (50% of D)", "ARD (50% of D)"),
    "R&D_1 #2 ~^ {x} | <y>": (
        r"R\&D\_1 \#2 \textasciitilde{}\textasciicircum{} \{x\} \textbar{} \textless{}y\textgreater{}",
        r"R&D\_1 #2 \~^ {x} \| \<y\>",
        "R&D_1 #2 ~^ {x} | <y>",
    ),
    "(S)AT-AKA$_1$": ("(S)AT-AKA$_1$", "(S)AT-AKA₁", "(S)AT-AKA₁"),
    "(S)CAT-AKA~$S_1$": ("(S)CAT-AKA~$S_1$", "(S)CAT-AKA\u00a0S₁", "(S)CAT-AKA\u00a0S₁"),
    r"$\lambda$ = 3": (r"$\lambda$ = 3", "λ = 3", "λ = 3"),
    "λ = 3": (r"$\lambda$ = 3", "λ = 3", "λ = 3"),
    r"\textsc{Mine} \& yours": (r"\textsc{Mine} \& yours", "Mine & yours", "Mine & yours"),
    r"\textbf{50% $\alpha$}": (r"\textbf{50\% $\alpha$}", "50% α", "50% α"),
    r"costs \$5": (r"costs \$5", r"costs \$5", "costs $5"),
    r"$x_{adv}$, $\frac{1}{2}$": (r"$x_{adv}$, $\frac{1}{2}$", r"$`x_{adv}`$, $`\frac{1}{2}`$", "x_adv, 1/2"),
    r"$|x|_\infty^{-2}$": (r"$|x|_{\infty}^{-2}$", r"\|x\|∞⁻²", "|x|∞⁻²"),
    r"$|\hat{x}_{ab}|$": (r"$|\hat{x}_{ab}|$", r"$`\vert \hat{x}_{ab}\vert `$", "|x̂_ab|"),
    "$50% & α x$": (r"$50\% \& \alpha x$", "50% & α x", "50% & α x"),
    "α$x$ and α₁₂": (r"$\alpha x$ and $\alpha_{12}$", "αx and α₁₂", "αx and α₁₂"),
    "ℓ∞, n = ∞": (r"$\ell_\infty$, n = $\infty$", "ℓ∞, n = ∞", "ℓ∞, n = ∞"),
    "x₁$_2$": ("x$_1{}_2$", "x₁₂", "x₁₂"),
    "Größe of naïve Ångström, Dvořák, Łódź": (
        r"Gr\"{o}\ss{}e of na\"{\i}ve \r{A}ngstr\"{o}m, Dvo\v{r}\'{a}k, \L{}\'{o}d\'{z}",
        "Größe of naïve Ångström, Dvořák, Łódź",
        "Größe of naïve Ångström, Dvořák, Łódź",
    ),
    "decomposed e\u0301": (r"decomposed \'{e}", "decomposed é", "decomposed é"),
    r"\'e \"{o} \c{c} \v s \'\i": (r"\'{e} \"{o} \c{c} \v{s} \'{\i}", "é ö ç š í", "é ö ç š í"),
    'the "best" (“one”)': ("the ``best'' (``one'')", 'the "best" (“one”)', 'the "best" (“one”)'),
    "``quoted'' 2--3 --- so": ("``quoted'' 2--3 --- so", "“quoted” 2–3 — so", "“quoted” 2–3 — so"),
    "two\nlines\n": ("two lines", "two lines", "two lines"),
    "50 °C × 2 ± ½ …": (
        r"50 $^\circ$C $\times$ 2 $\pm$ $\frac{1}{2}$ \dots{}",
        "50 °C × 2 ± ½ …",
        "50 °C × 2 ± ½ …",
    ),
    "$x^†_°$, $90°$, $f′$, $f''$": (
        r"$x^{\dagger}_{\circ}$, $90^\circ$, $f'$, $f''$",
        r"$`x^{\dagger}_{\circ}`$, 90°, f′, f′′",
        "x^†_°, 90°, f′, f′′",
    ),
    r"$x_∞^\mathrm{a}$²": (r"$x_{\infty}^{\mathrm{a}}{}^2$", "x∞ᵃ²", "x∞ᵃ²"),
    r"${\hat{x}'}^2$": (r"${{}\hat{x}'}^2$", "x̂′²", "x̂′²"),
    "x†‡ y′": (r"x$^\dagger{}^\ddagger$ y$^\prime$", "x†‡ y′", "x†‡ y′"),
    "(−∞, ∞), L∞": (r"($-\infty$, $\infty$), L$_\infty$", "(−∞, ∞), L∞", "(−∞, ∞), L∞"),
    "don't say 'x', “'y'”": (r"don't say `x', ``\/`y'\/''", "don't say 'x', “'y'”", "don't say 'x', “'y'”"),
    "a,,b „c”": (r"a,\/,b ,,c''", "a,,b „c”", "a,,b „c”"),
    "!‘a": (r"!\/`a", "!‘a", "!‘a"),
    "a&amp;b": (r"a\&amp;b", r"a\&amp;b", "a&amp;b"),
    "# one": (r"\# one", r"\# one", "# one"),
    "1. one": ("1. one", r"1\. one", "1. one"),
    "- one": ("- one", r"\- one", "- one"),
}
REFUSED = {
    r"\c{e}": "LaTeX can't set 'ȩ'",
    "costs $5": r"a lone $; write \$ for a dollar",
    "$a$ and $b": "a lone $",
    "$$x$$": "$$ is no formula",
    r"two \\ lines": r"\\ is nothing that a label can hold",
    r"\foo": r"\foo is no command that a label can hold",
    r"\textscc{Mine}": r"did you mean \textsc?",
    r"\alpha": r"write $\alpha$",
    r"$\alhpa$": r"\alhpa is no command that a label can hold in a formula; did you mean \alpha?",
    r"\input{secrets}": r"\input is no command",
    r"\textsc": r"\textsc needs its text in braces",
    r"\textsc{Mine": "a { without its }",
    "$x_{1$": "a { without its }",
    "$x}$": "a } without its {",
    "$x_$": "_ stands before nothing",
    "$x_1_2$": "two _ after each other",
    **dict.fromkeys(
        ["$x'^2$", "$x^2'$", "$x'_1'$", "$x' '$", "$x^2 ^3$", "$x²'$", "$x^2†$", "$x^2°$", "$x°°$", "$†‡$", "$x'†$"],
        "two ^ after each other (', °, † and the like are ^ too); put the first into braces: {x^1}^2",
    ),
    **dict.fromkeys(["$x_1'_2$", "$x_1 _2$", "$x₁_2$"], "two _ after each other; put the first into braces: {x_1}_2"),
    "$x^'$": '^ stands before "\'" (apostrophe)',
    "$x_'$": '_ stands before "\'" (apostrophe)',
    '$x_"$': "_ stands before '\"' (quotation mark)",
    "$x^~$": "^ stands before '~' (tilde)",
    "$x^²$": "^ stands before '²' (superscript two)",
    r"$\sqrt[3]{x}$": r"\sqrt[...] is nothing that a label can hold; write x^{1/3}",
    "\ue000\\input{x}\ue001x\ue003": "LaTeX can't set '\\ue000'",
    "ends \\": "it ends with \\",
    "日本": "LaTeX can't set '日' (cjk unified ideograph-65e5)",
    "ок": "LaTeX can't set 'о' (cyrillic small letter o)",
    "\U0001f600": "(grinning face)",
    "tab\x07": "LaTeX can't set '\\x07'",
    "two accents: ế": "latin small letter e with circumflex and acute",
    "$é$": "can't stand in a formula",
}
UNSEEN = [
    r"\!",
    r"\textbf{}",
    r"$\textbf{}$",
    r"\-",
    "\u00ad",
    "\u200b",
    r"$\,$",
    "~$~$",
    "$_{}$",
    r"\textsuperscript{}",
]


@pytest.mark.parametrize("label", LABELS)
def test_a_label_says_the_same_in_every_format(label: str) -> None:
    read = words.read(label)
    assert (latex.escape(read), markdown.escape(read), words.plain(read)) == LABELS[label]


@pytest.mark.parametrize("label", REFUSED)
def test_a_label_that_latex_would_not_set_is_refused(label: str) -> None:
    with pytest.raises(ValueError, match=re.escape(REFUSED[label])):
        words.read(label)


@pytest.mark.parametrize("label", UNSEEN)
def test_a_label_of_which_nothing_can_be_seen_is_refused(label: str) -> None:
    with pytest.raises(ValueError, match="nothing of it can be seen"):
        words.label(label)


EVERYTHING = [
    *(chr(code) for code in range(32, 127)),
    *words._TEXT,
    *words._FORMULAS,
    *(
        unicodedata.normalize("NFC", f"{letter}{accent}")
        for accent in words._ACCENTS
        for letter in string.ascii_letters
    ),
    *(char for chars in words._SHIFTED.values() for char in chars),
]
"""Every character that LaTeX is given."""
SETTABLE = [char for char in EVERYTHING if len(char) == 1 and char not in words._ABSENT]
COMMANDS = [
    *(rf"${{}}\{name}{{}}$" for name in words.SYMBOLS),
    *(rf"\{name}{{text}}" for name in (*words._STYLES, "textsuperscript", "textsubscript")),
    *(rf"$\{name}{{x}}$" for name in (*words._FONTS, *words._HATS, *words._STYLES, "sqrt")),
    *(rf"\{name}{{}}" for name in words._NAMED),
    *(rf"$a\{name} b$" for name in words._SPACES),
    r"$\frac{a}{b}_{c^d}'\|\%\&\#\_\{\}\$$",
]


def test_whatever_is_set_is_ascii() -> None:
    assert all(words.latex(char).isascii() for char in SETTABLE)
    assert all(words.latex(words.read(command)).isascii() for command in COMMANDS)


@pytest.mark.parametrize("engine", ENGINES)
def test_every_character_and_command_is_set(engine: str, tmp_path: Path) -> None:
    """By itself, between letters, after a formula, and in bold small print, as the notes below tables are."""
    lines = [words.latex(f"a{char}b {char} α{char}₁") for char in SETTABLE]
    lines += [words.latex(f"{words.read(command)} a{words.read(command)}b") for command in COMMANDS]
    lines += [words.latex(words.read(label)) for label in LABELS]
    text = "\\par\n".join(lines)
    tex = tmp_path / "all.tex"
    tex.write_text(
        "\\documentclass{article}\\usepackage[margin=5mm,paperheight=5000mm]{geometry}\\begin{document}\\raggedright\n"
        f"{text}\\par{{\\bfseries\\scriptsize {text}\\par}}\\end{{document}}"
    )
    compiled(tex, engine, "pages")


PLAIN = [*"ab1'\"~ ^_[]|", *words._RAISED, *"½∞α‖²₁"] * 4
PLAIN += [rf"\{name} " for name in (*words.SYMBOLS, *words._SPACES)]
GROUPS = ["{%s}", "_{%s}", "^{%s}", "_%s", "^%s"]
GROUPS += [rf"\{name}{{%s}}" for name in (*words._FONTS, *words._HATS, "sqrt", "textbf")]


def formula(chance: random.Random, depth: int = 0) -> str:
    """Up to three things after each other, right or wrong."""
    things = ""
    for _ in range(chance.randint(1, 3)):
        inner = depth < 2 and chance.random() < 0.5
        things += chance.choice(GROUPS) % formula(chance, depth + 1) if inner else chance.choice(PLAIN)
    return things


@cache
def accepted() -> list[str]:
    """LaTeX of labels drawn by chance, of two formulas and what may stand between them; most of those are refused."""
    chance, drawn = random.Random(0), dict[str, None]()
    while len(drawn) < 600:
        text = f"${formula(chance)}${chance.choice(['', 'a', ' ', '²', '†'])}${formula(chance)}$"
        with contextlib.suppress(ValueError):
            drawn[words.latex(words.read(text))] = None
    return [*drawn]


@pytest.mark.parametrize("engine", ENGINES)
def test_any_formula_that_is_accepted_is_set(engine: str, tmp_path: Path) -> None:
    tex = tmp_path / "formulas.tex"
    lines = "\\par\n".join(accepted())
    tex.write_text(
        "\\documentclass{article}\\usepackage[margin=5mm,paperheight=5000mm]{geometry}\\begin{document}\\raggedright\n"
        f"\\hfuzz=\\maxdimen {lines}\\end{{document}}"
    )
    compiled(tex, engine)


# ---- when settings are read


def explained(**overrides: Any) -> str:
    with pytest.raises(UserError) as caught:
        config.load("demo", overrides)
    return str(caught.value)


@pytest.mark.parametrize("label", ["costs $5", "日本", r"\foo", "tab\x07", UNSEEN[0], "", " \n "])
def test_labels_are_refused_when_settings_are_read(label: str) -> None:
    said = explained(methods={"natural": {"label": label}})
    assert "methods.natural.label: " in said
    assert "\n" not in said
    entry = {"file": "mine.npz", "label": label}
    assert "datasets.mine.label: " in explained(datasets={"mine": entry})


def test_the_sentence_about_a_scale_is_no_latex(tmp_path: Path) -> None:
    about = r"50% & $5 \{x} _ ^ ~"
    assert config.load("demo", {"about": about}).about == about
    assert words.latex("a -- b --- ''c''") == r"a -\/- b -\/-\/- `\/`c'\/'"
    assert "about: LaTeX can't set '日'" in explained(about="日")


def test_every_label_of_the_paper_is_set() -> None:
    study = config.load("paper")
    assert all(words.latex(words.read(method.label)).isascii() for method in study.methods.values())


@pytest.mark.parametrize(("name", "text"), [("LABEL", "costs $5"), ("LABEL", "日"), ("PAPER_NOTE", "日")])
def test_a_plug_ins_words_are_refused_by_the_plug_ins_name(
    name: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ataka.attacks import fgsm

    monkeypatch.setattr(plugins, "facts", lambda module, question, answer: answer())
    monkeypatch.setattr(fgsm, name, text, raising=False)
    said = explained(attacks={"fgsm": {"eps": "3/255"}})
    assert f"'ataka.attacks.fgsm': its {name}: " in said
