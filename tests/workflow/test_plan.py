"""Does the plan count the jobs that Snakemake would run, and load no torch once its facts are kept?"""

import re
from pathlib import Path

import pytest

from tests.workflow.driver import Checkout, ask_all

TARGETS = (
    "results/smoke/all",
    "results/demo/table5.tex",
    "results/pocket/table2.tex",
    "results/table2.tex",
    "results/smoke/claims.md",
    "results/smoke/union.csv",
    "results/smoke/pictures.md",
    "results/smoke/report.html",
    "results/smoke/tables.pdf",
)


def by_rule(text: str) -> dict[str, int]:
    """The rows of a plan's first table, or of Snakemake's "Job stats"."""
    listed = re.findall(r"^(?:\| )?([a-z]+) +\|? *([\d,]+)(?: |$)", text, re.MULTILINE)
    return {rule: int(count.replace(",", "")) for rule, count in listed}


@pytest.fixture(scope="module")
def checkout(fresh: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    made = fresh.copy(tmp_path_factory.mktemp("planned") / "study")
    (made.folder / "results").mkdir(exist_ok=True)
    return made


def test_the_plan_has_the_jobs_that_snakemake_has(checkout: Checkout) -> None:
    planned = {target: checkout.run("ataka", "plan", target, "--on", "h100") for target in TARGETS}
    snakemake = ask_all({target: lambda target=target: checkout.snakemake("-n", target) for target in TARGETS})
    for target in TARGETS:
        assert planned[target].code == snakemake[target].code == 0, planned[target].text
        stats = by_rule(snakemake[target].text.partition("Job stats:")[2].split("total")[0])
        assert by_rule(planned[target].text.split("| together")[0]) == stats, target
        assert sum(stats.values()) > 10


def test_a_second_plan_loads_no_torch(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    first, second = (checkout.run("ataka", "plan", "results/smoke/table2.tex") for _ in range(2))
    assert first.code == second.code == 0, first.text
    assert re.search(r"\| +torch$", first.text, re.MULTILINE)
    assert not re.search(r"\| +torch$", second.text, re.MULTILINE)
    assert "timed here" in second.text
    assert first.text[first.text.index("results/smoke/table2.tex: ") :].startswith(
        second.text[second.text.index("results/smoke/table2.tex: ") :][:60]
    )


def test_a_misspelt_target_is_an_error_of_one_line(checkout: Checkout) -> None:
    answer = checkout.run("ataka", "plan", "results/smoke/tabel2.tex")
    assert answer.code == 2
    assert answer.text == "error: no rule makes 'results/smoke/tabel2.tex'; did you mean 'results/smoke/table2.tex'?\n"
    assert not Path(checkout.folder, "results/smoke").exists()
