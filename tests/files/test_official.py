"""Are a data set's files fetched once and seen whole, however many jobs ask at the same time?"""

import hashlib
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ataka.errors import UserError
from ataka.files import official
from ataka.study.config import HOME

FILES = {name: name.encode() * 1000 for name in ("train_1", "train_2", "test", "meta")}


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


@pytest.fixture(autouse=True)
def the_network_is_this_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchvision.datasets.utils._get_redirect_url", lambda url, **_: url)
    monkeypatch.setattr("torchvision.datasets.utils._urlretrieve", lambda url, path, *_: shutil.copyfile(url[7:], path))


@pytest.fixture
def kind(tmp_path: Path) -> Any:
    """What torchvision knows of a data set, whose archive lies on this disk."""
    archive = tmp_path / "server" / "mini.tar.gz"
    (archive.parent / "mini").mkdir(parents=True)
    for name, content in FILES.items():
        (archive.parent / "mini" / name).write_bytes(content)
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(archive.parent / "mini", "mini")
    return SimpleNamespace(
        __name__="Mini",
        base_folder="mini",
        url=archive.as_uri(),
        filename="mini.tar.gz",
        tgz_md5=md5(archive.read_bytes()),
        train_list=[[name, md5(FILES[name])] for name in ("train_1", "train_2")],
        test_list=[["test", md5(FILES["test"])]],
        meta={"filename": "meta", "md5": md5(FILES["meta"])},
    )


@pytest.fixture
def single(tmp_path: Path) -> Any:
    """What torchvision knows of a data set whose files have addresses of their own."""
    server = tmp_path / "server"
    server.mkdir()
    listed = {}
    for split in ("train", "test", "extra"):
        (server / f"{split}.mat").write_bytes(split.encode() * 1000)
        listed[split] = [(server / f"{split}.mat").as_uri(), f"{split}.mat", md5(split.encode() * 1000)]
    return SimpleNamespace(__name__="Single", split_list=listed)


def test_single_files_are_fetched_where_they_are_missing(single: Any, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "test.mat").write_bytes(b"test" * 1000)
    before = (folder / "test.mat").stat().st_ino
    official.ensure(single, folder)
    assert sorted(path.name for path in folder.iterdir() if path.name != official.LOCK) == ["test.mat", "train.mat"]
    assert (folder / "train.mat").read_bytes() == b"train" * 1000
    assert (folder / "test.mat").stat().st_ino == before
    assert official.damaged_files(single, folder) == []


def test_a_single_file_that_arrives_damaged_is_not_put_in_place(single: Any, tmp_path: Path) -> None:
    (tmp_path / "server/train.mat").write_bytes(b"half")
    with pytest.raises(UserError, match="Single is not there and could not be fetched") as caught:
        official.ensure(single, tmp_path)
    assert f"{tmp_path / 'train.mat'} is missing" in str(caught.value)
    assert [path.name for path in tmp_path.iterdir() if path.name != official.LOCK] == ["server"]


def test_a_fetch_that_fails_half_way_names_what_is_missing_alone(single: Any, tmp_path: Path) -> None:
    (tmp_path / "server/test.mat").unlink()
    with pytest.raises(UserError, match="Single is not there and could not be fetched") as caught:
        official.ensure(single, tmp_path)
    assert f"{tmp_path / 'test.mat'} is missing" in str(caught.value)
    assert "train.mat is" not in str(caught.value)
    assert "damaged" not in str(caught.value)
    (tmp_path / "server/test.mat").write_bytes(b"test" * 1000)
    official.ensure(single, tmp_path)
    assert official.damaged_files(single, tmp_path) == []


JOBS = """
import os, shutil, sys, time
from types import SimpleNamespace
from torchvision.datasets import utils
from ataka.files import official

extract = utils.extract_archive

def slowly(*arguments, **named):
    extract(*arguments, **named)
    time.sleep(1)

utils.extract_archive = slowly
utils._get_redirect_url = lambda url, **_: url
utils._urlretrieve = lambda url, path, *_: shutil.copyfile(url[7:], path)
kind, folder, said = SimpleNamespace(**eval(sys.argv[1])), official.Path(sys.argv[2]), official.Path(sys.argv[3])
for job in range(3):  # as new processes, but torchvision is loaded once
    if not os.fork():
        sys.stdout = (said / str(job)).open("w")
        official.ensure(kind, folder)
        print("whole", official.damaged_files(kind, folder), flush=True)
        os._exit(0)
print([os.wait()[1] for _ in range(3)])
"""


def test_jobs_that_ask_at_once_fetch_once_and_all_succeed(kind: Any, tmp_path: Path) -> None:
    folder, said = tmp_path / "data", tmp_path / "said"
    said.mkdir()
    command = [sys.executable, "-c", JOBS, repr(vars(kind)), str(folder), str(said)]
    done = subprocess.run(command, cwd=HOME, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, "[0, 0, 0]\n"), done.stderr
    outputs = [path.read_text() for path in said.iterdir()]
    assert [output.splitlines()[-1] for output in outputs] == ["whole []"] * 3
    assert sum("fetching file:" in output for output in outputs) == 1
    assert sorted(path.name for path in folder.iterdir() if path.name != official.LOCK) == ["mini", "mini.tar.gz"]


def test_files_in_place_need_no_permission_to_write(kind: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    official.ensure(kind, tmp_path)
    monkeypatch.setattr(official, "FileLock", None)
    official.ensure(kind, tmp_path)


def test_another_job_is_waited_for_and_said(
    kind: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = official.FileLock(tmp_path / official.LOCK)
    lock.acquire()

    class Freed(official.FileLock):  # type: ignore[misc, valid-type]
        """The other job ends as soon as somebody waits for it."""

        def acquire(self, timeout: float | None = None, **more: Any) -> Any:
            if timeout != 0:
                lock.release()
            return super().acquire(timeout, **more)

    monkeypatch.setattr(official, "FileLock", Freed)
    official.ensure(kind, tmp_path)
    assert f"waiting: another job looks for Mini in {tmp_path}, or fetches it" in capsys.readouterr().out
    assert official.damaged_files(kind, tmp_path) == []


@pytest.mark.parametrize("error", [PermissionError(13, "denied"), NotImplementedError("no flock here")])
def test_a_disk_without_locks_is_used_all_the_same(
    kind: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(official.FileLock, "acquire", refuse)
    official.ensure(kind, tmp_path)
    assert official.damaged_files(kind, tmp_path) == []


def test_what_is_there_is_kept_and_only_missing_files_are_added(kind: Any, tmp_path: Path) -> None:
    official.ensure(kind, tmp_path)
    base = tmp_path / "mini"
    before = (base / "train_1").stat().st_ino
    (base / "test").unlink()
    (base / "notes.txt").write_text("mine")
    Path(kind.url.removeprefix("file://")).unlink()  # the archive that was fetched serves again
    official.ensure(kind, tmp_path)
    assert (base / "train_1").stat().st_ino == before
    assert (base / "test").read_bytes() == FILES["test"]
    assert (base / "notes.txt").read_text() == "mine"


def test_a_killed_unpacking_is_swept_and_half_a_file_is_never_in_place(
    kind: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(archive: str, to: str, *_: object) -> None:
        (Path(to) / "mini").mkdir(parents=True)
        (Path(to) / "mini/train_1").write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("torchvision.datasets.utils.extract_archive", half)
        with pytest.raises(KeyboardInterrupt):
            official.ensure(kind, tmp_path)
    assert not (tmp_path / "mini").exists()
    left = tmp_path / ".unpacking-mini/mini"
    left.mkdir(parents=True)
    (left / "train_1").write_bytes(b"half")
    official.ensure(kind, tmp_path)
    assert official.damaged_files(kind, tmp_path) == []
    assert not left.exists()


def test_an_archive_that_arrives_damaged_is_named(kind: Any, tmp_path: Path) -> None:
    kind.tgz_md5 = "0" * 32
    with pytest.raises(UserError, match="Mini is not there and could not be fetched") as caught:
        official.ensure(kind, tmp_path)
    assert f"{tmp_path / 'mini/train_1'} is missing" in str(caught.value)
