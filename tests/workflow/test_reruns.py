"""What does a change re-run? Exactly what depends on it: read from dry runs on a finished table."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.workflow.driver import (
    DISTILLED,
    LAST,
    METHODS,
    STUDENTS,
    TABLE,
    Answer,
    Checkout,
    ask_all,
    cell,
    evaluates,
    selects,
    students_again,
    trains,
    trains_an_average,
)

RECORD = {"record digits wrn10-1-x3-svgd seed 0"}
SAT = trains_an_average("en-sat") | evaluates("en-sat")
TEACHER = "digits wrn10-1"

SETTINGS = {
    "an attack's parameter": (
        'attacks={"pgd": {"steps": 3}}',
        evaluates(*METHODS, attacks=("pgd",)) | LAST,
    ),
    "a student's hyper-parameter": (
        'methods={"s-at-aka": {"options": {"psi": {"beta": 2.0}}}}',
        students_again("s-at-aka") | LAST,
    ),
    "the attack that alpha is chosen by": (
        'selection={"attack": {"steps": 3}}',
        selects(*STUDENTS) | trains(*STUDENTS) | evaluates(*STUDENTS) | LAST,
    ),
    "one more alpha": (
        'selection={"alphas": [0.1, 0.5, 0.9]}',
        trains(*(f"{method}/alpha0.9" for method in STUDENTS))
        | selects(*STUDENTS)
        | trains(*STUDENTS)
        | evaluates(*STUDENTS)
        | LAST,
    ),
    "the number of test images": (
        'data={"test": 12}',
        {"prepare digits test images"} | evaluates(*METHODS) | LAST,
    ),
    "the generator": (
        'generators={"svgd": {"steps": 3}}',
        RECORD | students_again(*STUDENTS) | LAST,
    ),
    "a second seed": (
        "seeds=[0, 1]",
        {"record digits wrn10-1-x3-svgd seed 1"}
        | trains("natural", *DISTILLED, *STUDENTS, seed=1)
        | trains_an_average("en-sat", seed=1)
        | trains_an_average("en-trades", TEACHER, seed=1)
        | evaluates(*METHODS, seed=1)
        | LAST,
    ),
    "the frozen teachers' hyper-parameter": (
        'methods={"en-trades": {"options": {"beta": 1.0}}}',
        trains_an_average("en-trades", TEACHER) | trains(*DISTILLED) | evaluates(*DISTILLED) | LAST,
    ),
    "what a job asks of a cluster": ('resources={"train": {"runtime": 99}}', set()),
}


@pytest.fixture(scope="module")
def after_settings(built: Checkout) -> dict[str, Answer]:
    return ask_all(
        {
            name: lambda setting=setting: built.snakemake("-n", TABLE, "--config", setting)
            for name, (setting, _) in SETTINGS.items()
        }
    )


@pytest.mark.parametrize("change", SETTINGS)
def test_a_changed_setting_re_runs_what_depends_on_it_alone(after_settings: dict[str, Answer], change: str) -> None:
    answer = after_settings[change]
    assert answer.code == 0, answer.text
    assert sorted(answer.jobs) == sorted(SETTINGS[change][1])


def test_a_second_seed_needs_the_choice_of_the_first_and_no_candidates(fresh: Checkout) -> None:
    run = "results/smoke/runs/digits/resnet10-w8/s-at-aka/seed1/model.safetensors"
    answer = fresh.snakemake("-n", run, "--config", "seeds=[0, 1]")
    tapes = {f"record digits wrn10-1-x3-svgd seed {seed}" for seed in (0, 1)}
    candidates = trains("s-at-aka/alpha0.1", "s-at-aka/alpha0.5")
    student = trains("s-at-aka", seed=1)
    assert set(answer.jobs) == (tapes | candidates | selects("s-at-aka") | student | {"prepare digits train images"})


# ---- edits of the code


def _add(path: str, text: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        file = folder / path
        file.write_text(file.read_text(encoding="utf-8") + text, encoding="utf-8")

    return edit


def _reword(folder: Path) -> None:
    """A comment in every module, and another docstring."""
    changed = 0
    for room in ("ataka", "baselines", "report", "rules"):
        for file in (folder / room).rglob("*.py"):
            text = file.read_text(encoding="utf-8")
            changed += text.startswith('"""')
            file.write_text(text.replace('"""', '"""In other words: ', 1) + "\n# a comment\n", encoding="utf-8")
    assert changed > 20


EDITS = {
    "docstrings and comments": (_reword, set()),
    "an amalgamation formula": (
        _add("ataka/psi/soft.py", "\n_EDITED = 1\n"),
        students_again("s-at-aka") | LAST,
    ),
    "the teachers' generator": (
        _add("ataka/attacks/svgd.py", "\n_EDITED = 1\n"),
        RECORD | students_again(*STUDENTS) | LAST,
    ),
    "a baseline's loss": (_add("baselines/sat.py", "\n_EDITED = 1\n"), SAT | LAST),
    "the frozen teachers' loss": (
        _add("baselines/trades.py", "\n_EDITED = 1\n"),
        trains_an_average("en-trades", TEACHER) | trains(*DISTILLED) | evaluates(*DISTILLED) | LAST,
    ),
    "an attack that only evaluates": (
        _add("ataka/attacks/aa.py", "\n_EDITED = 1\n"),
        evaluates(*METHODS, attacks=("aa",)) | LAST,
    ),
    "a template": (_add("report/templates/table.tex", "\n% edited\n"), {"render table2"}),
}


@pytest.fixture(scope="module")
def after_edits(copy_of_built: Callable[[], Checkout]) -> dict[str, Answer]:
    edited = {name: copy_of_built() for name in EDITS}
    for name, checkout in edited.items():
        EDITS[name][0](checkout.folder)
    return ask_all({name: lambda own=own: own.snakemake("-n", TABLE) for name, own in edited.items()})


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_re_runs_what_its_code_decides_alone(after_edits: dict[str, Answer], edit: str) -> None:
    answer = after_edits[edit]
    assert answer.code == 0, answer.text
    assert sorted(answer.jobs) == sorted(EDITS[edit][1])


# ---- without Snakemake's memory


def test_a_stale_cell_is_made_again_though_snakemake_forgot(copy_of_built: Callable[[], Checkout]) -> None:
    checkout = copy_of_built()
    shutil.rmtree(checkout.folder / ".snakemake")
    table = checkout.folder / TABLE
    for suffix in (".tex", ".csv"):
        table.with_suffix(suffix).unlink()
    answer = checkout.snakemake(TABLE, "--config", 'attacks={"pgd": {"steps": 3}}')
    assert answer.code == 0, answer.text
    assert f"note: {cell('natural', 'pgd')} is made again" in answer.text
    assert f"{cell('natural', 'fgsm')} is made again" not in answer.text
    assert {name for name in answer.jobs if name.startswith("evaluate")} == evaluates(*METHODS, attacks=("pgd",))
    assert table.exists()


def test_tables_of_copied_results_are_made_again_from_them(copy_of_built: Callable[[], Checkout]) -> None:
    """Older code of report/ may have made the tables, and they don't say."""
    checkout = copy_of_built()
    shutil.rmtree(checkout.folder / ".snakemake")
    page = (checkout.folder / TABLE).with_suffix(".md")
    page.write_text("as older code rendered it", encoding="utf-8")
    answer = checkout.snakemake(TABLE)
    assert answer.code == 0, answer.text
    assert set(answer.jobs) == LAST
    assert "Best values in bold" in page.read_text(encoding="utf-8")
    assert checkout.snakemake("-n", TABLE).idle


def test_copied_results_of_other_code_stay_until_the_user_has_decided(copy_of_built: Callable[[], Checkout]) -> None:
    checkout = copy_of_built()
    shutil.rmtree(checkout.folder / ".snakemake")
    EDITS["an attack that only evaluates"][0](checkout.folder)
    path = checkout.folder / cell("natural", "aa")
    before, made = path.read_bytes(), path.stat().st_mtime_ns
    refused = checkout.snakemake(TABLE)
    assert refused.code == 2
    assert "results/smoke/cells/" in refused.text.partition("error: ")[2]
    assert (path.read_bytes(), path.stat().st_mtime_ns) == (before, made)
    decided = checkout.snakemake("-n", TABLE, "--config", "other_code=make-again")
    assert sorted(decided.jobs) == sorted(EDITS["an attack that only evaluates"][1])
    assert checkout.snakemake("--touch", TABLE).code == 0
    assert path.read_bytes() == before
    assert checkout.snakemake("-n", TABLE).idle
