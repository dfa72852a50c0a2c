"""The official files of a data set that torchvision knows: looked for, fetched and unpacked once, whoever asks.

Several jobs may ask at once: Slurm jobs, a command with two cores, two users who share a folder. One of them fetches,
under a lock in the folder, and unpacks aside; the others wait and look again. Files that are in place are whole, so
that a folder with all of them needs neither lock nor permission to write.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ataka.errors import UserError

LOCK = ".fetching.lock"


def ensure(kind: Any, folder: Path) -> None:
    """Have the files of torchvision's class ``kind`` in ``folder``; UserError, with a remedy, where that can't be."""
    if not damaged_files(kind, folder):
        return
    with _alone(folder, kind.__name__):
        bad = damaged_files(kind, folder)  # another job may have fetched them meanwhile
        if not bad:
            return
        if any(file.exists() for file, _ in bad):
            raise UserError(f"{kind.__name__} is damaged:{_message(bad)}\nDelete these files; they are fetched again.")
        try:
            print(f"fetching {kind.url} into {folder}", flush=True)
            _fetch(kind, folder, [file for file, _ in bad])
        except Exception as error:
            raise UserError(
                f"{kind.__name__} is not there and could not be fetched ({error}):{_message(bad)}\n"
                f"Fetch {kind.url} (md5 {kind.tgz_md5}) elsewhere and unpack it into {folder}, or set ATAKA_DATA "
                f"to a folder that holds {kind.base_folder}/. The demo scale needs no download."
            ) from None
        if bad := damaged_files(kind, folder):
            raise UserError(f"{kind.__name__} arrived damaged:{_message(bad)}")


def damaged_files(kind: Any, folder: Path) -> list[tuple[Path, str]]:
    """The files that are missing or differ from the official md5, each with that md5."""
    from torchvision.datasets.utils import check_integrity

    base = folder / kind.base_folder
    wanted = [*kind.train_list, *kind.test_list, [kind.meta["filename"], kind.meta["md5"]]]
    return [(base / name, md5) for name, md5 in wanted if not check_integrity(base / name, md5)]


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


def _fetch(kind: Any, folder: Path, missing: list[Path]) -> None:
    """Download the archive, unless it lies in ``folder``, unpack it aside, and move what is ``missing`` in place."""
    from torchvision.datasets import utils

    aside = folder / f".unpacking-{kind.base_folder}"
    shutil.rmtree(aside, ignore_errors=True)  # left by a killed job
    try:
        utils.download_and_extract_archive(
            kind.url, str(folder), extract_root=str(aside), filename=kind.filename, md5=kind.tgz_md5
        )
        (folder / kind.base_folder).mkdir(exist_ok=True)
        for file in missing:
            (aside / kind.base_folder / file.name).replace(file)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _message(bad: list[tuple[Path, str]]) -> str:
    """A line for each of ``damaged_files``."""
    lines = [
        f"{file} is damaged: its md5 is not the official {md5}" if file.exists() else f"{file} is missing"
        for file, md5 in bad
    ]
    return "".join(f"\n  {line}" for line in lines)
