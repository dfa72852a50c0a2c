"""A whole, valid study in a temporary folder."""

import gc
from pathlib import Path

import pytest

from ataka.study import Study
from tests.report import studies


@pytest.fixture(scope="session")
def study() -> Study:
    return studies.study()


@pytest.fixture
def root(tmp_path: Path, study: Study) -> Path:
    """A results folder with every cell and choice of Table 2."""
    folder = studies.root(tmp_path)
    studies.write(folder, study)
    return folder


@pytest.fixture(autouse=True)
def no_collections(monkeypatch: pytest.MonkeyPatch) -> None:
    """statsmodels collects garbage in each correction, which takes most of a simulation's time."""
    monkeypatch.setattr(gc, "collect", lambda *_: 0)
