"""A cluster for the session, and the study that its results are compared with."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.slurm.cluster import Cluster, Unavailable, running
from tests.slurm.study import OnCluster
from tests.workflow.driver import HOME, Checkout

REQUIRE = "ATAKA_REQUIRE_SLURM"


def unavailable(reason: str) -> None:
    """Skip, or fail where the environment insists on a cluster."""
    if os.environ.get(REQUIRE) == "1":
        pytest.fail(f"{reason}, but {REQUIRE}=1 asks for a cluster")
    pytest.skip(f"no cluster with Slurm: {reason}")


@pytest.fixture(scope="session")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the pinned plug-in: outside the environment, where each start of Snakemake would load it."""
    folder = tmp_path_factory.mktemp("plugin")
    if find_spec("snakemake_executor_plugin_slurm"):
        return folder
    wanted = ["--require-hashes", "--no-deps", "--target", str(folder), "-r", str(HOME / "requirements-slurm.txt")]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted]
    done = subprocess.run(pip, capture_output=True, text=True)
    if done.returncode:
        unavailable(f"pip can't install the plug-in: {done.stderr.strip().splitlines()[-1]}")
    return folder


@pytest.fixture(scope="session", params=[False, pytest.param(True, marks=pytest.mark.long)], ids=["", "slurmdbd"])
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A node of two CPUs, on a cluster without slurmdbd and on one with it."""
    try:
        context = running(accounting=request.param)
        up = context.__enter__()
    except Unavailable as error:
        unavailable(str(error))
    yield up
    context.__exit__(None, None, None)


@pytest.fixture(scope="session")
def code(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    return Checkout.of(HOME, tmp_path_factory.mktemp("code") / "study")


@pytest.fixture
def study(code: Checkout, cluster: Cluster, plugin: Path, tmp_path: Path) -> Iterator[OnCluster]:
    """A checkout without results on the cluster; its jobs end with the test."""
    checkout = OnCluster(code.copy(tmp_path / "study").folder, cluster, plugin)
    yield checkout
    checkout.end()


@pytest.fixture(scope="module")
def on_the_cluster(
    code: Checkout, cluster: Cluster, plugin: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OnCluster]:
    """As ``study``, for the tests of one module together."""
    checkout = OnCluster(code.copy(tmp_path_factory.mktemp("on") / "study").folder, cluster, plugin)
    yield checkout
    checkout.end()


@pytest.fixture(scope="session")
def locally(
    code: Checkout, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Callable[[Checkout], list[str]]], Checkout]:
    """The same study without a cluster, made once for each question."""
    made: dict[object, Checkout] = {}

    def make(asks: Callable[[Checkout], list[str]]) -> Checkout:
        if asks not in made:
            checkout = code.copy(tmp_path_factory.mktemp("locally") / "study")
            answer = checkout.snakemake(*asks(checkout), timeout=900)
            assert answer.code == 0, answer.text
            made[asks] = checkout
        return made[asks]

    return make
