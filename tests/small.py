"""A study of every kind of artifact, made by the verbs in seconds: what tests of damage and bad input spoil."""

import contextlib
import json
from pathlib import Path
from typing import Any

import torch

from ataka import datasets, networks
from ataka.cli import main
from ataka.files.disk import sha256
from ataka.study import layers
from report.cli import main as report

ROOT, D, A, TEACHER = "results/smoke", "digits", "resnet10-w8", "wrn10-1"
RUNS, CELLS, TAPES, DATA = f"runs/{D}/{A}", f"cells/{D}/{A}", f"tapes/{D}", f"data/{D}"
TAPE = f"{TAPES}/{TEACHER}-x3-svgd/seed0"
SETTINGS: dict[str, Any] = {
    "data": {"train": 24, "validation": 16, "test": 12},
    "setups": {"table2": {"batch_size": 8}, "sat": {"batch_size": 8}},
    "particles": {"images": 3, "count": 3},
    "methods": {"s-cat-aka": {"alpha": 0.5}},
}
MADE = [
    ("prepare", f"{DATA}/train.safetensors"),
    ("prepare", f"{DATA}/test.safetensors"),
    ("record", f"{TAPE}/manifest.json"),
    ("record", f"{TAPES}/{TEACHER}-x2-svgd/seed0/manifest.json"),
    ("train", f"{RUNS}/natural/seed0/model.safetensors"),
    ("train", f"{RUNS}/natural/seed1/model.safetensors"),
    *(("train", f"{RUNS}/en-sat/seed0/member{index}/model.safetensors") for index in range(3)),
    ("train", f"{RUNS}/en-sat/seed0/model.safetensors"),
    *(("train", f"{RUNS}/s-at-aka/seed0/alpha{alpha}/model.safetensors") for alpha in (0.1, 0.5)),
    ("select", f"{RUNS}/s-at-aka/choice.json"),
    ("train", f"{RUNS}/s-at-aka/seed0/model.safetensors"),
    ("train", f"{RUNS}/s-cat-aka/seed0/model.safetensors"),
    ("train", f"{RUNS}/s-cat-aka.chosen/seed0/model.safetensors"),
    ("train", f"{RUNS}/published/seed0/model.safetensors"),
    *(("evaluate", f"{CELLS}/{run}/clean.csv") for run in ("natural/seed0", "natural/seed1", "en-sat/seed0")),
    *(("evaluate", f"{CELLS}/{run}/seed0/pgd.csv") for run in ("natural", "s-at-aka", "s-cat-aka.chosen", "published")),
    ("particles", f"particles/{D}/{A}/natural/seed0/pgd.csv"),
]


def settings(folder: Path) -> dict[str, Any]:
    """The study's, with a network of others that lies in ``folder``."""
    path = folder / "network.pt"
    torch.manual_seed(1)
    torch.save(networks.build(A, datasets.find(D).specification, device=torch.device("cpu")).state_dict(), path)
    entry = {"dataset": D, "arch": A, "path": str(path), "sha256": sha256(path)}
    return layers.overlay(SETTINGS, {"methods": {"published": {"label": "Published", "checkpoints": [entry]}}})


def make(folder: Path, settings: dict[str, Any]) -> None:
    """Everything that is ``MADE``, what was collected of it and what was concluded, below ``folder``."""
    overlaid = ["--config", json.dumps(settings)]
    with contextlib.chdir(folder):
        for verb, path in MADE:
            assert main([verb, f"{ROOT}/{path}", *overlaid]) == 0
        assert report(["cells", "--root", ROOT]) == 0
        for table in ("table1", "table2"):
            assert report(["render", table, "--root", ROOT, "--partial", *overlaid]) == 0
        for concluded in ("claims", "union"):
            assert report([concluded, "--root", ROOT, "--partial", *overlaid]) == 0


def the(root: Path, pattern: str) -> Path:
    """The one file below ``root`` that is called so, or would be."""
    return next(root.glob(pattern), root / pattern)
