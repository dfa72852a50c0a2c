"""Verdicts and the union of attacks ask for the cells and particles that they are about, and for no table."""

import re

from ataka.plan import Cell
from ataka.study import config
from report import union
from report.claims import sentences
from tests.workflow.driver import Checkout


def evaluated(jobs: list[str]) -> set[tuple[str, ...]]:
    form = r"evaluate (\S+) (\S+) (\S+) seed (\d+) under (\S+)"
    return {match.groups() for job in jobs if (match := re.fullmatch(form, job))}


def wanted(cells: list[Cell]) -> set[tuple[str, ...]]:
    return {(cell.dataset, cell.arch, cell.method, str(cell.seed), cell.attack) for cell in cells}


def test_claims_need_the_cells_and_particles_that_they_compare(fresh: Checkout) -> None:
    answer = fresh.snakemake("-n", "results/smoke/claims.md")
    assert answer.code == 0, answer.text
    study = config.load("smoke")
    needed = sentences.sources(study, sentences.load())
    assert evaluated(answer.jobs) == wanted([one for one in needed if isinstance(one, Cell)])
    assert {job for job in answer.jobs if job.startswith("particles")} == {
        f"particles of {generator} on digits resnet10-w8 natural seed 0" for generator in ("svgd", "pgd")
    }
    assert "claims in results/smoke" in answer.jobs
    assert not [job for job in answer.jobs if job.startswith(("collect", "render", "union"))]


def test_the_union_needs_every_cell_of_the_tables(fresh: Checkout) -> None:
    answer = fresh.snakemake("-n", "results/smoke/union.csv")
    assert answer.code == 0, answer.text
    assert evaluated(answer.jobs) == wanted(union.sources(config.load("smoke")))
    assert not [job for job in answer.jobs if job.startswith(("particles", "collect", "render", "claims"))]
