"""The smoke scale's Table 2, built once by the real Snakemake; tests ask it by dry runs or work on copies."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.workflow.driver import HOME, TABLE, Answer, Checkout


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout without results. Only dry runs may use it."""
    return Checkout.of(HOME, tmp_path_factory.mktemp("fresh") / "study")


@pytest.fixture(scope="session")
def first_build(fresh: Checkout, tmp_path_factory: pytest.TempPathFactory) -> tuple[Checkout, Answer]:
    checkout = fresh.copy(tmp_path_factory.mktemp("built") / "study")
    return checkout, checkout.snakemake(TABLE, timeout=600)


@pytest.fixture(scope="session")
def built(first_build: tuple[Checkout, Answer]) -> Checkout:
    """A checkout with the smoke scale's Table 2. Only dry runs may use it."""
    checkout, answer = first_build
    assert answer.code == 0, answer.text
    return checkout


@pytest.fixture(scope="module")
def copy_of_built(built: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Checkout]:
    """A copy of ``built`` to change, a new one at each call."""

    def copy() -> Checkout:
        return built.copy(Path(tmp_path_factory.mktemp("copy")) / "study")

    return copy
