"""What all tests share: one thread, and the real data where there is some."""

import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from ataka.attacks import acceleration
from ataka.study import plugins
from tests import small


def pytest_configure() -> None:
    """Nothing becomes garbage as tests are collected, and to look for some took a third of that time.

    Workers and other processes of tests compute with one thread, as this one does (``one_thread``).
    """
    gc.disable()
    os.environ["OMP_NUM_THREADS"] = "1"


def pytest_collection_finish() -> None:
    """Modules and tests are there to stay: the searches for garbage from here on leave them out."""
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what `make test` leaves out for its time, by where a test stands and what it asks for."""
    for item in items:
        if "workflow" in item.path.relative_to(Path(__file__).parent).parts:
            item.add_marker("snakemake")
        if "real_data" in getattr(item, "fixturenames", ()):
            item.add_marker("real_data")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Bits depend on the number of threads, and tensors this small only lose by them."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def plain_arithmetic() -> None:
    """A stage puts its study's switches in force for the whole process; the next test begins without."""
    acceleration.switch(acceleration.OFF)


@pytest.fixture(scope="session", autouse=True)
def no_facts_are_kept(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Facts about the plug-ins of tests are not for the checkout's results."""
    plugins.STORE = tmp_path_factory.mktemp("facts") / "facts.json"


@pytest.fixture(scope="session", autouse=True)
def interrupts_are_heard() -> None:
    """A shell's background jobs ignore them, and so would a test that interrupts itself."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def nothing_waits_for_the_disk() -> Iterator[None]:
    """No file of a test has to outlive a power failure, and up to a fifth of the time went into that."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of the real CIFAR files, from ATAKA_DATA; with ATAKA_REQUIRE_DATA=1 a test fails without it."""
    folder = os.environ.get("ATAKA_DATA")
    wanted = ("cifar-10-batches-py", "cifar-100-python")
    absent = [name for name in wanted if not folder or not Path(folder, name).is_dir()]
    if not absent:
        return Path(str(folder))
    reason = f"ATAKA_DATA={folder} has no {', '.join(absent)}" if folder else "ATAKA_DATA is not set: no real data"
    if os.environ.get("ATAKA_REQUIRE_DATA") == "1":
        pytest.fail(f"{reason}, but ATAKA_REQUIRE_DATA=1 asks for it")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def small_settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The settings of the study that `whole_study` is."""
    return small.settings(tmp_path_factory.mktemp("published"))


@pytest.fixture(scope="session")
def whole_study(small_settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder above a study of every kind of artifact (tests.small); nobody changes it."""
    folder = tmp_path_factory.mktemp("whole")
    small.make(folder, small_settings)
    return folder
