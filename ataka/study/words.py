"""The words of settings that pages print: labels, headings, titles, captions. One text for all formats of a page.

A label may hold LaTeX: formulas between two ``$``, ``\\textsc{...}`` and the like, and ``\\$`` for a dollar. All else
stands for itself: ``R&D_1 (50%)``. ``read`` turns a label into *words*, plain text in which each part that was LaTeX
lies between private characters, as LaTeX and as plain text. Words can be joined with any other text. ``plain`` and
``latex`` give them in either form, and the latter is ASCII, which sets alike under pdflatex and lualatex.

ValueError, with the place, for what LaTeX would not set: a lone ``$``, an unknown command, two exponents after each
other, a line's end, a character that its fonts lack.
"""

import re
import unicodedata
from collections.abc import Iterator
from difflib import get_close_matches
from functools import cache
from typing import Annotated, NamedTuple

from pydantic import AfterValidator

# ---- characters

GREEK = (
    "alpha α beta β gamma γ delta δ epsilon ε zeta ζ eta η theta θ iota ι kappa κ lambda λ mu μ nu ν xi ξ pi π rho ρ "
    "sigma σ tau τ upsilon υ phi φ chi χ psi ψ omega ω Gamma Γ Delta Δ Theta Θ Lambda Λ Xi Ξ Pi Π Sigma Σ Upsilon Υ "
    "Phi Φ Psi Ψ Omega Ω"
)
SIGNS = (
    "ell ℓ pm ± mp ∓ times × div ÷ cdot · le ≤ ge ≥ ne ≠ ll ≪ gg ≫ approx ≈ equiv ≡ sim ∼ propto ∝ to → leftarrow ← "
    "leftrightarrow ↔ Rightarrow ⇒ uparrow ↑ downarrow ↓ in ∈ notin ∉ subset ⊂ subseteq ⊆ cup ∪ cap ∩ emptyset ∅ "
    "forall ∀ exists ∃ partial ∂ nabla ∇ sum ∑ prod ∏ int ∫ surd √ oplus ⊕ otimes ⊗ odot ⊙ circ ∘ bullet • star ⋆ "
    "neg ¬ wedge ∧ vee ∨ perp ⊥ langle ⟨ rangle ⟩ lceil ⌈ rceil ⌉ lfloor ⌊ rfloor ⌋ cdots ⋯ infty ∞ dagger † ddagger ‡ "
    "ast ∗ prime ′ hbar ℏ triangle △"
)
SAME = "leq ≤ geq ≥ neq ≠ rightarrow → varepsilon ε varphi φ vartheta θ ldots … dots … mid | vert | Vert ‖"
"""Other commands for a character that has one already."""
NAMES = "exp log ln max min sup inf arg det dim lim sin cos tan tanh"
"""Commands that print their own name."""


def _pairs(text: str) -> dict[str, str]:
    words = text.split()
    return dict(zip(words[::2], words[1::2], strict=True))


SYMBOLS = _pairs(f"{GREEK} {SIGNS} {SAME}") | {name: name for name in NAMES.split()}
"""Commands of formulas without arguments, and the character of each."""
_RAISED = {"°": r"\circ", "†": r"\dagger", "‡": r"\ddagger", "∗": r"\ast", "′": r"\prime"}
"""Characters above the line, and the command of each."""
_PRIMES = "'\"′"
_FORMULAS = {char: rf"\{command}" for command, char in _pairs(f"{GREEK} {SIGNS}").items()} | {
    "‖": r"\|",
    "−": "-",
    **{char: f"^{command}" for char, command in _RAISED.items()},
    "½": r"\frac{1}{2}",
    "¼": r"\frac{1}{4}",
    "¾": r"\frac{3}{4}",
    "«": r"\ll",
    "»": r"\gg",
}
"""Characters that LaTeX sets as formulas."""
MARKS = "ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖ"
"""The letters a to p as marks beside numbers, small and raised."""
_TEXT = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "%": r"\%",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": r"\textasciigrave{}",
    "\u00a0": "~",
    "\u2009": r"\,",
    "\u202f": r"\,",
    "\u00ad": r"\-",
    "\u200b": "",
    "‐": "-",
    "‑": r"\mbox{-}",
    "–": "--",
    "—": "---",
    "…": r"\dots{}",
    "“": "``",
    "”": "''",
    "„": ",,",
    "‘": "`",
    "’": "'",
    "‚": ",",
    "ß": r"\ss{}",
    "æ": r"\ae{}",
    "Æ": r"\AE{}",
    "œ": r"\oe{}",
    "Œ": r"\OE{}",
    "ø": r"\o{}",
    "Ø": r"\O{}",
    "ł": r"\l{}",
    "Ł": r"\L{}",
    "ı": r"\i{}",
    "¡": "!`",
    "¿": "?`",
    "§": r"\S{}",
    "¶": r"\P{}",
    "£": r"\pounds{}",
    "€": r"\texteuro{}",
    "©": r"\copyright{}",
    "®": r"\textregistered{}",
    "™": r"\texttrademark{}",
    **{mark: rf"\textsuperscript{{\tiny {letter}}}" for mark, letter in zip(MARKS, "abcdefghijklmnop", strict=True)},
}
"""Characters that LaTeX sets in another way than as themselves."""
_ACCENTS = dict(
    zip(
        "\u0300\u0301\u0302\u0303\u0304\u0306\u0307\u0308\u030a\u030b\u030c\u0323\u0327\u0331",
        "`'^~=u.\"rHvdcb",
        strict=True,
    )
)
"""Accents by their combining characters."""
_ABSENT = "ḐḑȨȩḨḩ"
"""Letters without a cedilla in Latin Modern under LuaLaTeX and XeLaTeX, which leave it out with a line in their log."""
_LOW, _HIGH = (
    {unicodedata.normalize("NFKC", char): char for char in chars}
    for chars in ("₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ", f"⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾{MARKS}ʳˢᵗᵘᵛʷˣʸᶻ")
)
"""Characters below and above the line, by the characters that they are on the line."""
_SHIFTED = {"_": {char: plain for plain, char in _LOW.items()}}
_SHIFTED["^"] = {char: plain for plain, char in _HIGH.items() if char not in MARKS}
"""The characters on the line, by those below and above it."""

# ---- commands

_STYLES = ("emph", "mbox", "textbf", "textit", "textmd", "textrm", "textsc", "textsf", "textsl", "texttt", "textup")
"""Commands of text with one argument, in formulas too."""
_FONTS = ("mathbf", "mathcal", "mathit", "mathrm", "mathsf", "mathtt")
"""Commands of formulas that change the look of their argument."""
_HATS = dict(zip(("hat", "bar", "tilde", "vec", "dot", "ddot"), "\u0302\u0304\u0303\u20d7\u0307\u0308", strict=True))
"""Commands of formulas that put something above their argument, and the combining characters."""
_ACCENTED = rf"\\({'|'.join(_HATS)})\b"
"""One of these in LaTeX; TeX drops braces around nothing but an accent with its index and exponent."""
_SPACES = {",": "\u2009", ";": " ", ":": " ", " ": " ", "!": "", "quad": " ", "qquad": " "}
"""Commands that are spaces, and the space in plain text."""
_ESCAPED = "%&#_{}$"
"""Characters that a backslash makes ordinary."""
_NAMED = {command[1:-2]: char for char, command in _TEXT.items() if re.fullmatch(r"\\[A-Za-z]+\{\}", command)} | {
    "dag": "†",
    "ddag": "‡",
    "ldots": "…",
    "LaTeX": "LaTeX",
    "TeX": "TeX",
}
"""Commands of text without arguments, and the characters that they set."""
_COMBINING = {accent: char for char, accent in _ACCENTS.items()}

_BEGIN, _EXACT, _INEXACT, _END = "\ue000\ue001\ue002\ue003"
_PART = re.compile(f"{_BEGIN}([^{_EXACT}{_INEXACT}]*)([{_EXACT}{_INEXACT}])([^{_END}]*){_END}")


class Part(NamedTuple):
    """A part of a text that was LaTeX; ``exact`` says whether ``plain`` says all that ``latex`` does."""

    latex: str
    plain: str
    exact: bool = True

    def __str__(self) -> str:
        return f"{_BEGIN}{self.latex}{_EXACT if self.exact else _INEXACT}{self.plain}{_END}"


def parts(words: str) -> Iterator[str | Part]:
    """Plain text and parts that were LaTeX, in turn."""
    last = 0
    for match in _PART.finditer(words):
        yield words[last : match.start()]
        yield Part(match[1], match[3], match[2] == _EXACT)
        last = match.end()
    yield words[last:]


def plain(words: str) -> str:
    """Words as a terminal shows them."""
    return "".join(part.plain if isinstance(part, Part) else part for part in parts(words))


# ---- reading


def label(text: str) -> str:
    """``text``, which ``read`` takes and of which something can be seen; ValueError otherwise."""
    if not _line(text):
        raise ValueError("is empty: pages print it")
    if not any(unicodedata.category(char)[0] in "LNPS" for char in plain(read(text))):
        raise ValueError(f"'{text}': nothing of it can be seen, and pages print it")
    return text


def _perhaps(text: str) -> str:
    return label(text) if text else text


def _plainly(text: str) -> str:
    _require_public(text)
    latex(text)
    return text


Label = Annotated[str, AfterValidator(label)]
"""A setting that ``read`` takes."""
Perhaps = Annotated[str, AfterValidator(_perhaps)]
"""A setting that ``read`` takes, or nothing."""
Plainly = Annotated[str, AfterValidator(_plainly)]
"""A setting in which nothing is LaTeX, and whose characters LaTeX can set."""


@cache
def read(label: str) -> str:
    """The words of a label, a heading or a title, on one line; ValueError for what LaTeX would not set."""
    _require_public(label)
    words = _Reader(_line(label)).words()
    latex(words)
    return words


def _require_public(text: str) -> None:
    """ValueError for a character that marks a part: text could pass for LaTeX."""
    if char := next((char for char in text if char in f"{_BEGIN}{_EXACT}{_INEXACT}{_END}"), ""):
        raise ValueError(f"LaTeX can't set {_named(char)}; leave it out")


def _line(text: str) -> str:
    """Composed characters on one line."""
    return re.sub(r"[ \t\r\n\v\f\x85\u2028\u2029]+", " ", unicodedata.normalize("NFC", text)).strip()


class _Reader:
    """Reads a label from left to right."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self.is_latex = "$" in text or "\\" in text

    def words(self, end: str = "") -> str:
        """Text up to ``end``, or to the label's."""
        read = ""
        while self.at < len(self.text):
            char = self._take()
            if char == end:
                return read
            read += str(self._of_text(char))
        if end:
            raise self._error("a { without its }")
        return read

    def _take(self) -> str:
        self.at += 1
        return self.text[self.at - 1]

    def _next(self, pattern: str) -> str:
        """What comes next, if it is of this ``pattern``, which is then taken; else ''."""
        match = re.compile(pattern).match(self.text, self.at)
        self.at += len(match[0]) if match else 0
        return match[0] if match else ""

    def _error(self, what: str) -> ValueError:
        return ValueError(f"'{self.text}': {what}")

    # ---- text

    def _of_text(self, char: str) -> str | Part:
        if char == "$":
            body = self._row("$")
            if not body.latex.strip():
                raise self._error("$$ is no formula; write $x$, or \\$ for a dollar")
            return body._replace(latex=f"${body.latex}$")
        if char == "\\":
            return self._text_command()
        if self.is_latex and char == "~":
            return "\u00a0"
        if self.is_latex and char == "{" and self._next("}"):
            return ""
        for signs, meant in (("---", "—"), ("--", "–"), ("``", "“"), ("''", "”")):
            if char == signs[0] and self._next(re.escape(signs[1:])):
                return meant
        return char

    def _text_command(self) -> str | Part:
        if sign := self._next(r"[^A-Za-z]"):
            if sign in _ESCAPED:
                return sign
            if sign in _SPACES:
                return _SPACES[sign]
            if sign == "-":
                return "\u00ad"
            if sign in _COMBINING:
                return self._accented(sign)
            raise self._error(f"\\{sign} is nothing that a label can hold")
        name = self._name()
        if name in _STYLES:
            return self._styled(name)
        if name in ("textsuperscript", "textsubscript"):
            sign, words = "^" if name == "textsuperscript" else "_", self._group(name)
            raised = _shifted(sign, plain(words))
            return raised._replace(latex=rf"\{name}{{{latex(words)}}}")
        if name in _COMBINING:
            return self._accented(name)
        if name in _NAMED or name in _SPACES:
            self._next(" +|{}")
            return _NAMED.get(name, _SPACES.get(name, ""))
        raise self._unknown(name, [*_STYLES, *_NAMED, "textsuperscript", "textsubscript"], "")

    def _name(self) -> str:
        name = self._next("[A-Za-z]+")
        if not name:
            raise self._error("it ends with \\")
        return name

    def _unknown(self, name: str, known: list[str], where: str) -> ValueError:
        close = get_close_matches(name, known, n=1)
        meant = f"; did you mean \\{close[0]}?" if close else ""
        outside = f"; write $\\{name}$" if not where and name in SYMBOLS else ""
        return self._error(f"\\{name} is no command that a label can hold{where}{outside or meant}")

    def _styled(self, name: str) -> Part:
        words = self._group(name)
        exact = all(not isinstance(part, Part) or part.exact for part in parts(words))
        return Part(rf"\{name}{{{latex(words)}}}", plain(words), exact)

    def _group(self, name: str) -> str:
        """The words between the braces that come next."""
        if not self._next(" *{"):
            raise self._error(f"\\{name} needs its text in braces: \\{name}{{...}}")
        return self.words("}")

    def _accented(self, accent: str) -> str:
        letter = self._next(r" *(\{(\\[ij]|[A-Za-z])\}|\\[ij]\b|[A-Za-z])").strip(" {}\\")
        char = unicodedata.normalize("NFC", letter + _COMBINING[accent])
        if not letter or len(char) > 1:
            raise self._error(f"\\{accent} stands before a letter that has this accent")
        return char

    # ---- formulas

    def _row(self, end: str) -> Part:
        """A part of a formula up to ``end``."""
        row, scripts = Part("", ""), ""
        while self.at < len(self.text):
            char = self._take()
            if char == end:
                return row
            sign = _sign(char)
            if sign and sign in scripts:
                like = " (', °, † and the like are ^ too)" if sign == "^" else ""
                raise self._error(f"two {sign} after each other{like}; put the first into braces: {{x{sign}1}}{sign}2")
            atom = self._script(char, sign) if sign else self._atom(char)
            if char != " ":  # after which LaTeX still knows the _ and ^ before
                scripts = scripts + sign if sign else ""
            row = Part(_joined(row.latex, atom.latex), row.plain + atom.plain, row.exact and atom.exact)
        raise self._error("a lone $; write \\$ for a dollar" if end == "$" else "a { without its }")

    def _script(self, char: str, sign: str) -> Part:
        """Whatever LaTeX sets as an index (``sign`` _) or as an exponent (^): primes and small characters too."""
        if char in "_^":
            argument = self._argument(char)
            return _shifted(char, argument.plain, argument.exact)._replace(latex=f"{char}{argument.latex}")
        if char in _PRIMES:
            run = char + self._next(f"[{_PRIMES}]*")
            return Part(run.replace('"', "''").replace("′", "'"), run.replace("'", "′"))
        if char in _RAISED:
            return Part(_FORMULAS[char], char)
        run = char + self._next(f"[{''.join(_SHIFTED[sign])}]*")
        line = "".join(_SHIFTED[sign][one] for one in run).replace("−", "-")
        return Part(f"{sign}{{{line}}}", run)

    def _argument(self, name: str) -> Part:
        """What a command, _ or ^ is about: one character, one command, or braces."""
        self._next(" +")
        if self.at == len(self.text) or self.text[self.at] in "$}_^":
            raise self._error(f"{name} stands before nothing")
        char = self._take()
        if char in _RAISED:
            return Part(f"{{{_RAISED[char]}}}", char)
        if char == "~" or _sign(char):
            raise self._error(f"{name} stands before {_named(char)}; put that into braces, or leave {name} out")
        atom = self._atom(char)
        return atom if char == "{" or (char.isalnum() and char.isascii()) else atom._replace(latex=f"{{{atom.latex}}}")

    def _atom(self, char: str) -> Part:
        if char == "\\":
            return self._formula_command()
        if char == "{":
            row = self._row("}")
            accented = re.search(_ACCENTED, row.latex) and re.search("[_^']", row.latex)
            return row._replace(latex=f"{{{'{}' if accented else ''}{row.latex}}}")
        if char in "}$":
            raise self._error("a { without its }" if char == "$" else "a } without its {")
        if char in "%&#":
            return Part(f"\\{char}", char)
        if char == "~":
            return Part(char, "\u00a0")
        if char in "-*":
            return Part(char, {"-": "−", "*": "∗"}[char])
        if " " <= char <= "~":
            return Part(char, char)
        if char in _FORMULAS:
            return Part(_FORMULAS[char], char)
        raise self._error(f"{_named(char)} can't stand in a formula")

    def _formula_command(self) -> Part:
        if sign := self._next(r"[^A-Za-z]"):
            if sign in _ESCAPED:
                return Part(f"\\{sign}", sign)
            if sign == "|":
                return Part(r"\|", "‖")
            if sign in _SPACES:
                return Part(f"\\{sign}", _SPACES[sign])
            raise self._error(f"\\{sign} is nothing that a label can hold")
        name = self._name()
        if name in SYMBOLS:
            return Part(f"\\{name}", SYMBOLS[name])
        if name in _SPACES:
            return Part(f"\\{name}", _SPACES[name])
        if name in _STYLES:
            return self._styled(name)
        if name in _FONTS:
            body = self._argument(f"\\{name}")
            return body._replace(latex=f"\\{name}{_braced(body.latex)}")
        if name in _HATS:
            body = self._argument(f"\\{name}")
            return Part(f"\\{name}{_braced(body.latex)}", body.plain + _HATS[name], len(body.plain) == 1)
        if name == "sqrt":
            if self._next(r" *\["):
                raise self._error(r"\sqrt[...] is nothing that a label can hold; write x^{1/3}")
            body = self._argument(r"\sqrt")
            return Part(rf"\sqrt{_braced(body.latex)}", f"√{_grouped(body.plain)}", exact=False)
        if name == "frac":
            above, below = self._argument(r"\frac"), self._argument(r"\frac")
            text = f"{_grouped(above.plain)}/{_grouped(below.plain)}"
            return Part(rf"\frac{_braced(above.latex)}{_braced(below.latex)}", text, exact=False)
        known = [*SYMBOLS, *_STYLES, *_FONTS, *_HATS, "sqrt", "frac"]
        raise self._unknown(name, known, " in a formula")


def _sign(char: str) -> str:
    """_ for what LaTeX sets as an index, ^ for what it sets as an exponent, else nothing."""
    if char in "_^":
        return char
    if char in _PRIMES or char in _RAISED:
        return "^"
    return next((sign for sign, chars in _SHIFTED.items() if char in chars), "")


def _shifted(sign: str, text: str, exact: bool = True) -> Part:
    """``text`` below ("_") or above ("^") the line, as plain text; no LaTeX."""
    table = _LOW if sign == "_" else _HIGH
    if sign == "_" and text == "∞":
        return Part("", text)
    if all(char in table for char in text):
        return Part("", "".join(table[char] for char in text), exact)
    return Part("", f"{sign}{_grouped(text)}", exact=False)


def _grouped(text: str) -> str:
    return text if re.fullmatch(r"\w*|.", text) else f"({text})"


def _braced(latex: str) -> str:
    return latex if latex.startswith("{") else f"{{{latex}}}"


def _joined(latex: str, more: str) -> str:
    """Two parts of a formula, one after the other."""
    if re.search(r"\\[A-Za-z]+$", latex) and re.match("[A-Za-z]", more):
        return f"{latex} {more}"
    return latex + more


def _named(char: str) -> str:
    return f"{char!r} ({unicodedata.name(char, f'U+{ord(char):04X}').lower()})"


# ---- LaTeX


def latex(words: str) -> str:
    """Words as LaTeX that prints them, in ASCII; ValueError for a character that it would not set."""
    text, formula, last = "", "", ""
    for is_formula, piece in [*_pieces(words), (False, "")]:
        if is_formula:
            between = "{}" if piece.lstrip()[0] in "_^'" and re.search("[_^']", last) else ""
            formula, last = _joined(formula, between + piece), piece
        else:
            text = _spelled(text + (f"${formula}$" if formula else ""), piece)
            formula, last = "", ""
    return text


def _pieces(words: str) -> Iterator[tuple[bool, str]]:
    """(whether a formula, LaTeX) of each part that was LaTeX, and of each character or run of alike ones."""
    before = ""
    for part in parts(unicodedata.normalize("NFC", words)):
        if isinstance(part, Part):
            is_formula = part.latex.startswith("$")
            yield is_formula, part.latex[1:-1] if is_formula else part.latex
            before = part.plain[-1:] or before
            continue
        for match in re.finditer(_RUNS, part):
            yield _piece(match[0], before)
            before = before if match[0] in _STRAIGHT else match[0][-1]


_RUNS = "|".join([*(f"[{''.join(chars)}]+" for chars in _SHIFTED.values()), "--+", "(?s:.)"])
_APART = r"\/"
"""What keeps two characters of text apart in any engine, as {} does not in lualatex."""
_STRAIGHT = {'"': ("``", "''"), "'": ("`", "'")}
"""Quotes that open and close alike, and LaTeX's two for each."""


def _piece(run: str, before: str) -> tuple[bool, str]:
    """(whether a formula, LaTeX) of a character, or of a run of small ones or hyphens.

    ``before`` is the last character before, and before all straight quotes.
    """
    for sign, chars in _SHIFTED.items():
        if run[0] in chars:
            line = "".join(chars[char] for char in run).replace("−", "-")
            return True, sign + (line if len(line) == 1 else f"{{{line}}}")
    if run == "∞" and (before.isalnum() or before in tuple("‖|)]")):
        return True, r"_\infty"
    if run in _FORMULAS:
        return True, _FORMULAS[run]
    if run[0] == "-":
        return False, _APART.join(run)
    if run in _STRAIGHT:
        opens = not before.strip() or before in "([{–—“‘"
        return False, _STRAIGHT[run][not opens]
    return False, _TEXT[run] if run in _TEXT else _letter(run)


def _spelled(text: str, more: str) -> str:
    """Two parts of a text, one after the other: LaTeX makes a dash of hyphens, and one sign of two quotes."""
    apart = _APART if re.fullmatch("--|,,|''|``|[!?]`", text[-1:] + more[:1]) else ""
    return text + apart + more


def _letter(char: str) -> str:
    """A letter, perhaps with an accent, or another character of ASCII."""
    if " " <= char <= "~":
        return char
    letter, *accents = [*unicodedata.normalize("NFKD", char)]
    if len(accents) == 1 and accents[0] in _ACCENTS and letter.isascii() and char not in _ABSENT:
        base = {"i": r"\i", "j": r"\j"}.get(letter, letter)
        return rf"\{_ACCENTS[accents[0]]}{{{base}}}"
    same = unicodedata.normalize("NFKC", char)
    if same != char and (same in _FORMULAS or same in _TEXT or same.isascii()):
        return latex(same)
    raise ValueError(f"LaTeX can't set {_named(char)}; write it in another way")
