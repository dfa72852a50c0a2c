"""Whatever a user can get wrong, or a disk: is it one clear message, and does no flipped bit go unnoticed?

The properties throw some 3,000 damaged files and odd values at what reads them; only UserError may come back.
"""

import contextlib
import functools
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ataka import datasets, networks, plan
from ataka.cli import main
from ataka.datasets import views
from ataka.datasets.images import Split
from ataka.errors import UserError
from ataka.files.records import write_json
from ataka.files.tensors import save_tensors
from ataka.models import checkpoints
from ataka.plan import Run, Tape, digests
from ataka.stages import common
from ataka.stages.select import chosen_alpha
from ataka.study import Study, config, strict_yaml
from report.verify.inspection import Inspection
from report.verify.walk import visit
from tests.small import CELLS, DATA, ROOT, RUNS, TAPE, TEACHER, A, D, the

CPU = torch.device("cpu")
JUNK = [
    b"",
    b"\n",
    b"\0" * 64,
    b"{}",
    b"[]",
    b"null",
    b"1",
    b'"text"',
    b"NaN",
    b'{"seal": NaN}',
    b'{"seal": null, "settings_sha256": 1}',
    b"[" * 100_000,
    b"9" * 5_000,
    b'{"a": "\\ud800", "seal": ""}',
    b"\xff\xfe\x00",
    b"\xef\xbb\xbf{}",
    b"a,b\n1,2\n",
    b'a,"b\n',
    b"a\n" + b"x" * 200_000,
    b"PK\x03\x04",
    b"\x93NUMPY\x01\x00",
    b"\xff" * 8 + b"{}",
]


def answer(read: Callable[[], Any]) -> tuple[Any, str]:
    """What is read, or why it is refused."""
    try:
        return read(), ""
    except UserError as error:
        return None, str(error) or "without a word"


@dataclass(frozen=True)
class Damage:
    """What happens to a file: a flipped bit, a lost end, a byte too many, or something else in its place."""

    how: str
    where: float
    bit: int = 0
    content: bytes = b""

    def of(self, whole: bytes) -> bytes:
        place = min(int(self.where * len(whole)), len(whole) - 1)
        if self.how == "head":  # where formats keep what is fragile
            place = min(int(self.where * 600), len(whole) - 1)
        if self.how in ("flip", "head"):
            return whole[:place] + bytes([whole[place] ^ 1 << self.bit]) + whole[place + 1 :]
        if self.how == "cut":
            return whole[:place]
        return whole[:place] + self.content + whole[place:] if self.how == "insert" else self.content


WHERE = st.floats(0, 1)
DAMAGE = st.one_of(
    st.builds(Damage, st.sampled_from(["flip", "flip", "head", "cut"]), WHERE, st.integers(0, 7)),
    st.builds(Damage, st.just("insert"), WHERE, st.just(0), st.binary(min_size=1, max_size=3)),
    st.builds(Damage, st.just("instead"), st.just(0.0), st.just(0), st.sampled_from(JUNK) | st.binary(max_size=60)),
)


@dataclass(frozen=True)
class Small:
    """A study to spoil: its settings, and its results folder."""

    study: Study
    settings: dict[str, Any]
    root: Path

    @property
    def natural(self) -> Run:
        return Run(D, A, "natural", 0)

    def images(self, name: str) -> None:
        common.load_images(self.study, str(self.root), D, name)

    def tape(self) -> None:
        """As a student reads it."""
        node = Tape(D, f"{TEACHER}-x3-svgd", 0)
        reader = common.reader_of(self.study, str(self.root), node, self.split)
        facts = datasets.find(D).specification
        view = views.view(0, 0, len(self.split), shift=facts.shift, flip=facts.flip)
        reader.epoch(0, view, CPU)

    @functools.cached_property
    def split(self) -> Split:
        return common.load_images(self.study, str(self.root), D, "train")

    def network(self) -> None:
        common.load(self.study, str(self.root), self.natural, CPU)

    def average(self) -> None:
        for member in range(3):
            node = Run(D, A, "en-sat", 0, f"member{member}")
            common.require_current(self.study, str(self.root), node, history=True)

    def alpha(self) -> None:
        chosen_alpha(self.study, str(self.root), Run(D, A, "s-at-aka", 0))

    def foreign(self) -> None:
        entry = plan.checkpoint(self.study, Run(D, A, "published", 0))
        assert entry is not None
        checkpoints.load(entry.path, sha256=entry.sha256, network=self.blank)

    @functools.cached_property
    def blank(self) -> torch.nn.Module:
        return networks.build(A, datasets.find(D).specification, device=CPU)

    def verified(self, path: Path) -> None:
        """As verify sees it, alone."""
        at = Inspection(self.study, self.root)
        visit(at, path)
        assert at.explained or at.missing
        for problem in [*at.findings.problems, *(f"{lost} is missing for {path}" for lost in at.missing)]:
            raise UserError(problem)


@pytest.fixture(scope="module")
def small(
    whole_study: Path, small_settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Small]:
    folder = Path(shutil.copytree(whole_study, tmp_path_factory.mktemp("spoilt") / "study"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(digests, "code_digest", functools.cache(lambda _: "0" * 64))
        yield Small(config.load("smoke", small_settings), small_settings, folder / ROOT)


HOST = f"{RUNS}/natural/seed0"
FILES: dict[str, tuple[str, str, int]] = {
    "training images": (f"{DATA}/train.safetensors", "train validation", 300),
    "test images": (f"{DATA}/test.safetensors", "test", 150),
    "a tape's manifest": (f"{TAPE}/manifest.json", "tape", 300),
    "a tape's epoch": (f"{TAPE}/*/epoch0000.safetensors", "tape", 200),
    "a shared tape's manifest": (f"{TAPE.replace('x3', 'x2')}/manifest.json", "verified", 100),
    "a teacher": (f"{TAPE}/*/teacher1.safetensors", "verified:../manifest.json", 60),
    "a model": (f"{HOST}/model.safetensors", "network", 100),
    "a run's record": (f"{HOST}/run.json", "network", 300),
    "a member's history": (f"{RUNS}/en-sat/seed0/member1/history.csv", "average", 100),
    "a choice of alpha": (f"{RUNS}/s-at-aka/choice.json", "alpha", 300),
    "a cell": (f"{CELLS}/natural/seed0/pgd.csv", "verified", 300),
    "a cell's bits": (f"{CELLS}/natural/seed0/pgd.bits.npy", "verified:pgd.csv", 150),
    "particles": (f"particles/{D}/{A}/natural/seed0/pgd.csv", "verified", 200),
    "a table": ("table2.partial.csv", "verified", 200),
    "a network of others": ("", "foreign", 100),
}


@pytest.mark.parametrize("name", FILES)
def test_no_damage_goes_unnoticed_and_none_is_a_traceback(name: str, small: Small) -> None:
    place, readers, count = FILES[name]
    entry = plan.checkpoint(small.study, Run(D, A, "published", 0))
    path = the(small.root, place) if place else Path(str(entry and entry.path))
    whole = path.read_bytes()

    def read() -> None:
        for reader in readers.split():
            kind, _, beside = reader.partition(":")
            if kind == "verified":
                small.verified(Path(os.path.normpath(path.parent / (beside or path.name))))
            elif kind in ("train", "validation", "test"):
                small.images(kind)
            else:
                getattr(small, kind)()

    @settings(max_examples=count, deadline=None, suppress_health_check=list(HealthCheck))
    @given(DAMAGE)
    def spoil(damage: Damage) -> None:
        spoilt = damage.of(whole)
        assume(spoilt != whole)
        path.write_bytes(spoilt)
        with pytest.raises(UserError) as caught:
            read()
        assert str(path.name) in str(caught.value)

    read()
    try:
        spoil()
    finally:
        path.write_bytes(whole)
    read()


@pytest.mark.parametrize("name", ["table2.partial.csv", "table1.partial.csv", "cells.csv", "union.partial.csv"])
def test_no_row_is_lost_unnoticed(name: str, small: Small) -> None:
    path = small.root / name
    whole = path.read_bytes()
    rows = whole.splitlines(keepends=True)
    assert len(rows) > 2
    try:
        for kept in ([*rows[:place], *rows[place + 1 :]] for place in range(len(rows))):
            path.write_bytes(b"".join(kept))
            with pytest.raises(UserError, match=name):
                small.verified(path)
        for place in range(len(rows)):
            path.write_bytes(b"".join(rows[:place]))
            with pytest.raises(UserError, match=name):
                small.verified(path)
    finally:
        path.write_bytes(whole)
    small.verified(path)


# ---- the verbs on broken files: code 2, a message that names the file, and nothing is overwritten


def no_file(path: Path) -> None:
    path.unlink()


def empty(path: Path) -> None:
    path.write_bytes(b"")


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def unreadable(path: Path) -> None:
    """Even for root: a link to itself."""
    path.unlink()
    path.symlink_to(path.name)


def junk(path: Path) -> None:
    path.write_bytes(bytes(range(256)))


def another_kind(path: Path) -> None:
    """Valid, sealed, and not what is expected there."""
    if path.suffix == ".json":
        write_json(path, {"kind": "another"})
    else:
        save_tensors(path, {"x": torch.zeros(3)}, {"settings": {}, "sha256": {}})


VERBS = [
    ("train", f"{HOST}/model.safetensors", f"{DATA}/train.safetensors"),
    ("train", f"{RUNS}/s-at-aka/seed0/alpha0.1/model.safetensors", f"{TAPE}/manifest.json"),
    ("train", f"{RUNS}/s-at-aka/seed0/alpha0.1/model.safetensors", f"{TAPE}/*/epoch0000.safetensors"),
    ("train", f"{RUNS}/s-at-aka/seed0/model.safetensors", f"{RUNS}/s-at-aka/choice.json"),
    ("train", f"{RUNS}/en-sat/seed0/model.safetensors", f"{RUNS}/en-sat/seed0/member2/model.safetensors"),
    ("train", f"{RUNS}/en-sat/seed0/model.safetensors", f"{RUNS}/en-sat/seed0/member2/run.json"),
    ("train", f"{RUNS}/s-cat-aka.chosen/seed0/model.safetensors", f"{RUNS}/s-cat-aka/seed0/model.safetensors"),
    ("select", f"{RUNS}/s-at-aka/choice.json", f"{RUNS}/s-at-aka/seed0/alpha0.5/run.json"),
    ("evaluate", f"{CELLS}/natural/seed0/pgd.csv", f"{HOST}/run.json"),
    ("evaluate", f"{CELLS}/natural/seed0/pgd.csv", f"{HOST}/model.safetensors"),
    ("evaluate", f"{CELLS}/natural/seed0/pgd.csv", f"{DATA}/test.safetensors"),
    ("particles", f"particles/{D}/{A}/natural/seed0/pgd.csv", f"{DATA}/test.safetensors"),
    ("record", f"{TAPE.replace('x3', 'x2')}/manifest.json", f"{TAPE}/manifest.json"),
]


@pytest.mark.parametrize("damage", [no_file, empty, a_folder, unreadable, junk, another_kind])
@pytest.mark.parametrize(("verb", "target", "broken"), VERBS)
def test_a_broken_file_stops_a_verb(
    verb: str,
    target: str,
    broken: str,
    damage: Callable[[Path], None],
    small: Small,
    capfd: pytest.CaptureFixture[str],
) -> None:
    folder = small.root.parents[1]
    path, made = the(folder / ROOT, broken), folder / ROOT / target
    kept, before = path.read_bytes(), {one: one.read_bytes() for one in made.parent.iterdir() if one.is_file()}
    damage(path)
    try:
        with contextlib.chdir(folder):
            assert main([verb, f"{ROOT}/{target}", "--config", json.dumps(small.settings)]) == 2
        said = capfd.readouterr().err
        assert "error: " in said
        assert Path(broken).name in said
        assert "Traceback" not in said
        assert {one: one.read_bytes() for one in before if one != path} == {
            one: content for one, content in before.items() if one != path
        }
    finally:
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
        path.write_bytes(kept)


@pytest.mark.parametrize("verb", ["train", "evaluate", "record", "select", "particles", "prepare"])
def test_a_target_that_is_a_folder_is_refused(verb: str, small: Small, capfd: pytest.CaptureFixture[str]) -> None:
    target = {
        "train": f"{HOST}/model.safetensors",
        "evaluate": f"{CELLS}/natural/seed0/pgd.csv",
        "record": f"{TAPE.replace('x3', 'x2')}/manifest.json",
        "select": f"{RUNS}/s-at-aka/choice.json",
        "particles": f"particles/{D}/{A}/natural/seed0/pgd.csv",
        "prepare": f"{DATA}/test.safetensors",
    }[verb]
    folder = small.root.parents[1]
    path = folder / ROOT / target
    kept = {one: one.read_bytes() for one in path.parent.iterdir() if one.is_file()}
    path.unlink()
    (path / "inside").mkdir(parents=True)
    try:
        with contextlib.chdir(folder):
            assert main([verb, f"{ROOT}/{target}", "--config", json.dumps(small.settings)]) == 2
        assert f"error: can't write {ROOT}/{target}" in capfd.readouterr().err
        assert (path / "inside").is_dir()
    finally:
        shutil.rmtree(path)
        for one, content in kept.items():
            one.write_bytes(content)


# ---- paths


STEPS = ["results", "smoke", "runs", "cells", "tapes", "particles", "data", D, A, "timm", "natural", "en-sat", TEACHER]
STEPS += ["seed0", "seed007", "seed" + "9" * 30, "seed-1", "seed٣", "alpha0.5", "alpha0.50", "alpha1e5", "member0"]
STEPS += ["member00", "model.safetensors", "pgd.csv", "manifest.json", "..", ".", "", "{x}", "*", "\n", "é", "x" * 300]


@settings(max_examples=500, deadline=None)
@given(st.lists(st.sampled_from(STEPS), min_size=1, max_size=9).map("/".join) | st.text(max_size=30))
def test_any_path_is_an_artifact_or_refused_by_name(text: str) -> None:
    found, refusal = answer(lambda: plan.parse(text))
    if refusal:
        assert "is no artifact of a study" in refusal or "is another name of" in refusal
    else:
        root, node = found
        assert plan.file_of(node, root) == Path(text)


@pytest.mark.parametrize(
    "path",
    [
        f"{ROOT}/{HOST.replace('seed0', 'seed00')}/model.safetensors",
        f"{ROOT}/{RUNS}/s-at-aka/seed0/alpha0.50/model.safetensors",
        f"{ROOT}/{RUNS}/en-sat/seed0/member02/model.safetensors",
        f"/{HOST}/model.safetensors",
        f"{ROOT}/{RUNS}/*/seed0/model.safetensors",
        f"{ROOT}/{RUNS}/{{method}}/seed{{seed}}/model.safetensors",
        f"{ROOT}/{HOST}/../../../../../../../x",
    ],
)
def test_other_names_of_an_artifact_and_patterns_make_nothing(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", path]) == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert list(tmp_path.iterdir()) == []


# ---- configurations


SCALE = b"""seeds: [0, 1]
eps: 26/255
data: &data {train: null, test: 1.5e2}
setups: {table2: {epochs: 0x10}, natural: *data}
attacks: {pgd: {when: 2024-01-31, set: !!set {a, b}}}
"""


@settings(max_examples=120, deadline=None)
@given(DAMAGE.map(lambda damage: damage.of(SCALE)))
def test_any_bytes_are_a_configuration_or_refused_by_name(content: bytes) -> None:
    with provided(content) as path:
        read, refusal = answer(lambda: strict_yaml.read_mapping(path))
        assert refusal.startswith(str(path)) if refusal else isinstance(read, dict)


@contextlib.contextmanager
def provided(content: bytes) -> Iterator[Path]:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "mine.yaml")
        path.write_bytes(content)
        yield path


@pytest.mark.parametrize(
    "content",
    [
        "a: &a [*a]",
        "a: &a {b: *a}",
        "[" * 5_000,
        "{a: " * 3_000,
        "a: 0b_",
        "a: 24:00:00",
        "no: 1",
        "a: " + "9" * 5_000,
        "a: !!int x",
        "a: !!python/object/apply:os.system [x]",
        "? [a]\n: 1",
        '"\\ud800": 1',
        "a: *b",
        "<<: 3",
        "a: 1\n---\nb: 2",
    ],
)
def test_yaml_that_is_none_is_refused_by_file(content: str) -> None:
    with provided(content.encode()) as path, pytest.raises(UserError, match="mine"):
        strict_yaml.read_mapping(path)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"seeds": [10**9]}, "seeds.0: 1000000000... is too large"),
        ({"setups": {"table2": {"epochs": 10**400}}}, "setups.table2.epochs: "),
        ({"eps": "1e99999999"}, "eps: '1e99999999' is no number"),
        ({"attacks": {"pgd": {"step_size": "1e400"}}}, "step_size: '1e400' is no number"),
        ({"attacks": {"pgd": {"step_size": "1e-400"}}}, "step_size: '1e-400' is out of range"),
        ({"eps": "1/" + "9" * 5000}, "is no number"),
        ({"threads": 10**6}, "threads: "),
        ({"teachers": {"cifar10": "\ud800"}}, "--config: 'utf-8' codec can't encode"),
        ({"selection": {"alphas": [float("nan")]}}, "selection.alphas.0"),
    ],
)
def test_values_that_no_machine_can_hold_are_refused(
    overrides: dict[str, Any], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", f"{ROOT}/{HOST}/model.safetensors", "--config", json.dumps(overrides)]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("text", ["[" * 100_000, "9" * 5_000, '{"a": ' * 50_000, "", "\0", "{'a': 1}"])
def test_settings_that_are_no_json_are_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "results", "--config", text]) == 2
    assert capsys.readouterr().err.startswith("error: --config ")


SMOKE = yaml.safe_load((config.HOME / "config/smoke.yaml").read_text())
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("8/255"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
KEYS = sorted({*SMOKE, "methods", "teachers", "device", "where", "kind", "steps", "options", "like", "s-at-aka", "pgd"})
NESTED = st.dictionaries(st.sampled_from(KEYS), ANYTHING | st.dictionaries(st.sampled_from(KEYS), ANYTHING, max_size=2))


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(NESTED)
def test_any_settings_are_a_study_or_refused_in_words(overrides: dict[str, Any]) -> None:
    study, refusal = answer(lambda: config.load("smoke", overrides))
    assert refusal or json.dumps(study.model_dump(mode="json"), allow_nan=False)
