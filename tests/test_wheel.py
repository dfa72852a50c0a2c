"""Does a wheel work in an empty folder outside the checkout, and does it put ataka alone on the path?"""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from ataka import datasets, networks
from ataka.study.config import HOME

LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "results", "data", "bench", "tests", "*.egg-info")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling")
    checkout, out = tmp_path_factory.mktemp("source") / "checkout", tmp_path_factory.mktemp("wheel")
    shutil.copytree(HOME, checkout, ignore=LEFT_OUT, symlinks=True)
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    subprocess.run(command, cwd=checkout, check=True, capture_output=True)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the wheel is installed into, beside this environment's packages."""
    folder = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "install", "--no-index", "--no-deps", "--quiet", "--target", str(folder)]
    subprocess.run([*command, str(wheel)], check=True, capture_output=True)
    return folder


def run(installed: Path, folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command in ``folder`` with the wheel on its path, and not the checkout."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(installed), *_further()]), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def _further() -> list[str]:
    """Folders that this process was given beside the checkout."""
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return [place for place in given if place and Path(place).resolve() != HOME]


def test_the_wheel_puts_ataka_alone_on_the_path(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"ataka"}
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]


def test_the_wheel_holds_every_module_and_data_file(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for room, place in (("ataka", "ataka"), ("report", "ataka/_packaged/report"), ("config", "ataka/_packaged/config")):
        files = [path for path in (HOME / room).rglob("*") if path.is_file() and "__pycache__" not in path.parts]
        assert {f"{place}/{path.relative_to(HOME / room).as_posix()}" for path in files} <= names


def test_what_it_depends_on_is_what_the_project_pins() -> None:
    wanted = tomllib.loads((HOME / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    lines = (HOME / "requirements.in").read_text(encoding="utf-8").splitlines()
    assert set(wanted) <= {line.partition("#")[0].strip() for line in lines}
    packages = {re.split(r"[<>=\[]", name)[0].replace("-", "_").lower() for name in wanted}
    modules = {"PIL": "pillow", "sklearn": "scikit_learn", "yaml": "pyyaml"}
    named = {modules.get(name, name) for room in ("ataka", "report") for name in imported(HOME / room)}
    come_with_others = {"pydantic_core", "huggingface_hub", "autoattack", "markupsafe"}
    of_a_study_alone = {"baselines", "matplotlib"}  # a picture trains the networks that it shows
    assert named - sys.stdlib_module_names - {"ataka", "report"} - come_with_others - of_a_study_alone <= packages


def imported(room: Path) -> Iterator[str]:
    """The packages that modules of a room import by their names."""
    for path in room.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from (alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield node.module.split(".")[0]


def test_import_ataka_works_in_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    program = (
        "import sys, ataka; assert 'torch' not in sys.modules; path = list(sys.path)\n"
        "import torch; from torch import nn; torch.manual_seed(0)\n"
        "network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).eval()\n"
        "print(ataka.evaluate(network, 'pgd', 'digits', images=8, scale='demo'))\n"
        "print(ataka.__file__, sys.path == path, 'report' in sys.modules, 'baselines' in sys.modules)\n"
    )
    done = run(installed, tmp_path, sys.executable, "-c", program)
    assert done.returncode == 0, done.stderr
    verdicts, place = done.stdout.splitlines()
    assert verdicts.startswith("pgd: ")
    assert place == f"{installed}/ataka/__init__.py True False False"


def test_the_command_audits_in_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    """As a script, and as a module, which finds the audit done."""
    facts = datasets.find("digits").specification
    network = networks.build("resnet10-w8", facts, device=torch.device("cpu"))
    torch.save(network.state_dict(), tmp_path / "my.pt")
    (tmp_path / "mynets.py").write_text(
        "import ataka\n\ndef mine():\n    return ataka.load('my.pt', arch='resnet10-w8', dataset='digits')\n"
    )
    given = ["audit", "mynets:mine", "--dataset", "digits", "--scale", "demo", "--attacks", "pgd", "--images", "8"]
    for command in ([sys.executable, str(installed / "bin/ataka")], [sys.executable, "-m", "ataka"]):
        done = run(installed, tmp_path, *command, *given)
        assert done.returncode == 0, done.stderr
        assert "pgd" in done.stdout
    shown = run(installed, tmp_path, str(installed / "bin/ataka"), "audit", "--help").stdout
    assert shown.startswith("usage: ataka audit ")
    assert "  ataka audit my.pt --arch " in shown
    assert "python -m" not in shown
    entry = json.loads((tmp_path / "audits/mine/robustbench.json").read_text(encoding="utf-8"))
    assert entry["eps"] == "26/255"
    assert (tmp_path / "audits/mine/audit.md").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "results/demo/runs/digits/resnet10-w8/natural/seed0/model.safetensors"],
        ["verify", "results"],
        ["schema"],
        ["audit", "my.pt", "--arch", "resnet10-w8", "--dataset", "digits", "--against", "results/demo"],
    ],
)
def test_a_study_needs_the_checkout_and_says_so(arguments: list[str], installed: Path, tmp_path: Path) -> None:
    facts = datasets.find("digits").specification
    torch.save(networks.build("resnet10-w8", facts, device=torch.device("cpu")).state_dict(), tmp_path / "my.pt")
    done = run(installed, tmp_path, sys.executable, "-m", "ataka", *arguments)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "checkout" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["my.pt"]
