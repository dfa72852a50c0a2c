"""The official files of CIFAR-10 and CIFAR-100, fetched, checked and read by torchvision."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ataka.errors import UserError

if TYPE_CHECKING:
    from ataka.datasets.specification import Loaded


def read(name: str, folder: Path) -> "Loaded":
    """The images and labels of torchvision's class ``name``; UserError if files are damaged or can't be fetched."""
    from torchvision import datasets  # a second of start-up, needed only here

    kind: Any = getattr(datasets, name)
    if os.environ.get("ATAKA_DATA") and not folder.is_dir():
        raise UserError(
            f"ATAKA_DATA names '{folder}', which is no folder; correct it, or make the folder to fetch into"
        )
    _ensure(kind, folder)
    train, test = (kind(folder, train=train, download=False) for train in (True, False))
    return (
        (torch.from_numpy(train.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(train.targets)),
        (torch.from_numpy(test.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(test.targets)),
    )


def damaged_files(kind: Any, folder: Path) -> list[tuple[Path, str]]:
    """The files that are missing or differ from the official md5, each with that md5."""
    from torchvision.datasets.utils import check_integrity

    base = folder / kind.base_folder
    wanted = [*kind.train_list, *kind.test_list, [kind.meta["filename"], kind.meta["md5"]]]
    return [(base / name, md5) for name, md5 in wanted if not check_integrity(base / name, md5)]


def _ensure(kind: Any, folder: Path) -> None:
    """Have the official files in ``folder``, downloading what is missing; else say what to do."""
    bad = damaged_files(kind, folder)
    if not bad:
        return
    if any(file.exists() for file, _ in bad):
        raise UserError(f"{kind.__name__} is damaged:{_message(bad)}\nDelete these files; they are fetched again.")
    try:
        print(f"fetching {kind.url} into {folder}", flush=True)
        kind(folder, download=True)
    except Exception as error:
        raise UserError(
            f"{kind.__name__} is not there and could not be fetched ({error}):{_message(bad)}\n"
            f"Fetch {kind.url} (md5 {kind.tgz_md5}) elsewhere and unpack it into {folder}, or set ATAKA_DATA "
            f"to a folder that holds {kind.base_folder}/. The demo scale needs no download."
        ) from None
    bad = damaged_files(kind, folder)
    if bad:
        raise UserError(f"{kind.__name__} arrived damaged:{_message(bad)}")


def _message(bad: list[tuple[Path, str]]) -> str:
    """A line for each of ``damaged_files``."""
    lines = [
        f"{file} is damaged: its md5 is not the official {md5}" if file.exists() else f"{file} is missing"
        for file, md5 in bad
    ]
    return "".join(f"\n  {line}" for line in lines)
