"""The official files of a data set that torchvision knows: looked for and fetched once, whoever asks.

Several jobs may ask at once: Slurm jobs, a command with two cores, two users who share a folder. One of them fetches,
under a lock in the folder, and unpacks aside; the others wait and look again. Files that are in place are whole, so
that a folder with all of them needs neither lock nor permission to write.
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ataka.errors import UserError
from ataka.files.locate import expanded

LOCK = ".fetching.lock"


def ensure(kind: Any, folder: Path) -> None:
    """Have the files of torchvision's class ``kind`` in ``folder``; UserError, with a remedy, where that can't be."""
    if not damaged_files(kind, folder):
        return
    named = os.environ.get("ATAKA_DATA")
    if named and folder == expanded(named) and not folder.is_dir():
        raise UserError(
            f"ATAKA_DATA names '{folder}', which is no folder; correct it, or make the folder to fetch into"
        )
    with _alone(folder, kind.__name__):
        bad = damaged_files(kind, folder)  # another job may have fetched them meanwhile
        if not bad:
            return
        if any(file.exists() for file, _ in bad):
            raise UserError(f"{kind.__name__} is damaged:{_message(bad)}\nDelete these files; they are fetched again.")
        source = _source(kind)
        try:
            print(f"fetching {source.urls} into {folder}", flush=True)
            source.fetch(folder, [file for file, _ in bad])
        except Exception as error:
            raise UserError(
                f"{kind.__name__} is not there and could not be fetched ({error}):"
                f"{_message(damaged_files(kind, folder))}\n"  # some of several files may have arrived
                f"{source.remedy(folder)} The demo scale needs no download."
            ) from None
        if bad := damaged_files(kind, folder):
            raise UserError(f"{kind.__name__} arrived damaged:{_message(bad)}")


def damaged_files(kind: Any, folder: Path) -> list[tuple[Path, str]]:
    """The files that are missing or differ from the official md5, each with that md5."""
    from torchvision.datasets.utils import check_integrity

    wanted = ((folder / name, md5) for name, md5 in _source(kind).files)
    return [(path, md5) for path, md5 in wanted if not check_integrity(path, md5)]


def _source(kind: Any) -> "_Archive | _Single":
    return _Single(kind) if hasattr(kind, "split_list") else _Archive(kind)


@dataclass(frozen=True)
class _Archive:
    """The files of a class such as CIFAR10: one archive holds them all."""

    kind: Any

    @property
    def files(self) -> list[tuple[str, str]]:
        """Names below the folder of the data, each with its md5."""
        listed = [*self.kind.train_list, *self.kind.test_list, [self.kind.meta["filename"], self.kind.meta["md5"]]]
        return [(f"{self.kind.base_folder}/{name}", md5) for name, md5 in listed]

    @property
    def urls(self) -> str:
        return str(self.kind.url)

    def remedy(self, folder: Path) -> str:
        return (
            f"Fetch {self.kind.url} (md5 {self.kind.tgz_md5}) elsewhere and unpack it into {folder}, or set ATAKA_DATA "
            f"to a folder that holds {self.kind.base_folder}/."
        )

    def fetch(self, folder: Path, missing: Sequence[Path]) -> None:
        """Download the archive, unless it is in ``folder``, unpack it aside, and move what is ``missing`` in place."""
        from torchvision.datasets import utils

        with _aside(folder / f".unpacking-{self.kind.base_folder}") as aside:
            utils.download_and_extract_archive(
                self.kind.url,
                str(folder),
                extract_root=str(aside),
                filename=self.kind.filename,
                md5=self.kind.tgz_md5,
            )
            (folder / self.kind.base_folder).mkdir(exist_ok=True)
            for file in missing:
                (aside / self.kind.base_folder / file.name).replace(file)


@dataclass(frozen=True)
class _Single:
    """The files of a class such as SVHN: each split is a file with an address of its own."""

    kind: Any

    @property
    def _listed(self) -> list[tuple[str, str, str]]:
        """The address, the name and the md5 of each file."""
        return [(url, name, md5) for url, name, md5 in (self.kind.split_list[split] for split in ("train", "test"))]

    @property
    def files(self) -> list[tuple[str, str]]:
        """Names below the folder of the data, each with its md5."""
        return [(name, md5) for _, name, md5 in self._listed]

    @property
    def urls(self) -> str:
        return " and ".join(url for url, _, _ in self._listed)

    def remedy(self, folder: Path) -> str:
        addresses = " and ".join(f"{url} (md5 {md5})" for url, _, md5 in self._listed)
        return f"Fetch {addresses} elsewhere and put the files into {folder}, or set ATAKA_DATA to their folder."

    def fetch(self, folder: Path, missing: Sequence[Path]) -> None:
        """Download what is ``missing`` aside, and move it in place."""
        from torchvision.datasets import utils

        with _aside(folder / f".fetching-{self.kind.__name__}") as aside:
            for url, name, md5 in self._listed:
                if folder / name in missing:
                    utils.download_url(url, str(aside), filename=name, md5=md5)
                    (aside / name).replace(folder / name)


@contextmanager
def _aside(folder: Path) -> Iterator[Path]:
    """A folder for files that aren't whole yet; it is gone afterwards, as is one that a killed job left."""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _alone(folder: Path, name: str) -> Iterator[None]:
    """A context that one process at a time is in; on a disk without locks every process is."""
    lock = FileLock(folder / LOCK, mode=0o666)  # another user's job locks it, too
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            print(f"waiting: another job looks for {name} in {folder}, or fetches it", flush=True)
            lock.acquire()
    except (OSError, NotImplementedError):  # no locks here, or nothing can be written: fetching will tell
        pass
    try:
        yield
    finally:
        lock.release()


def _message(bad: list[tuple[Path, str]]) -> str:
    """A line for each of ``damaged_files``."""
    lines = [
        f"{file} is damaged: its md5 is not the official {md5}" if file.exists() else f"{file} is missing"
        for file, md5 in bad
    ]
    return "".join(f"\n  {line}" for line in lines)
