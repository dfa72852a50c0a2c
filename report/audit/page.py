"""What an audit writes beside its cells: a page to read, a record, and an entry in the form of RobustBench's."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ataka.errors import UserError, remedied
from ataka.files.records import read_json, write_json
from ataka.study import Study
from ataka.study.attacks import placeholders
from report import markdown, names, render
from report.accuracies import health
from report.accuracies.measurements import Measurement
from report.audit import model_index
from report.audit.against import Comparison, Difference
from report.audit.evaluation import Audit, summary
from report.audit.robustbench import architecture, write_entry
from report.audit.worst import WorstCase, worst_cases

PAGE, RECORD, ENTRY, CARD = "audit.md", "audit.json", "robustbench.json", "card.md"


def begin(root: Path, about: Mapping[str, Any]) -> None:
    """Claim ``root`` for this network; UserError if an audit of another one lies there that has measured anything."""
    record = root / RECORD
    if record.exists() and any((root / "cells").rglob("*.csv")):
        with remedied("delete the folder, or choose another by --out"):
            there = read_json(record, "checkpoint", "dataset")
        for name in ("dataset", "checkpoint"):
            if there[name] != about[name]:
                raise UserError(
                    f"{root} holds the audit of another network or data set, {there['network']} on {there['dataset']}: "
                    "choose another folder by --out, or delete that one"
                )
    else:
        write_json(record, about)


def write(audit: Audit, about: Mapping[str, Any], compared: Comparison | None) -> list[Path]:
    """The page, the record, the entry and the model card, below the audit's folder."""
    root = Path(audit.root)
    measured, cases = audit.measurements, worst_cases(audit.study, audit.bits)
    record = {
        **about,
        "scale": audit.study.scale,
        "attacks": {measurement.cell.attack: _as_record(measurement, audit) for measurement in measured},
        "worst_cases": [_case_as_record(case) for case in cases],
        "against": [_difference(difference) for difference in compared.differences] if compared else None,
    }
    write_json(root / RECORD, record)
    write_entry(root / ENTRY, audit.study, about, measured)
    arch = architecture(about["checkpoint"])
    shown = {
        "name": about["name"],
        "words": about["words"],
        "arch": arch,
        "dataset": names.dataset(about["dataset"], audit.study),
        "about": audit.study.about.strip().rstrip("."),
        "rows": [row(measurement, audit.study) for measurement in measured],
        "worst": [_worst_row(case, audit) for case in cases],
        "checks": health.checks(measurement.fields for measurement in measured),
        "raised": [_in_words(one, name, audit) for one in measured for name in health.checks([one.fields]).raised],
        "settings": [*filter(None, (sentence(measurement.cell.attack, audit.study) for measurement in measured))],
        "made": _made(measured[0]),
        "compared": _compared(audit.study, compared) if compared else {},
        "against": compared.root if compared else "",
        "refused": list(compared.refused) if compared else [],
        "images": any(Path(root, "images").glob("*.safetensors")),
    }
    templates = render.environment(text=markdown.escape)
    head = model_index.head(model_index.metadata(audit.study, about["name"], about["dataset"], [arch], measured))
    page = render.write_text(root / PAGE, templates.get_template("audit.md").render(shown))
    card = render.write_text(root / CARD, head + templates.get_template("audit_card.md").render(shown))
    return [page, root / RECORD, root / ENTRY, card]


def lines(audit: Audit) -> list[str]:
    """The audit in the terminal: a line for each attack and worst case, and the number of health checks raised."""
    measured = audit.measurements
    named = {
        measurement.cell.attack: summary(measurement.accuracy, measurement.ci_low, measurement.ci_high, measurement.n)
        for measurement in measured
    }
    for case in worst_cases(audit.study, audit.bits):
        named[f"worst case, {' '.join(case.ball)}"] = summary(*case.accuracy, case.n)
    width = max(map(len, named))
    return [
        *(f"{name:{width}}  {text}" for name, text in named.items()),
        f"health checks: {health.checks(measurement.fields for measurement in measured).outcome}",
    ]


def _case_as_record(case: WorstCase) -> dict[str, Any]:
    accuracy, low, high = case.accuracy
    return {
        **case.ball._asdict(),
        "attacks": case.attacks,
        "n": case.n,
        "correct": case.correct,
        "accuracy": accuracy,
        "ci_low": low,
        "ci_high": high,
    }


def _as_record(measurement: Measurement, audit: Audit) -> dict[str, Any]:
    checks = health.checks([measurement.fields])
    return {
        **audit.study.attack(measurement.cell.attack).settings,
        "n": measurement.n,
        "correct": int(measurement.fields["correct"]),
        "accuracy": measurement.accuracy,
        "ci_low": measurement.ci_low,
        "ci_high": measurement.ci_high,
        "checks": checks.made,
        "health": checks.raised,
    }


def _difference(difference: Difference) -> dict[str, Any]:
    low, high = difference.interval
    return {
        "attack": difference.cell.attack,
        "dataset": difference.cell.dataset,
        "arch": difference.cell.arch,
        "method": difference.cell.method,
        "seed": difference.cell.seed,
        "ours": difference.ours,
        "theirs": difference.theirs,
        "ci_low": low,
        "ci_high": high,
        "p_holm": difference.p_holm,
    }


# ---- cells of the page, as text


def row(measurement: Measurement, study: Study) -> list[str]:
    """A measurement on a page: attack, accuracy, interval, number of images, budget, health."""
    entry = study.attack(measurement.cell.attack)
    checks = health.checks([measurement.fields])
    interval = f"{measurement.ci_low:.2f} to {measurement.ci_high:.2f}"
    return [
        names.attack(measurement.cell.attack, study),
        f"{measurement.accuracy:.2f}",
        interval,
        str(measurement.n),
        str(entry.ball or ""),
        "; ".join(checks.raised) or checks.outcome,
    ]


def _worst_row(case: WorstCase, audit: Audit) -> list[str]:
    accuracy, low, high = case.accuracy
    attacks = ", ".join(names.attack(name, audit.study) for name in case.attacks)
    return [f"Worst case of {attacks}", f"{accuracy:.2f}", f"{low:.2f} to {high:.2f}", str(case.n), str(case.ball), ""]


def _in_words(measurement: Measurement, name: str, audit: Audit) -> str:
    return f"{names.attack(measurement.cell.attack, audit.study)}, {name}: {audit.meaning(name)}."


def _compared(study: Study, compared: Comparison) -> dict[str, list[list[str]]]:
    """The rows of the table of differences, by the section that each belongs to."""
    sections: dict[str, list[list[str]]] = {}
    for difference in compared.differences:
        sections.setdefault(difference.section, []).append(_compared_row(study, difference))
    return sections


def _compared_row(study: Study, difference: Difference) -> list[str]:
    low, high = difference.interval
    return [
        difference.label,
        str(difference.cell.seed),
        names.attack(difference.cell.attack, study),
        f"{difference.theirs:.2f}",
        f"{difference.ours:.2f}",
        f"{difference.sample.estimate:+.2f}",
        f"{low:+.2f} to {high:+.2f}",
        f"{difference.p_holm:.2g}",
    ]


def sentence(attack: str, study: Study) -> str:
    """The attack's own sentence, its options filled in; an empty text for an attack that has none."""
    entry = study.attack(attack)
    text, values = entry.sentence, {"heading": names.attack(attack, study), **entry.options}
    for field in placeholders(text):
        text = text.replace(f"{{{field}}}", str(values[field]))
    return text


def _made(measurement: Measurement) -> str:
    """The machine, versions and code of the audit."""
    named = ("device", "torch", "threads", "git_commit", "model_sha256", "data_sha256")
    return ", ".join(f"{name} {measurement.fields[name]}" for name in named if measurement.fields[name])
