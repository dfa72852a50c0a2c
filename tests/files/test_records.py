"""Are files whole or not there, and are damaged ones refused by name?"""

from collections import namedtuple
from pathlib import Path

import pytest
import torch
from torch import nn

from ataka.errors import UserError, nearest
from ataka.files import disk
from ataka.files.disk import replacing, require_space, sha256
from ataka.files.prepared import load_split, save_splits
from ataka.files.records import read_json, read_rows, write_json, write_rows
from ataka.files.tensors import load_into, load_tensors, save_tensors
from tests import tiny

TENSORS = {"b": torch.arange(6.0).reshape(2, 3), "a": torch.tensor([True, False])}


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "deep/file.json"
    write_json(path, {"old": 1})

    def half() -> None:
        with replacing(path) as part:
            part.write_text("{")
            raise RuntimeError("half-way")

    with pytest.raises(RuntimeError, match="half-way"):
        half()
    assert read_json(path) == {"old": 1}
    assert [file.name for file in path.parent.iterdir()] == ["file.json"]


def test_json_that_cannot_be_written_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    write_json(path, {"old": 1})
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert read_json(path) == {"old": 1}
    assert len(list(tmp_path.iterdir())) == 1


def test_a_place_that_takes_no_file_is_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=r"can't write .*file/inside\.json"):
        write_json(tmp_path / "file/inside.json", {})


def test_equal_content_is_equal_bytes(tmp_path: Path) -> None:
    save_tensors(tmp_path / "1", TENSORS, {"x": 1, "y": 2})
    save_tensors(tmp_path / "2", dict(reversed(TENSORS.items())), {"y": 2, "x": 1})
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()
    save_tensors(tmp_path / "3", TENSORS | {"a": torch.tensor([True, True])}, {"x": 1, "y": 2})
    assert sha256(tmp_path / "1") != sha256(tmp_path / "3")
    assert tiny.same(load_tensors(tmp_path / "1"), TENSORS)


def test_others_may_read_tensors_if_they_may_read_text(tmp_path: Path) -> None:
    save_tensors(tmp_path / "tensors", TENSORS)
    (tmp_path / "text").touch()
    assert (tmp_path / "tensors").stat().st_mode == (tmp_path / "text").stat().st_mode


def test_transposed_tensors_survive(tmp_path: Path) -> None:
    save_tensors(tmp_path / "t", {"t": TENSORS["b"].T})
    assert torch.equal(load_tensors(tmp_path / "t")["t"], TENSORS["b"].T)


@pytest.mark.parametrize("read", [read_json, load_tensors])
def test_missing_and_damaged_files_are_named(tmp_path: Path, read: object) -> None:
    path = tmp_path / "thing"
    with pytest.raises(UserError, match=r"thing is missing"):
        read(path)
    path.write_bytes(b'{"half": ')
    with pytest.raises(UserError, match=r"thing.*delete it and run again"):
        read(path)
    with pytest.raises(UserError, match=str(tmp_path)):
        read(tmp_path)


def test_a_truncated_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model"
    save_tensors(path, TENSORS)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match="model"):
        load_tensors(path)


def test_another_networks_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    source = tiny.dense(1)
    save_tensors(path, source.state_dict())
    target = tiny.dense(2)
    load_into(target, path)
    assert tiny.same(tiny.state(target), tiny.state(source))
    for other in (tiny.convolutional(), nn.Sequential(*list(tiny.dense())[:-1])):
        with pytest.raises(UserError, match=r"model\.safetensors holds another network"):
            load_into(other, path)


def test_splits_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "train.safetensors"
    save_splits(path, {"train": tiny.split(5), "validation": tiny.split(3, seed=1)}, {})
    assert load_split(path, "train").digest() == tiny.split(5).digest()
    assert load_split(path, "validation").digest() == tiny.split(3, seed=1).digest()
    assert load_split(path, "train").images.dtype == torch.uint8
    with pytest.raises(UserError, match=r"train\.safetensors has no split 'test'"):
        load_split(path, "test")


def test_rows_come_back_as_text(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    write_rows(path, [{"name": "a, b", "value": 1}, {"name": 'say "x"', "value": ""}])
    assert read_rows(path) == [{"name": "a, b", "value": "1"}, {"name": 'say "x"', "value": ""}]
    assert b"\r" not in path.read_bytes()


def test_the_nearest_name_is_suggested_or_all_are_listed() -> None:
    assert nearest("stpes", ["steps", "eps"]) == "; did you mean 'steps'?"
    assert nearest("zzz", ["b", "a"]) == "; known: a, b"
    assert nearest("zzz", []) == "; known: none"
    assert nearest("zzz", map(str, range(60))).endswith(" and 48 more")


def test_a_disk_too_small_is_named_with_what_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "there").write_bytes(b"x" * 1000)
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: namedtuple("Usage", "free")(2000))
    require_space(tmp_path, 3000)
    with pytest.raises(UserError, match=r"needs 0\.0 GB, but its disk has 0\.0 GB left: make room"):
        require_space(tmp_path, 3001)
