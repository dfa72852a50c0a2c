"""Is a cell that is joined from shards the cell that one job makes, however its chunks are shared and interrupted?"""

import contextlib
import json
import signal
from collections.abc import Callable, Iterator
from math import ceil
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from ataka.attacks.verdicts import Verdicts
from ataka.cli import main
from ataka.datasets.images import Split
from ataka.evaluation import evaluate
from ataka.files import resume
from ataka.files.records import read_rows
from ataka.files.shards import Joined, Part
from ataka.files.tensors import load_tensors
from ataka.machine.progress import Progress
from ataka.plan import Cell, Shard
from ataka.study import config, layers
from report.verify import check
from tests import tiny
from tests.workflow.test_table import OF_A_MOMENT

ROOT, D, A = "results/smoke", "digits", "resnet10-w8"
OVERRIDES: dict[str, Any] = {
    "data": {"train": 24, "validation": 16, "test": 22},
    "attacks": {"aa": {"chunk": 5}, "fog": {"chunk": 5}},
}
CHUNKS = 5
SMOKE = config.load("smoke", OVERRIDES)
CHUNKED = [name for name, attack in SMOKE.attacks.items() if attack and attack.chunk]


def shard(attack: str, index: int, of: int) -> Shard:
    return Shard(D, A, "natural", 0, attack, index, of)


# ---- places


@given(st.integers(1, 400), st.integers(1, 50), st.integers(1, 40))
def test_shards_are_whole_chunks_and_together_every_image_once(count: int, chunk: int, of: int) -> None:
    chunks = ceil(count / chunk)
    places = [shard("aa", index, of).images(count, chunk) for index in range(1, of + 1)]
    assert [place for images in places for place in images] == [*range(count)]
    assert all(images.start % chunk == 0 for images in places)
    sizes = [ceil(len(images) / chunk) for images in places]
    assert sum(sizes) == chunks  # no chunk is in two shards
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) > 0 or of > chunks


# ---- verdicts


class Noisy(nn.Module):
    """A network that draws whenever it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.network = tiny.convolutional(3)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.network(x)
        return logits + 0.3 * torch.randn_like(logits)


@pytest.fixture(scope="module")
def split() -> Split:
    """22 images of which a network knows most."""
    images = tiny.split(22).images
    labels = tiny.convolutional(3).eval()(images.float() / 255).argmax(1)
    labels[::9] = (labels[::9] + 1) % tiny.CLASSES
    return Split(images, labels)


def part(folder: Path, settings: dict[str, Any], images: range, count: int) -> Part:
    name = f"{images.start}-{images.stop}"
    return Part(folder / name, {"settings": str(settings)}, {}, Progress.silent(), images=images, count=count)


def shared(folder: Path, network: nn.Module, settings: dict[str, Any], split: Split, of: int) -> Verdicts:
    """The verdicts that are joined from ``of`` shards, which are made in no order."""
    paths = []
    for index in range(of, 0, -1):
        images = shard("x", index, of).images(len(split), settings["chunk"])
        paths.append(folder / f"{index}of{of}.safetensors")
        with part(folder, settings, images, len(split)) as states:
            states.evaluate(paths[-1], lambda: evaluate(network, settings, split, seed=4, states=states))
    identity = {"settings": str(settings)}
    with Joined(folder / "joined", identity, {}, Progress.silent(), paths=paths) as joined:
        return evaluate(Asked(network), settings, split, seed=4, states=joined)


class Asked(nn.Module):
    """A network that is shown two images, for the report on its normalisation, and no attack."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.shown = network, 0

    def forward(self, x: Tensor) -> Tensor:
        self.shown += len(x)
        assert self.shown <= 4
        logits: Tensor = self.network(x)
        return logits


@pytest.mark.parametrize("network", ["plain", "noisy"])
@pytest.mark.parametrize("attack", CHUNKED)
def test_shards_decide_no_verdict(attack: str, network: str, split: Split, tmp_path: Path) -> None:
    """Of any attack in chunks: one whose random numbers depended on other chunks would fail here."""
    entry = SMOKE.attack(attack)
    settings = {**entry.settings, "chunk": 5, "images": None}
    attacked = tiny.convolutional(3).eval() if network == "plain" else Noisy().eval()
    whole = evaluate(attacked, settings, split, seed=4)
    assert 0 < whole.correct.sum() < len(split) or attack.startswith("fog")
    for of in (2, CHUNKS):
        joined = shared(tmp_path, attacked, settings, split, of)
        assert torch.equal(joined.correct, whole.correct)
        assert (joined.constant, joined.counts) == (whole.constant, whole.counts)
        assert [*joined.counts] == [*whole.counts]  # warnings are told in this order


def test_an_attack_stops_at_the_end_of_its_shard(split: Split, tmp_path: Path) -> None:
    settings = {**SMOKE.attack("fog").settings, "chunk": 5}
    seen: list[int] = []
    network = tiny.convolutional(3).eval()
    network.register_forward_pre_hook(lambda _module, given: seen.append(len(given[0])))
    with part(tmp_path, settings, range(5, 15), 22) as states:
        states.evaluate(tmp_path / "x", lambda: evaluate(network, settings, split, seed=4, states=states))
    alone = len(seen)
    seen.clear()
    with part(tmp_path, settings, range(5), 22) as states:
        states.evaluate(tmp_path / "y", lambda: evaluate(network, settings, split, seed=4, states=states))
    assert len(load_tensors(tmp_path / "x")["predicted"]) == 10
    assert alone == 2 * len(seen) > 0


# ---- the verbs


def ataka(*arguments: str, **overrides: Any) -> int:
    return main([*arguments, "--config", json.dumps(layers.overlay(OVERRIDES, overrides))])


def evaluated(attack: str, *shards: str, **overrides: Any) -> int:
    """The exit code of the evaluation; the option of shards follows the settings."""
    settings = json.dumps(layers.overlay(OVERRIDES, overrides))
    return main(["evaluate", cell(attack), "--config", settings, "--shards", *shards])


def cell(attack: str) -> str:
    return str(Cell(D, A, "natural", 0, attack).csv(ROOT))


def files(attack: str, of: int) -> list[str]:
    return [str(shard(attack, index, of).file(ROOT)) for index in range(1, of + 1)]


def told(attack: str) -> tuple[dict[str, str], bytes]:
    """The row of a cell but for what is of the moment, and the bytes of its bits."""
    (row,) = read_rows(Path(cell(attack)))
    left_out = {*OF_A_MOMENT, "seal"}
    bits = Cell(D, A, "natural", 0, attack).bits(ROOT)
    return {name: value for name, value in row.items() if name not in left_out}, bits.read_bytes()


def removed(attack: str) -> None:
    for path in Path(cell(attack)).parent.glob(f"{attack}.*"):
        path.unlink()


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A study with one trained network."""
    folder = tmp_path_factory.mktemp("study")
    with contextlib.chdir(folder):
        for split in ("train", "test"):
            assert ataka("prepare", f"{ROOT}/data/{D}/{split}.safetensors") == 0
        assert ataka("train", f"{ROOT}/runs/{D}/{A}/natural/seed0/model.safetensors") == 0
        yield folder


@pytest.fixture(scope="module", params=["aa", "fog"])
def whole(request: pytest.FixtureRequest) -> tuple[str, tuple[dict[str, str], bytes]]:
    """An attack, and what one job's cell of it says."""
    attack: str = request.param
    assert evaluated(attack) == 0
    return attack, told(attack)


@pytest.fixture
def fog() -> Iterator[list[str]]:
    """The three shards of a cell."""
    for path in files("fog", 3):
        assert ataka("shard", path) == 0
    yield files("fog", 3)
    removed("fog")


@pytest.mark.parametrize("of", [2, 3, CHUNKS])
def test_a_joined_cell_is_that_of_one_job_but_for_its_time(
    whole: tuple[str, tuple[dict[str, str], bytes]], of: int
) -> None:
    attack, expected = whole
    removed(attack)
    for path in files(attack, of):
        assert ataka("shard", path) == 0
    assert evaluated(attack, *files(attack, of)) == 0
    assert told(attack) == expected
    spent = [resume.read(Path(path))[0]["usage"] for path in files(attack, of)]
    (row,) = read_rows(Path(cell(attack)))
    for name in ("seconds", "cpu_seconds"):
        together = sum(usage[name] for usage in spent)
        assert together <= float(row[name]) < together + 60
    assert float(row["memory_mb"]) >= max(usage["memory_mb"] for usage in spent)


@pytest.mark.parametrize("count", [1, 2])
def test_an_interrupted_shard_resumes_in_its_own_place(
    fog: list[str], count: int, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(resume, "pause", lambda cost, least=0.0: 0.0)
    path = Path(files("fog", 2)[1])  # three chunks, from image 10 on
    assert ataka("shard", str(path)) == 0
    expected = load_tensors(path)["predicted"]
    path.unlink()
    real, seen = Progress.step, [0]

    def step(self: Progress, *arguments: Any) -> None:
        real(self, *arguments)
        seen[0] += 1
        if seen[0] == count:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Progress, "step", step)
        assert ataka("shard", str(path)) == 130
    assert not path.exists()
    capfd.readouterr()
    assert ataka("shard", str(path)) == 0
    assert f"goes on after image {10 + 5 * count} of 22" in capfd.readouterr().err
    assert torch.equal(load_tensors(path)["predicted"], expected)
    path.unlink()


def test_an_interrupted_join_begins_with_its_shards_again(fog: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("ataka.stages.evaluate._write", interrupt)
        assert evaluated("fog", *fog) == 130
    assert evaluated("fog", *fog) == 0


def _lost(shards: list[str]) -> list[str]:
    return shards[1:]


def _twice(shards: list[str]) -> list[str]:
    return [*shards, shards[0]]


def _without_the_last(shards: list[str]) -> list[str]:
    return shards[:-1]


@pytest.mark.parametrize("given_shards", [_lost, _twice, _without_the_last])
def test_shards_that_are_not_one_cell_are_refused(
    fog: list[str], given_shards: Callable[[list[str]], list[str]], capfd: pytest.CaptureFixture[str]
) -> None:
    assert evaluated("fog", *given_shards(fog)) == 2
    assert "these shards don't make one cell" in capfd.readouterr().err
    assert not Path(cell("fog")).exists()


@pytest.mark.parametrize(
    ("overrides", "other"),
    [
        ({"attacks": {"fog": {"steps": 3}}}, "settings"),
        ({"attacks": {"fog": {"chunk": 6}}}, "settings"),
        ({"data": {"test": 20}}, "settings, data"),
    ],
)
def test_a_shard_of_other_settings_is_refused(
    fog: list[str], overrides: dict[str, Any], other: str, capfd: pytest.CaptureFixture[str]
) -> None:
    if "data" in overrides:
        assert ataka("prepare", f"{ROOT}/data/{D}/test.safetensors", **overrides) == 0
    try:
        assert evaluated("fog", *fog, **overrides) == 2
    finally:
        if "data" in overrides:
            assert ataka("prepare", f"{ROOT}/data/{D}/test.safetensors") == 0
    message = capfd.readouterr().err
    assert f"{fog[0]} was made under other {other}" in message
    assert f"--force {cell('fog')} --forcerun {fog[0]}" in message


def test_shards_of_other_code_or_of_another_network_are_refused(
    fog: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, value in (("ataka.plan.digests.code_digest", lambda *_: "0" * 64), ("ataka.stages.evaluate.sha256", str)):
        with monkeypatch.context() as patch:
            patch.setattr(name, value)
            assert evaluated("fog", *fog) == 2
        other = "code" if "code" in name else "model"
        assert f"{fog[0]} was made under other {other};" in capfd.readouterr().err


def test_a_damaged_shard_is_refused_by_its_name(fog: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    content = bytearray(Path(fog[1]).read_bytes())
    content[-1] ^= 1
    Path(fog[1]).write_bytes(content)
    assert evaluated("fog", *fog) == 2
    assert f"{fog[1]} is damaged" in capfd.readouterr().err


def test_shards_of_another_environment_are_told_of(fog: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert evaluated("fog", *fog, threads=2) == 0
    assert capfd.readouterr().err.count("'threads': 1") == 3


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (shard("pgd", 1, 2), "pgd has no shards"),
        (shard("fog", 3, 2), "no shard 3 of 2"),
        (shard("fog", 1, 6), "no shard 1 of 6 of fog, which attacks digits in 5 chunks"),
    ],
)
def test_a_shard_that_no_cell_has_is_refused(path: Shard, message: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert ataka("shard", str(path.file(ROOT))) == 2
    assert message in capfd.readouterr().err


# ---- verify


def test_verify_checks_a_shard_as_it_does_a_cell(fog: list[str]) -> None:
    findings = check(Path(ROOT), OVERRIDES)
    assert not findings.problems
    assert not [note for note in findings.notes if "safetensors" in note]
    other = check(Path(ROOT), layers.overlay(OVERRIDES, {"attacks": {"fog": {"steps": 3}}}))
    assert [problem for problem in other.problems if fog[0] in problem and "other settings" in problem]
    content = bytearray(Path(fog[2]).read_bytes())
    content[-1] ^= 1
    Path(fog[2]).write_bytes(content)
    findings = check(Path(ROOT), OVERRIDES)
    assert [problem for problem in findings.problems if fog[2] in problem]
    assert [command for command in findings.remedies if fog[2] in command]
