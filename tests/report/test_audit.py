"""Does an audit give the numbers of a table's row, resume, compare fairly, and tell a stranger what went wrong?"""

import contextlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy
import pytest
import timm
import torch
from huggingface_hub import ModelCard
from safetensors.torch import load_file, save_file
from scipy.stats import binomtest
from torch import nn

from ataka import networks, plan, training
from ataka.cli import main
from ataka.datasets import cifar10, digits, splits
from ataka.datasets.images import Split
from ataka.files import resume
from ataka.files.records import read_json, read_rows
from ataka.machine import memory
from ataka.plan import Cell
from ataka.stages import evaluate as stage
from ataka.study import config, layers
from baselines.natural import Natural
from tests import small, tiny

ARCH = "resnet10-w8"
FAST = ["--scale", "smoke", "--attacks", "pgd"]
RUN_OF_NATURAL = f"{small.ROOT}/{small.RUNS}/natural/seed0/model.safetensors"
ALL = ("clean", "fgsm", "pgd", "aa", "cw", "fog")


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network that has learnt digits, and what its digest is named by."""
    facts = digits.SPECIFICATION
    cut = splits.cut("digits", digits.load(Path()), train=256, validation=64, test=8, split_seed=0)
    network = networks.student(ARCH, facts, seed=0, device=torch.device("cpu"))
    training.train([network], Natural(), cut["train"], facts, tiny.setup(epochs=4, batch_size=32), seed=0)
    path = tmp_path_factory.mktemp("weights") / "my.pt"
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture
def here(tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with the file of weights in it."""
    monkeypatch.chdir(tmp_path)
    shutil.copyfile(weights, "my.pt")
    return tmp_path


def audit(*arguments: str, network: str = "my.pt", arch: str | None = ARCH) -> int:
    given = ["--arch", arch] if arch else []
    return main(["audit", network, *given, "--dataset", "digits", "--threads", "1", *arguments])


def audits_folders() -> list[str]:
    return [path.name for path in Path("audits").rglob("*")]


def bits(attack: str, out: str = "audits/my", name: str = "my", arch: str = ARCH) -> list[bool]:
    held: list[bool] = numpy.load(Cell("digits", arch, name, 0, attack).bits(out)).tolist()
    return held


def row(attack: str, out: str = "audits/my", name: str = "my") -> dict[str, str]:
    (one,) = read_rows(Cell("digits", ARCH, name, 0, attack).csv(out))
    return one


# ---- what is measured


def test_an_audit_has_the_numbers_of_the_networks_row_in_a_table(
    whole_study: Path, small_settings: dict[str, Any], tmp_path: Path
) -> None:
    """`published` is a row of the small study: a file of others. Its cell and the audit's differ in the moment."""
    (entry,) = small_settings["methods"]["published"]["checkpoints"]
    settings = {name: group for name, group in small_settings.items() if name != "methods"}
    out = str(tmp_path / "out")
    assert audit(*FAST, "--out", out, "--name", "mine", "--config", json.dumps(settings), network=entry["path"]) == 0
    cell = Cell(small.D, small.A, "published", 0, "pgd")
    (theirs,) = read_rows(cell.csv(whole_study / small.ROOT))
    ours = row("pgd", out, "mine")
    moment = {"method", "model_sha256", "finished_at", "seconds", "cpu_seconds", "memory_mb", "seal"}
    assert {key for key in theirs if theirs[key] != ours[key]} <= moment
    assert theirs.keys() == ours.keys()
    assert numpy.load(cell.bits(whole_study / small.ROOT)).tolist() == bits("pgd", out, "mine")


def test_by_default_one_attack_of_each_kind_is_run_clean_first(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit("--scale", "smoke", "--images", "8") == 0
    record = read_json(Path("audits/my/audit.json"))
    assert record["attacks"].keys() == set(ALL)
    assert {one["n"] for one in record["attacks"].values()} == {8}
    assert {name: one["accuracy"] for name, one in record["attacks"].items()} == {
        attack: pytest.approx(100 * numpy.mean(bits(attack))) for attack in ALL
    }
    inside = [attack for attack in ALL if attack != "fog"]
    worst = numpy.logical_and.reduce([bits(attack) for attack in inside])
    (case,) = record["worst_cases"]
    assert (case["norm"], case["budget"], case["attacks"]) == ("l_inf", "26/255", inside)
    assert (case["n"], case["correct"]) == (8, int(worst.sum()))
    page = Path("audits/my/audit.md").read_text(encoding="utf-8")
    said = capsys.readouterr().out
    assert [line.split()[0] for line in said.splitlines()[: len(ALL)]] == [*ALL]
    for attack in ALL:
        assert f"| {float(row(attack)['accuracy']):.2f} | " in page
        assert f"{attack:24}  {float(row(attack)['accuracy']):.2f} % [" in said
    assert f"| Worst case of Clean, FGSM, PGD, AA, CW | {100 * worst.mean():.2f} | " in page
    assert f"worst case, l_inf 26/255  {100 * worst.mean():.2f} % [" in said


def test_a_worst_case_is_over_attacks_of_one_norm_and_one_budget(here: Path) -> None:
    """Another norm, another budget and a corruption are other threat models, whose union no benchmark prints."""
    asked = ["pgd,pgd-eps-50", "fgsm", "pgd-l2", "fog"]
    half = {"kind": "pgd", "eps": "13/255", "step_size": "1/255", "steps": 2}
    settings = json.dumps({"attacks": {"pgd-eps-50": half}})
    assert audit("--scale", "smoke", "--images", "16", "--config", settings, "--attacks", *asked) == 0
    radius = config.load("smoke").attack("pgd-l2").options["radius"]
    cases = {(one["norm"], one["budget"]): one for one in read_json(Path("audits/my/audit.json"))["worst_cases"]}
    expected = {
        ("l_inf", "26/255"): ["clean", "pgd", "fgsm"],
        ("l_inf", "13/255"): ["clean", "pgd-eps-50"],
        ("l_2", str(radius)): ["clean", "pgd-l2"],
    }
    assert cases.keys() == expected.keys()
    for ball, attacks in expected.items():
        right = numpy.logical_and.reduce([bits(attack) for attack in attacks])
        assert cases[ball]["attacks"] == attacks
        assert cases[ball]["correct"] == int(right.sum())
        assert cases[ball]["accuracy"] == pytest.approx(100 * right.mean())
    page = Path("audits/my/audit.md").read_text(encoding="utf-8")
    assert f"| PGD eps-50 | {float(row('pgd-eps-50')['accuracy']):.2f} | " in page
    assert f" | 16 | ℓ₂ {radius} | " in page
    assert page.count("| Worst case of ") == 3


@pytest.mark.parametrize("attacks", [["clean"], ["fog"]])
def test_without_a_budget_there_is_no_worst_case(attacks: list[str], here: Path) -> None:
    assert audit("--scale", "smoke", "--images", "8", "--attacks", *attacks) == 0
    assert read_json(Path("audits/my/audit.json"))["worst_cases"] == []
    assert "| Worst case" not in Path("audits/my/audit.md").read_text(encoding="utf-8")


def test_the_entry_is_as_robustbench_has_them(here: Path) -> None:
    assert audit("--scale", "demo", "--images", "6", "--attacks", "aa") == 0
    entry = json.loads(Path("audits/my/robustbench.json").read_text(encoding="utf-8"))
    theirs = "link name authors additional_data number_forward_passes dataset venue architecture eps clean_acc reported"
    assert {*theirs.split(), "autoattack_acc", "unreliable"} <= entry.keys()
    assert (entry["dataset"], entry["architecture"], entry["eps"]) == ("digits", ARCH, "26/255")
    assert entry["clean_acc"] == f"{float(row('clean')['accuracy']):.2f}"
    assert entry["autoattack_acc"] == f"{float(row('aa')['accuracy']):.2f}"
    assert audit("--scale", "smoke", "--images", "6", "--attacks", "aa", "--out", "short") == 0
    shortened = json.loads(Path("short/robustbench.json").read_text(encoding="utf-8"))
    assert shortened["autoattack_acc"] is None  # a shortened AutoAttack is none


def test_every_accuracy_of_the_card_survives_hugging_face(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    attacks = ["clean", "pgd", "pgd-l2", "fog"]
    assert audit("--scale", "smoke", "--images", "8", "--attacks", *attacks) == 0
    shown = ModelCard.load(Path("audits/my/card.md"))
    assert (shown.data.model_name, shown.data.datasets) == ("my", ["digits"])
    assert ARCH in shown.data.tags
    results = {result.dataset_config: result for result in shown.data.eval_results}
    assert list(results) == attacks
    for attack, result in results.items():
        assert result.metric_value == pytest.approx(numpy.mean(bits(attack)), abs=1e-6)
        assert result.metric_args["images"] == 8
        assert f" | {float(row(attack)['accuracy']):.2f} | " in shown.text
    assert results["pgd"].metric_args["eps"] == "26/255"
    assert ModelCard(str(shown)).data.eval_results == shown.data.eval_results
    assert main(["export", "audits/my"]) == 2
    assert "an audit has its model card already, card.md" in capsys.readouterr().err


def test_a_budget_of_ones_own_is_the_budget(here: Path) -> None:
    assert audit(*FAST, "--images", "8", "--eps", "1/255", "--attacks", "fgsm", "pgd") == 0
    assert {row(attack)["eps"] for attack in ("fgsm", "pgd")} == {"1/255"}


# ---- where networks come from


@pytest.fixture
def functions(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module of the user's in the working folder, whose function returns the network of the file."""
    monkeypatch.syspath_prepend(here)
    monkeypatch.delitem(sys.modules, "mynets", raising=False)
    Path("mynets.py").write_text(
        "import torch\nfrom ataka import datasets, networks\n\n"
        "def robust():\n"
        f"    network = networks.build('{ARCH}', datasets.find('digits').specification, device=torch.device('cpu'))\n"
        "    network.load_state_dict(torch.load('my.pt', weights_only=True))\n"
        "    return network\n\n"
        "def half():\n    return robust().half()\n\n"
        "def needs(path):\n    return path\n\n"
        "def text():\n    return 'no network'\n\n"
        "class Masked(torch.nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n        self.inside = robust()\n\n"
        "    def forward(self, x):\n        with torch.no_grad():\n            return self.inside(x)\n\n"
        "def masked():\n    return Masked()\n",
        encoding="utf-8",
    )
    return here


def test_a_function_and_a_run_give_the_verdicts_of_the_file(functions: Path) -> None:
    assert audit(*FAST) == 0
    assert audit(*FAST, network="mynets:robust", arch=None) == 0
    assert bits("pgd", "audits/robust", "robust", "mynets--robust") == bits("pgd")
    assert json.loads(Path("audits/robust/robustbench.json").read_text())["architecture"] == "mynets:robust"
    assert all(re.fullmatch(r"[\w.-]+", name) for name in audits_folders())


def test_a_network_of_timm_brings_its_weights_and_its_normalisation(here: Path) -> None:
    torch.manual_seed(0)
    theirs = timm.create_model("test_resnet", num_classes=10, in_chans=1)
    Path("theirs").mkdir()
    save_file(theirs.state_dict(), "theirs/model.safetensors")
    about = {"architecture": "test_resnet", "num_classes": 10, "model_args": {"in_chans": 1}}
    about |= {"pretrained_cfg": {"input_size": [1, 8, 8], "mean": [0.25], "std": [0.5], "num_classes": 10}}
    Path("theirs/config.json").write_text(json.dumps(about), encoding="utf-8")
    assert audit("--attacks", "clean", network="timm/local-dir:theirs", arch=None) == 0
    _, (images, labels) = digits.load(Path())
    with torch.no_grad():
        expected = theirs.eval()((Split(images, labels).pixels() - 0.25) / 0.5).argmax(1) == labels
    assert bits("clean", "audits/theirs", "theirs", "timm--local-dir-theirs") == expected.tolist()
    assert "mean \\[0.25\\]" in Path("audits/theirs/audit.md").read_text(encoding="utf-8")


def test_an_average_of_a_study_is_audited_by_its_path_alone(whole_study: Path, tmp_path: Path) -> None:
    path = plan.Run(small.D, small.A, "en-sat", 0).model(whole_study / small.ROOT)
    given = ["--attacks", "clean", "--images", "12", "--threads", "1", "--out", str(tmp_path / "out")]
    assert main(["audit", str(path), *given]) == 0
    theirs = numpy.load(Cell(small.D, small.A, "en-sat", 0, "clean").bits(whole_study / small.ROOT))
    assert bits("clean", str(tmp_path / "out"), "en-sat-seed0") == theirs.tolist()
    assert read_json(tmp_path / "out/audit.json")["scale"] == "smoke"


# ---- an interrupted audit, and one that is repeated


class Interrupted(KeyboardInterrupt):
    """Ctrl-C in the middle of an attack."""


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A context in which the attack is interrupted once it has kept two checkpoints, eight images a batch."""
    monkeypatch.setattr(memory, "BATCH", 4)
    monkeypatch.setattr(resume, "pause", lambda _cost, least=0.0: 0.0)

    @contextlib.contextmanager
    def context() -> Any:
        keep, kept = resume.States.keep, []

        def counting(self: resume.States, where: str, make: Any) -> None:
            keep(self, where, make)
            kept.append(where)
            if len(kept) == 6:  # two of the clean images, which are three batches, and some of PGD's
                raise Interrupted

        with monkeypatch.context() as patch:
            patch.setattr(resume.States, "keep", counting)
            yield

    return context


def test_an_interrupted_audit_resumes_with_the_same_verdicts_and_images(
    here: Path, interrupted: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [*FAST, "--images", "16", "--save-images"]
    assert audit(*given, "--out", "whole") == 0
    with interrupted():
        assert audit(*given, "--out", "cut") == 130
    assert "the next start goes on after image 8 of 16" in capsys.readouterr().err
    assert not Path("cut/audit.md").exists()
    assert audit(*given, "--out", "cut") == 0
    said = capsys.readouterr().err
    assert "audit my clean: measured before" in said
    assert "audit my pgd: goes on after image 8 of 16" in said
    assert bits("pgd", "cut") == bits("pgd", "whole")
    one, other = (load_file(f"{out}/images/pgd.safetensors") for out in ("cut", "whole"))
    assert torch.equal(one["x_adv"], other["x_adv"])
    assert torch.equal(one["y"], other["y"])
    assert [path.name for path in sorted(Path("cut/images").iterdir())] == ["clean.safetensors", "pgd.safetensors"]


def test_images_of_an_attack_that_was_interrupted_without_them_are_refused(
    here: Path, interrupted: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with interrupted():
        assert audit(*FAST, "--images", "16") == 130
    assert audit(*FAST, "--images", "16", "--save-images") == 2
    assert "the first 8 images were attacked without --save-images" in capsys.readouterr().err
    assert audit(*FAST, "--images", "16") == 0
    assert audit(*FAST, "--images", "16", "--save-images") == 0
    assert len(load_file("audits/my/images/pgd.safetensors")["x_adv"]) == 16


def test_an_audit_that_goes_on_without_images_leaves_no_parts_of_them(here: Path, interrupted: Any) -> None:
    with interrupted():
        assert audit(*FAST, "--images", "16", "--save-images") == 130
    assert Path("audits/my/images/pgd.parts").is_dir()
    assert audit(*FAST, "--images", "16") == 0
    assert [path.name for path in Path("audits/my/images").iterdir()] == ["clean.safetensors"]


def test_saved_images_are_those_judged_within_the_budget(here: Path, weights: Path) -> None:
    assert audit(*FAST, "--save-images") == 0
    saved = load_file("audits/my/images/pgd.safetensors")
    _, (images, labels) = digits.load(Path())
    x = Split(images, labels).first(16).pixels()
    network = networks.build(ARCH, digits.SPECIFICATION, device=torch.device("cpu"))
    network.load_state_dict(torch.load(weights, weights_only=True))
    with torch.no_grad():
        predicted = network.eval()(saved["x_adv"]).argmax(1)
    assert (predicted == saved["y"]).tolist() == bits("pgd")
    distance = (saved["x_adv"] - x).abs().max().item()
    assert 25.9 / 255 < distance <= 26 / 255 + 1e-6
    assert torch.equal(load_file("audits/my/images/clean.safetensors")["x_adv"], x)
    without = bits("pgd")
    assert audit(*FAST, "--out", "without") == 0
    assert bits("pgd", "without") == without


def test_a_repeated_audit_measures_what_changed_alone(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert audit(*FAST) == 0
    page = Path("audits/my/audit.md").read_text(encoding="utf-8")
    measured: list[str] = []
    measure = stage.measure

    def noting(study: Any, root: str, node: Cell, *rest: Any) -> None:
        measured.append(node.attack)
        measure(study, root, node, *rest)

    monkeypatch.setattr(stage, "measure", noting)
    assert audit(*FAST) == 0
    assert measured == []
    assert Path("audits/my/audit.md").read_text(encoding="utf-8") == page
    assert audit(*FAST, "--attacks", "fgsm", "pgd") == 0
    assert measured == ["fgsm"]
    numpy.save(Cell("digits", ARCH, "my", 0, "fgsm").bits("audits/my"), numpy.ones(16, dtype=bool))
    assert audit(*FAST, "--attacks", "fgsm", "pgd") == 0
    assert measured == ["fgsm", "fgsm"]
    assert audit(*FAST, "--eps", "9/255") == 0
    assert measured == ["fgsm", "fgsm", "pgd"]


def test_another_network_gets_another_folder(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit(*FAST) == 0
    before = bits("pgd")
    state = torch.load("my.pt", weights_only=True)
    torch.save({name: -tensor if name == "linear.bias" else tensor for name, tensor in state.items()}, "my.pt")
    assert audit(*FAST) == 2
    assert "audits/my holds the audit of another network" in capsys.readouterr().err
    assert bits("pgd") == before
    assert audit(*FAST, "--out", "audits/other") == 0


def test_a_network_that_could_not_be_measured_leaves_its_folder_to_the_mended_one(functions: Path) -> None:
    text = Path("mynets.py").read_text(encoding="utf-8")
    spoilt = "    network.linear.weight.data[0, 0] = float('nan')\n    return network\n"
    broken = text.replace("    return network\n", spoilt)
    Path("mynets.py").write_text(broken, encoding="utf-8")
    assert audit(*FAST, network="mynets:robust", arch=None) == 2
    Path("mynets.py").write_text(text, encoding="utf-8")
    sys.modules.pop("mynets")
    assert audit(*FAST, network="mynets:robust", arch=None) == 0


# ---- against a study


@pytest.fixture
def against(whole_study: Path, small_settings: dict[str, Any]) -> list[str]:
    return ["--against", str(whole_study / small.ROOT), "--config", json.dumps(small_settings)]


def _cell(difference: dict[str, Any]) -> Cell:
    return Cell(*(difference[name] for name in ("dataset", "arch", "method", "seed", "attack")))


def _rows_against() -> list[list[str]]:
    """The rows of the page's table of differences."""
    table = Path("audits/my/audit.md").read_text(encoding="utf-8").partition("## Against")[2].partition("\n## ")[0]
    return [[entry.strip() for entry in line.split("|")[1:-1]] for line in table.splitlines() if line.startswith("| ")]


def test_differences_are_those_of_the_bits_by_the_exact_test(here: Path, against: list[str], whole_study: Path) -> None:
    assert audit("--attacks", "clean", "pgd", *against) == 0
    record = read_json(Path("audits/my/audit.json"))
    compared = {_cell(one): one for one in record["against"]}
    root = whole_study / small.ROOT
    expected = sorted((root / small.CELLS).rglob("*.csv"))
    assert len(compared) == len(expected) == 7
    p = []
    for path in expected:
        _, cell = plan.parse(path)
        assert isinstance(cell, Cell)
        theirs, ours = numpy.load(cell.bits(root)), numpy.array(bits(cell.attack))
        one = compared[cell]
        assert one["ours"] - one["theirs"] == pytest.approx(100 * (ours.mean() - theirs.mean()))
        gained, lost = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
        p.append((binomtest(gained, gained + lost).pvalue if gained + lost else 1.0, one["p_holm"]))
    p.sort()
    adjusted, highest = [], 0.0
    for place, (raw, _) in enumerate(p):
        highest = max(highest, min(1.0, (len(p) - place) * raw))
        adjusted.append(highest)
    assert [stated for _, stated in p] == pytest.approx(adjusted)
    header, section, *rows = _rows_against()
    assert header[:3] == ["network", "seed", "attack"]
    assert section == ["**digits, RN-10 (w 8)**", *[""] * 7]
    assert [row[:3] for row in rows[-3:]] == [
        ["Published", "0", "PGD"],
        ["(S)AT-AKA", "0", "PGD"],
        ["(S)CAT-AKA, chosen", "0", "PGD"],
    ]


@pytest.mark.parametrize("of", ["run", "file"])
def test_a_network_is_not_compared_with_itself(
    of: str, here: Path, against: list[str], whole_study: Path, small_settings: dict[str, Any]
) -> None:
    """As a run's weights, or as the file of others that a row of the study was imported from."""
    (entry,) = small_settings["methods"]["published"]["checkpoints"]
    method, network = ("published", entry["path"]) if of == "file" else ("natural", str(whole_study / RUN_OF_NATURAL))
    assert audit("--attacks", "pgd", *against, "--name", "my", network=network) == 0
    compared = {_cell(one) for one in read_json(Path("audits/my/audit.json"))["against"]}
    every = {plan.parse(path)[1] for path in (whole_study / small.ROOT / small.CELLS).rglob("*.csv")}
    assert compared == {cell for cell in every if isinstance(cell, Cell) and (cell.method, cell.seed) != (method, 0)}
    label = "Published" if of == "file" else "Natural"
    page = Path("audits/my/audit.md").read_text(encoding="utf-8")
    assert f"- left out: digits, RN-10 (w 8), {label}, seed 0: the audited network itself" in page


def test_variants_of_a_method_are_told_apart(
    here: Path, whole_study: Path, small_settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """en-SAT of Table 4 has the label of en-SAT of Table 2."""
    shutil.copytree(whole_study / small.ROOT, small.ROOT)
    settings = json.dumps(layers.overlay(small_settings, {"setups": {"table4": {"batch_size": 8}}}))
    for path in (*(f"member{index}/model" for index in range(3)), "model"):
        run = f"{small.ROOT}/{small.RUNS}/en-sat.t4/seed0/{path}.safetensors"
        assert main(["train", run, "--config", settings]) == 0
    assert main(["evaluate", f"{small.ROOT}/{small.CELLS}/en-sat.t4/seed0/clean.csv", "--config", settings]) == 0
    assert audit("--attacks", "clean", "--against", small.ROOT, "--config", settings) == 0
    assert [row[0] for row in _rows_against()[2:]] == ["en-SAT", "en-SAT, t4", "Natural", "Natural"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--eps", "8/255"], "- pgd.eps: 8/255 here, 26/255 there"),
        (["--images", "11"], "- pgd.images: 11 here, 12 there"),
        (["--scale", "paper"], "- pgd.steps: 20 here, 2 there"),
    ],
)
def test_other_settings_are_refused_by_name_before_anything_is_attacked(
    change: list[str], message: str, here: Path, against: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit("--attacks", "pgd", *against, *change) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "- the test images" not in said or "--scale" in change
    assert not Path("audits").exists()


def test_other_test_images_are_refused(
    here: Path, against: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    load = digits.load

    def other(folder: Path) -> Any:
        train, (images, labels) = load(folder)
        return train, (images.flip(0), labels.flip(0))

    monkeypatch.setattr(digits, "load", other)
    assert audit("--attacks", "pgd", *against) == 2
    assert "- the test images of digits: " in capsys.readouterr().err


def test_a_folder_without_anything_to_compare_with_is_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("results/smoke").mkdir(parents=True)
    assert audit("--attacks", "pgd", "--against", "results/smoke") == 2
    assert "results/smoke has nothing to compare with: it has no cell of digits" in capsys.readouterr().err


# ---- a stranger's first five minutes


def test_a_clean_accuracy_near_chance_is_told_at_once_and_on_the_page(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As by a wrong normalisation: the same weights behind one that they were not trained with."""
    assert audit("--attacks", "clean", "--mean", "40", "--std", "0.01") == 0
    said = capsys.readouterr().err
    assert "audit my clean: WARNING: its 95% interval reaches down to chance" in said
    assert "--mean and --std" in said
    page = Path("audits/my/audit.md").read_text(encoding="utf-8")
    assert "Health checks: 1 raised of 1.\n" in page
    assert "reaches down to chance" in page
    assert json.loads(Path("audits/my/robustbench.json").read_text(encoding="utf-8"))["unreliable"] is True
    assert audit("--attacks", "clean", "--out", "right") == 0
    assert "WARNING" not in capsys.readouterr().err
    healthy = Path("right/audit.md").read_text(encoding="utf-8")
    assert "Health checks: none raised of 1.\nThere is no sign of masked gradients" in healthy


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nope.pt", "--arch", ARCH, "--dataset", "digits"], "there is no file nope.pt"),
        ([".", "--arch", ARCH, "--dataset", "digits"], "there is no file ."),
        (["results/demo/runs/nope/model.safetensors"], "there is no file results/demo/runs/nope/model.safetensors"),
        (["my.pt", "--arch", ARCH], "my.pt: name the data set whose classes"),
        (["my.pt", "--dataset", "digits"], "my.pt holds weights alone: name the network"),
        (["my.pt", "--arch", "resnet81", "--dataset", "digits"], "unknown architecture 'resnet81'; did you mean"),
        (["my.pt", "--arch", "resnet10-w16", "--dataset", "digits"], "my.pt doesn't fit the network"),
        (["my.pt", "--arch", ARCH, "--dataset", "digitz"], "no data set 'digitz'; did you mean 'digits'?"),
        (["my.pt", "--arch", ARCH, "--dataset", "digits", "--attacks", "pdg"], "no attack 'pdg' in the configuration"),
        (
            ["my.pt", "--arch", ARCH, "--dataset", "digits", "--images", "999"],
            "--images 999: digits has 360 test images",
        ),
        (["my.pt", "--arch", ARCH, "--dataset", "digits", "--images", "0"], "--images 0: an audit attacks one image"),
        (["my.pt", "--arch", ARCH, "--dataset", "digits", "--images", "99999"], "digits has 360 test images at scale"),
        (["my.pt", "--arch", ARCH, "--dataset", "digits", "--scale", "dmo"], "no scale 'dmo'"),
        (["my.pt", "--arch", ARCH, "--dataset", "digits", "--eps", "8/0"], "eps: '8/0' divides by zero"),
        (["my.pt", "--arch", ARCH, "--dataset", "digits", "--mean", "0.5"], "a normalisation has a mean and a std"),
        (
            ["my.pt", "--arch", ARCH, "--dataset", "digits", "--mean", "1", "2", "--std", "1", "2"],
            "mean: 2 numbers, but images of digits have 1 channels",
        ),
        (["my.pt", "--arch", ARCH, "--dataset", "digits", "--weights", "ema"], "my.pt holds no weights called 'ema'"),
        (["whole.pt", "--arch", ARCH, "--dataset", "digits"], "whole.pt holds more than plain tensors"),
        (["mynets.py", "--arch", ARCH, "--dataset", "digits"], "neither a PyTorch nor a safetensors file"),
        (["mynets:half", "--dataset", "digits"], "holds weights of type float16"),
        (["mynets:needs", "--dataset", "digits"], "mynets:needs: TypeError"),
        (
            ["mynets:text", "--dataset", "digits"],
            "mynets:text returns an object of type str, where an nn.Module is expected",
        ),
        (["mynets:masked", "--dataset", "digits"], "mynets:masked: no gradient leads from its logits to its images"),
        (["mynets:nosuch", "--dataset", "digits"], "has no function 'nosuch'; known: Masked, datasets, half"),
        (
            ["my.pt", "--arch", ARCH, "--dataset", "digits", "--against", "results/nowhere"],
            "--against results/nowhere: there is no such folder of results",
        ),
        (["mynets:robus", "--dataset", "digits"], "has no function 'robus'; did you mean 'robust'?"),
        (["minets:robust", "--dataset", "digits"], "no module 'minets' is on the Python path"),
        (["mynets:robust", "--dataset", "digits", "--weights", "ema"], "brings its weights along"),
        (["timm/resnet", "--dataset", "digits"], "gives no network with weights: RuntimeError: Unknown model (resnet)"),
    ],
)
def test_mistakes_end_with_a_sentence_and_leave_nothing(
    arguments: list[str], message: str, functions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(nn.Linear(2, 2), "whole.pt")
    assert main(["audit", *arguments]) == 2
    said = capsys.readouterr().err
    assert said.splitlines()[-1].startswith("error: ")
    assert message in said
    assert not Path("audits").exists()


def test_clean_images_need_no_gradient(functions: Path) -> None:
    assert main(["audit", "mynets:masked", "--dataset", "digits", "--scale", "smoke", "--attacks", "clean"]) == 0
    assert [*json.loads(Path("audits/masked/audit.json").read_text())["attacks"]] == ["clean"]


def test_a_data_set_that_is_not_there_is_named(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    network = networks.build(ARCH, cifar10.SPECIFICATION, device=torch.device("cpu"))
    torch.save(network.state_dict(), "colour.pt")
    monkeypatch.setenv("ATAKA_DATA", str(here / "nowhere"))
    assert main(["audit", "colour.pt", "--arch", ARCH, "--dataset", "cifar10"]) == 2
    assert f"ATAKA_DATA names '{here / 'nowhere'}', which is no folder" in capsys.readouterr().err


def test_weights_in_half_precision_are_audited_in_float32(here: Path) -> None:
    state = torch.load("my.pt", weights_only=True)
    torch.save(
        {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state.items()}, "my.pt"
    )
    assert audit("--attacks", "clean") == 0
    assert float(row("clean")["accuracy"]) > 60


def test_other_verbs_load_nothing_of_the_audit() -> None:
    program = (
        "import sys; from ataka.cli import main; main(['train', 'nowhere']); "
        "sys.exit(any(name.split('.')[0] == 'report' for name in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", program], cwd=config.HOME, check=True, capture_output=True)
