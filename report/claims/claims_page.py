"""Verdicts to {root}/claims.csv, claims.tex, claims.standalone.tex and claims.md."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from ataka.files.records import collected, write_rows
from ataka.study import Study, words
from report import caption, latex, markdown, names
from report.claims import printed
from report.claims.judge import Judged, NotMeasured, Outcome, Verdict, Word
from report.claims.sentences import Contrast, Sentence
from report.grammar import plural
from report.particles.particle_layout import STATISTICS
from report.statistics import ALPHA, POWER, PairedBits
from report.targets import STANDALONE

# fmt: off
COLUMNS = [
    "scale", "claim", "table", "where", "kind", "margin", "dataset", "arch", "verdict", "about", "why",
    "comparisons", "decided_by", "under", "estimate", "ci_low", "ci_high", "confidence", "p", "p_holm", "n", "seeds",
    "images_to_settle", "seeds_to_settle", "printed_agrees", "sentence",
]
# fmt: on
HEADER = ["", "verdict", "decided by", "difference", "p", "Holm", "images", "seeds", "would settle", "printed"]
_ESCAPE: dict[str, Callable[[str], str]] = {".tex": latex.escape, STANDALONE: latex.escape, ".md": markdown.escape}
WORDS: tuple[Word, ...] = ("supported", "contradicted", "inconclusive", "not measured")


@dataclass(frozen=True)
class Block:
    """A sentence and a row of text for each of its claims."""

    id: str
    table: int
    where: str
    quote: str
    reading: str
    rows: list[list[str]]


def write(study: Study, root: str, verdicts: Sequence[Verdict], *, partial: bool = False) -> list[Path]:
    """All four files; ``partial`` ones have a name of their own."""
    from report.render import write_text

    stem = Path(root, "claims.partial" if partial else "claims")
    csv, pages = Path(f"{stem}.csv"), [Path(f"{stem}{suffix}") for suffix in _ESCAPE]
    write_rows(csv, collected(rows(study, verdicts)), COLUMNS)
    return [csv, *(write_text(path, text(study, verdicts, path, partial=partial)) for path in pages)]


def rows(study: Study, verdicts: Sequence[Verdict]) -> list[dict[str, object]]:
    """A row for each verdict."""
    return [_fields(study, verdict) for verdict in verdicts]


def text(study: Study, verdicts: Sequence[Verdict], path: Path, *, partial: bool = False) -> str:
    """The page at ``path``, in the format of its suffix."""
    from report.claims import floats
    from report.render import environment, suffix_of

    suffix = suffix_of(path)
    above, in_print = head(study, verdicts, partial=partial), list(notes(study, in_print=True))
    every = blocks(study, verdicts)
    return (
        environment(text=_ESCAPE[suffix], first=latex.first)
        .get_template(f"claims{suffix}")
        .render(
            stem=path.name.removesuffix(suffix),
            scale=study.scale,
            head=above,
            notes=in_print if suffix == ".tex" else list(notes(study)),
            claims_header=HEADER,
            blocks=every,
            header=floats.HEADER,
            floats=floats.of(every, above + in_print),
            labels={block.table: caption.label(f"tab:claims{block.table}", study, partial=partial) for block in every},
            level="##",
        )
    )


def head(study: Study, verdicts: Sequence[Verdict], *, partial: bool = False) -> list[str]:
    """The page's first sentences: the scale, the counts of verdicts, and the limits of these."""
    count = Counter(verdict.word for verdict in verdicts)
    came_out = names.listed([f"{count[word]} {word}" for word in WORDS]) + " at this scale"
    left_out = [verdict.claim for verdict in verdicts]
    datasets, archs = ([value for claim in left_out if (value := getattr(claim, key))] for key in ("dataset", "arch"))
    return [
        f"At the {study.scale} scale ({study.about.strip().rstrip('.')}), of {len(verdicts)} claims: {came_out}.",
        *(["Unfinished: some claims are not measured yet."] if partial else []),
        "Verdicts are about this study's networks. They say nothing about the paper's own experiments, nor about "
        "another scale.",
        *caption.stand_ins(study, datasets, archs),
    ]


def notes(study: Study, *, in_print: bool = False) -> Iterator[str]:
    """Sentences on the tests behind the verdicts, and on the columns, of which those ``in_print`` are fewer."""
    if len(study.seeds) == 1:
        yield (
            "One seed: a verdict is about the very networks that were trained, not about the methods. Two networks are "
            "compared on the same images by McNemar's exact test, or against a margin, and several by their slope, by "
            "the Wald statistic adjusted nearly as Bonett and Price do, which also gives the interval. How many seeds "
            "would tell of the methods can't be known from one."
        )
    else:
        yield (
            f"{len(study.seeds)} seeds: a verdict is about the methods as trained here, by the paired t test over the "
            "seeds' differences, on these test images."
        )
    yield "Table 1: one network each, a paired t test over its images."
    yield (
        "Decided by: of a claim's comparisons the weakest, or where it is contradicted the most contrary. A claim is "
        "supported only if all of its comparisons hold (or those of most attacks, where it says so), contradicted if "
        "any of them is significantly the other way round (or those of so many attacks), and else inconclusive."
    )
    yield (
        f"p is the claim's, over all of its comparisons; Holm: over the claims of that table that are measured, which "
        f"is what decides, at {100 * ALPHA:g} %."
    )
    yield (
        "Difference: in points of accuracy (particles: in the unit of Table 1), with its 95 % interval, or 90 % where "
        "there is a margin. No discordant images: no difference."
    )
    if not in_print:
        yield (
            f"Would settle: so much would decide the claim with a power of {100 * POWER:g} %, were all differences as "
            "measured here."
        )
    yield "Printed: whether the paper's printed numbers agree with its sentence as read here; arithmetic, no test."


def blocks(study: Study, verdicts: Sequence[Verdict]) -> list[Block]:
    """The sentences in their order."""
    made = []
    for sentence, group in groupby(verdicts, key=lambda one: one.claim.sentence):
        where = f"Table {sentence.table}, {sentence.where}"
        made.append(
            Block(
                sentence.id,
                sentence.table,
                where,
                sentence.sentence.strip(),
                _read(sentence),
                [_row(study, verdict) for verdict in group],
            )
        )
    return made


def _read(sentence: Sentence) -> str:
    """The kind, the margin and the reading of a sentence."""
    unit = "nat" if sentence.network is not None else "point"
    margin = f", margin {sentence.margin:g} {plural(sentence.margin, unit)}" if sentence.margin else ""
    most = ", in most of the attacks" if sentence.hold_in == "most" else ""
    reading = f": {sentence.reading.strip().rstrip('.')}" if sentence.reading else ""
    return f"{sentence.kind.capitalize()}{margin}{most}{reading}."


def _row(study: Study, verdict: Verdict) -> list[str]:
    label, agreement = _label(study, verdict), printed.agreement(verdict.claim)
    last = "–" if agreement is None else str(agreement)
    if isinstance(verdict, NotMeasured):
        return [label, verdict.word, verdict.why, *[""] * (len(HEADER) - 4), last]
    decisive, measured = verdict.decisive, verdict.measured
    return [
        label,
        verdict.word,
        _described(study, decisive) + (f" (of {measured.comparisons})" if measured.comparisons > 1 else ""),
        _difference(decisive),
        _p(measured.p),
        _p(verdict.p_holm),
        f"{decisive.n:,}",
        str(decisive.seeds),
        _settle(verdict.needed, "seeds" if decisive.seeds > 1 else "images"),
        last,
    ]


def _label(study: Study, verdict: Verdict) -> str:
    """A claim's label among those of its sentence: this scale's names, or the paper's where the claim is left out."""
    claim = verdict.claim
    dataset, arch = claim.dataset, claim.arch
    if not claim.left_out(study):
        dataset, arch = study.stand_in(dataset) or dataset, study.stand_in(arch) or arch
    parts = [names.dataset(dataset, study), names.arch(arch)] if dataset else []
    several = len(claim.sentence.compare) > 1 and claim.dataset
    parts += [names.method(claim.comparison.methods[0], study)] if several else []
    return ", ".join(parts) or _heading(claim.comparison.statistics[0])


def _heading(statistic: str) -> str:
    return f"{STATISTICS[statistic].heading} {STATISTICS[statistic].group}"


def _described(study: Study, tested: Outcome) -> str:
    contrast = tested.contrast
    if tested.sentence.network is not None:
        (one, _), (other, _) = contrast.weights
        return f"{one.upper()} − {other.upper()}"
    if tested.sentence.kind == "trend":
        return f"slope, {names.attack(contrast.under, study)}"
    (one, _), (other, _) = ((names.method(name, study), weight) for name, weight in contrast.weights)
    return f"{one} − {other}, {names.attack(contrast.under, study)}"


def _confidence(sentence: Sentence) -> float:
    """The confidence of the interval that goes with the verdict: a test against a margin is one-sided."""
    return 1 - 2 * ALPHA if sentence.margin else 1 - ALPHA


def _difference(tested: Outcome) -> str:
    if _same(tested):
        return "no difference"
    form = "+.3g" if tested.sentence.network is not None else "+.2f"
    low, high = tested.sample.interval(_confidence(tested.sentence))
    numbers = [format(value, form).replace("-", "−") for value in (tested.sample.estimate, low, high)]
    if not math.isfinite(low):
        return f"{numbers[0]} (all seeds alike)"
    return f"{numbers[0]} [{numbers[1]}, {numbers[2]}]"


def _same(tested: Outcome) -> bool:
    """The two are the same on every image."""
    sample = tested.sample
    if isinstance(sample, PairedBits):
        return sample.discordant == (0, 0)
    return tested.seeds == 1 and sample.estimate == 0 and sample.interval(0.95) == (0.0, 0.0)


def _settle(needed: float | None, unit: str) -> str:
    if needed is None:
        return ""
    if math.isinf(needed):
        return f"no number of {unit}"
    return f"over 10 million {unit}" if needed > 1e7 else f"{needed:,.0f} {unit}"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _fields(study: Study, verdict: Verdict) -> dict[str, object]:
    claim, sentence, agreement = verdict.claim, verdict.claim.sentence, printed.agreement(verdict.claim)
    fields: dict[str, object] = {
        "scale": study.scale,
        "claim": claim.id,
        "table": sentence.table,
        "where": sentence.where,
        "kind": sentence.kind,
        "margin": sentence.margin or "",
        "dataset": claim.dataset and (study.stand_in(claim.dataset) or ""),
        "arch": claim.arch and (study.stand_in(claim.arch) or ""),
        "verdict": verdict.word,
        "printed_agrees": "" if agreement is None else str(agreement),
        "sentence": sentence.sentence.strip(),
    }
    return fields | ({"why": words.plain(verdict.why)} if isinstance(verdict, NotMeasured) else _numbers(verdict))


def _numbers(verdict: Judged) -> dict[str, object]:
    tested, needed = verdict.decisive, verdict.needed
    confidence = _confidence(tested.sentence)
    low, high = tested.sample.interval(confidence)
    fields: dict[str, object] = {
        "about": "methods" if tested.seeds > 1 else "network" if tested.sentence.network is not None else "networks",
        "comparisons": verdict.measured.comparisons,
        "decided_by": _named(tested.contrast),
        "under": tested.contrast.under,
        "estimate": f"{tested.sample.estimate:.6g}",
        "ci_low": f"{low:.6g}",
        "ci_high": f"{high:.6g}",
        "confidence": f"{confidence:g}",
        "p": f"{verdict.measured.p:.6g}",
        "p_holm": f"{verdict.p_holm:.6g}",
        "n": tested.n,
        "seeds": tested.seeds,
    }
    if needed is None:
        return fields
    units = "never" if math.isinf(needed) else f"{needed:.0f}"
    images, seeds = (tested.n, units) if tested.seeds > 1 else (units, 1)
    return fields | {"images_to_settle": images, "seeds_to_settle": seeds}


def _named(contrast: Contrast) -> str:
    if len(contrast.weights) == 2:
        return " - ".join(name for name, _ in contrast.weights)
    return " ".join(f"{weight:+g} {name}" for name, weight in contrast.weights)
