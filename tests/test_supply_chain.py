"""Nothing is fetched but the data sets' own archives, and everything installed is pinned by hash."""

import ast
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ataka.errors import UserError
from ataka.library import networks
from ataka.study.config import HOME
from tests import tiny

FETCHING = {"urllib", "requests", "http", "ftplib", "huggingface_hub", "aiohttp", "httpx"}
FETCHING_CALLS = {"hub", "load_state_dict_from_url", "urlopen", "urlretrieve"}
OFFLINE = HOME / "ataka/library/networks.py"
FETCHES_DATA = {"download_and_extract_archive", "download_url"}


def modules() -> Iterator[Path]:
    for room in ("ataka", "baselines", "report", "rules"):
        yield from (HOME / room).rglob("*.py")


def test_every_requirement_is_pinned_with_a_hash_and_names_no_address() -> None:
    text = (HOME / "requirements.txt").read_text(encoding="utf-8")
    pinned = re.findall(r"^([a-zA-Z0-9._-]+)==[^\s;\\]+", text, re.MULTILINE)
    blocks = re.split(r"^(?=[a-zA-Z0-9])", text, flags=re.MULTILINE)[1:]
    assert len(pinned) == len(blocks) > 50
    assert all("--hash=sha256:" in block for block in blocks)
    assert "://" not in text
    wanted = re.findall(r"^([a-zA-Z0-9._-]+)", (HOME / "requirements.in").read_text(encoding="utf-8"), re.MULTILINE)
    assert {name.lower() for name in wanted} <= {name.lower() for name in pinned}


def test_no_module_of_ours_knows_how_to_fetch() -> None:
    """But for torchvision's data sets in ataka.files.official, whose files are checked against the official md5.

    ataka.library.networks asks timm for weights, offline: the test below sees that nothing is fetched.
    """
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert path == OFFLINE or not {name.split(".")[0] for name in names} & FETCHING, path
            if isinstance(node, ast.Attribute) and node.attr in FETCHING_CALLS:
                pytest.fail(f"{path}: {node.attr}")
            if isinstance(node, ast.Attribute) and node.attr in FETCHES_DATA:
                assert path == HOME / "ataka/files/official.py", path
            if isinstance(node, ast.keyword) and node.arg == "download":
                assert isinstance(node.value, ast.Constant), path
                assert node.value.value is False, path
            if isinstance(node, ast.keyword) and node.arg == "pretrained" and path != OFFLINE:
                assert isinstance(node.value, ast.Constant), path
                assert node.value.value is False, path


@pytest.mark.parametrize(("dataset", "host"), [("cifar10", "cs.toronto.edu"), ("svhn", "ufldl.stanford.edu")])
def test_a_data_set_that_cannot_be_fetched_is_a_clear_error(
    dataset: str, host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the only connection asked for is to its official archive."""
    asked: list[object] = []

    def refuse(address: object, *_: object, **__: object) -> None:
        asked.append(address)
        raise OSError("no network here")

    monkeypatch.delenv("ATAKA_DATA", raising=False)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    with pytest.raises(UserError, match=f"^{dataset.upper()} is not there"):
        tiny.cut(dataset, tmp_path / "data", train=8, validation=8, test=8)
    assert not any((tmp_path / "data").rglob("*_*"))
    assert {str(address) for address in asked if host not in str(address)} == set()


@pytest.mark.parametrize("name", ["timm/resnet18", "timm/hf_hub:timm/resnet18.a1_in1k"])
def test_weights_of_timm_that_are_not_here_are_not_fetched(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def refuse(address: object, *_: object, **__: object) -> None:
        asked.append(address)
        raise OSError("no network here")

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    with pytest.raises(UserError, match="nothing is fetched here"):
        networks.load(name, dataset="cifar10")
    assert asked == []
