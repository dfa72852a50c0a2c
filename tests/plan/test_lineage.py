"""Networks that come from other networks: frozen teachers, members that train together, shared tapes, imports."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from ataka import datasets, networks, plan
from ataka.cli import main
from ataka.datasets import views
from ataka.errors import UserError
from ataka.files import tape as recorded
from ataka.files.disk import sha256
from ataka.files.prepared import load_split
from ataka.files.records import read_json, read_rows, write_json
from ataka.files.tensors import load_tensors
from ataka.models import checkpoints
from ataka.models.mixture import Mixture
from ataka.plan import Cell, Particles, Run, Tape
from ataka.stages import common
from ataka.study import config, layers

ROOT, D, A, TEACHER = "results/smoke", "digits", "resnet10-w8", "wrn10-1"
RUNS, TAPES = f"{ROOT}/runs/{D}", f"{ROOT}/tapes/{D}"
OVERRIDES: dict[str, Any] = {
    "data": {"train": 24, "validation": 16, "test": 12},
    "setups": {"table2": {"batch_size": 8}},
    "particles": {"images": 3, "count": 3},
}


def ataka(verb: str, path: str, **overrides: Any) -> int:
    return main([verb, path, "--config", json.dumps(layers.overlay(OVERRIDES, overrides))])


def made(verb: str, path: str, **overrides: Any) -> Path:
    assert ataka(verb, path, **overrides) == 0
    return Path(path).parent


def study(**overrides: Any) -> config.Study:
    return config.load("smoke", layers.overlay(OVERRIDES, overrides))


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    return load_tensors(folder / "model.safetensors")


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("study")
    with contextlib.chdir(folder):
        made("prepare", f"{ROOT}/data/{D}/train.safetensors")
        made("prepare", f"{ROOT}/data/{D}/test.safetensors")
        yield folder


@pytest.fixture(scope="module")
def tape() -> Path:
    return made("record", f"{TAPES}/{TEACHER}-x3-svgd/seed0/manifest.json")


@pytest.fixture(scope="module")
def robust() -> Path:
    for member in range(3):
        made("train", f"{RUNS}/{TEACHER}/en-trades/seed0/member{member}/model.safetensors")
    return made("train", f"{RUNS}/{TEACHER}/en-trades/seed0/model.safetensors")


@pytest.fixture(scope="module")
def joint() -> Path:
    return made(
        "train",
        f"{RUNS}/{A}/s-cat-aka/seed0/model.safetensors",
        methods={"s-cat-aka": {"alpha": 0.5}},
    )


FIXED = {"methods": {"s-cat-aka": {"alpha": 0.5}}}


# ---- frozen teachers


def test_teachers_of_the_baselines_are_one_run_for_all() -> None:
    shipped = study()
    asked = {
        tuple(plan.frozen_teachers(shipped, Run(D, A, method, 0)).values())
        for method in ("en-ard", "en-iad", "en-rslad", "n-rslad", "p-rslad")
    }
    assert asked == {(Run(D, TEACHER, "en-trades", 0),)}
    needed = plan.needs(shipped, Run(D, A, "en-iad.ii", 1))
    assert needed == [Run(D, TEACHER, "en-trades", 1), Run(D, TEACHER, "natural", 1)]


def test_a_teacher_has_a_network_of_its_own_where_the_method_names_one() -> None:
    """By the paper's name: a scale's stand-in teaches, its code counts, and the others stay as they were."""
    named = study(stand_ins={"resnet56": "resnet20"})
    plain, other = (Run(D, A, name, 0) for name in ("mtard", "mtard.paper"))
    robust = Run(D, TEACHER, "en-trades", 0)
    assert plan.frozen_teachers(named, plain) == {"robust": robust, "standard": Run(D, TEACHER, "natural", 0)}
    assert plan.frozen_teachers(named, other) == {"robust": robust, "standard": Run(D, "resnet20", "natural", 0)}
    assert plan.needs(named, other) == [robust, Run(D, "resnet20", "natural", 0)]
    assert plan.run_settings(named, plain) != plan.run_settings(named, other)
    assert set(plan.code_of(named, other)) - set(plan.code_of(named, plain)) == {"ataka.models.resnet_deep"}
    assert plan.readings_in(named, other)["architectures.standard"] == "resnet56 [E3]"
    assert "architectures.standard" not in plan.readings_in(named, plain)
    with pytest.raises(UserError, match=r"stand_ins\.resnet56 is null, but it teaches digits: name a network"):
        plan.frozen_teachers(study(stand_ins={"resnet56": None}), other)


@pytest.mark.parametrize(
    ("architectures", "said"),
    [
        ({"standrd": "resnet56"}, r"methods\.mtard\.architectures: 'standrd' is not defined; did you mean 'standard'"),
        ({"standard": "resnet57"}, r"methods\.mtard\.architectures\.standard: unknown architecture 'resnet57'"),
    ],
)
def test_a_network_for_no_teacher_and_an_unknown_network_are_refused(architectures: dict[str, str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        study(methods={"mtard": {"architectures": architectures}})


def test_a_student_of_frozen_teachers_leaves_their_file_alone(robust: Path) -> None:
    before = (robust / "model.safetensors").read_bytes()
    folder = made("train", f"{RUNS}/{A}/en-rslad/seed0/model.safetensors")
    assert (robust / "model.safetensors").read_bytes() == before
    initial = networks.student(A, datasets.find(D).specification, seed=0, device=torch.device("cpu")).state_dict()
    assert not same(tensors(folder), initial)


def test_other_teachers_are_another_student() -> None:
    shipped, run = study(), Run(D, A, "en-ard", 0)
    changed = study(methods={"en-trades": {"options": {"beta": 1.0}}})
    assert plan.run_settings(shipped, run) != plan.run_settings(changed, run)


def test_a_teacher_of_other_settings_is_refused(robust: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = f"{RUNS}/{A}/en-ard/seed0/model.safetensors"
    assert ataka("train", path, methods={"en-trades": {"options": {"beta": 1.0}}}) == 2
    assert "wrn10-1/en-trades/seed0/model.safetensors was trained under other settings" in capsys.readouterr().err


# ---- members that train together


def test_a_joint_run_holds_all_members_and_each_is_another(joint: Path) -> None:
    found = tensors(joint)
    members = [
        {name.split(".", 2)[2]: tensor for name, tensor in found.items() if name.startswith(f"members.{index}.")}
        for index in range(3)
    ]
    assert sum(map(len, members)) == len(found)
    assert len({tensor["linear.weight"].numpy().tobytes() for tensor in members}) == 3


def test_a_member_is_its_part_of_the_joint_run(joint: Path) -> None:
    together = tensors(joint)
    for index, name in enumerate(("s1", "s2", "s3")):
        folder = made("train", f"{RUNS}/{A}/s-cat-aka.{name}/seed0/model.safetensors", **FIXED)
        assert same(tensors(folder), {key: together[f"members.{index}.{key}"] for key in tensors(folder)})
        assert read_json(folder / "run.json")["member"] == index


def test_the_chosen_member_is_the_most_robust_on_validation_images(joint: Path) -> None:
    folder = made("train", f"{RUNS}/{A}/s-cat-aka.chosen/seed0/model.safetensors", **FIXED)
    record = read_json(folder / "run.json")
    assert record["split"] == "validation"
    assert len(record["robust"]) == 3
    assert record["robust"][record["member"]] == max(record["robust"])
    member = made("train", f"{RUNS}/{A}/s-cat-aka.s{record['member'] + 1}/seed0/model.safetensors", **FIXED)
    assert same(tensors(folder), tensors(member))


def test_the_joint_run_itself_is_evaluated_as_an_average(joint: Path) -> None:
    network = common.load(study(**FIXED), ROOT, Run(D, A, "s-cat-aka", 0), torch.device("cpu"))
    assert isinstance(network, Mixture)
    assert len(network.members) == 3


def test_alpha_of_a_joint_method_is_chosen_by_its_members_mean() -> None:
    for alpha in ("0.1", "0.5"):
        made("train", f"{RUNS}/{A}/s-cat-aka/seed0/alpha{alpha}/model.safetensors")
    folder = made("select", f"{RUNS}/{A}/s-cat-aka/choice.json")
    for entry in read_json(folder / "choice.json")["grid"]:
        assert entry["robust"] == pytest.approx(round(entry["robust"] * 48 / 100) * 100 / 48, abs=1e-3)  # of 3 x 16
    assert plan.tuned_run(study(), Run(D, A, "s-cat-aka.s2", 0)) == Run(D, A, "s-cat-aka", 0)
    assert plan.tuned_run(study(), Run(D, A, "en-sat", 0)) is None


# ---- tapes that share their teachers


@pytest.mark.parametrize(("name", "count"), [("x1-svgd", 1), ("x2-svgd", 2), ("x3-pgd", 3)])
def test_where_the_kernel_is_the_identity_the_first_teachers_serve(tape: Path, name: str, count: int) -> None:
    """And they are what a recording of their own would be: bit for bit, in every epoch."""
    node = Tape(D, f"{TEACHER}-{name}", 0)
    shared = made("record", node.manifest(ROOT).as_posix())
    assert {path.name for path in shared.iterdir()} == {"manifest.json", "manifest.cost.json"}
    manifest = read_json(shared / "manifest.json")
    origin = {"of": f"../../{TEACHER}-x3-svgd/seed0/manifest.json", "sha256": sha256(tape / "manifest.json")}
    assert manifest["shared"] == origin | {"first": count}
    unshared = {method: {"ensemble": {"shares": None}} for method in METHODS_OF[name]}
    path = f"elsewhere/{node.manifest(ROOT)}"
    Path("elsewhere/results/smoke").mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        Path("elsewhere/results/smoke/data").symlink_to(Path(ROOT, "data").resolve())
    own = made("record", path, methods=unshared)
    for theirs, ours in zip(manifest["epochs"], read_json(own / "manifest.json")["epochs"], strict=True):
        alone = load_tensors(own / ours["file"])["train_adv"]
        lent = load_tensors(shared / theirs["file"])["train_adv"][:count]
        assert torch.equal(alone, lent)
    for index in range(count):
        assert same(
            load_tensors(next(own.glob(f"*/teacher{index}.safetensors"))),
            load_tensors(shared / manifest["teachers"][index]["file"]),
        )
    assert len(manifest["teachers"]) == count


METHODS_OF = {
    "x1-svgd": ["s-at-aka.n1"],
    "x2-svgd": ["s-at-aka.n2"],
    "x3-pgd": [f"{psi}-at-aka.pgd" for psi in "nlsp"],
}


def test_a_student_reads_the_first_teachers_of_a_shared_tape(tape: Path) -> None:
    made("record", f"{TAPES}/{TEACHER}-x1-svgd/seed0/manifest.json")
    shipped, node = study(), Tape(D, f"{TEACHER}-x1-svgd", 0)
    split = load_split(plan.data_file(ROOT, D, "train"), "train")
    reader = common.reader_of(shipped, ROOT, node, split)
    facts = datasets.find(D).specification
    view = views.view(0, 0, len(split), shift=facts.shift, flip=facts.flip)
    logits = reader.epoch(0, view, torch.device("cpu"))["train_adv"]
    assert logits.shape == (1, 24, 10)
    assert torch.equal(logits, load_tensors(next(tape.glob("*/epoch0000.safetensors")))["train_adv"][:1])


def test_particles_that_felt_each_other_are_not_shared(tape: Path) -> None:
    manifest = read_json(tape / "manifest.json")
    spoilt = tape.parent / "seed7"
    spoilt.mkdir()
    write_json(spoilt / "manifest.json", manifest | {"kernel_offdiagonal_max": 1e-30})
    assert not recorded.share(spoilt / "manifest.json", tape.parent / "seed8", 1, {})
    assert not (tape.parent / "seed8").exists()


@pytest.mark.parametrize(
    "overrides",
    [
        {"generators": {"svgd": {"bandwidth": "median"}}},
        {"generators": {"svgd": {"gradient_of": "ensemble"}}},
        {"generators": {"svgd": {"assignment": "shuffled"}}},
        {"generators": {name: {"assignment": "shuffled"} for name in ("svgd", "pgd")}},
        {"generators": {"pgd": {"steps": 3}}},
        {"generators": {"svgd": {"update": "raw"}, "pgd": {"update": "sign"}}},
        {"generators": {"pgd": {"clamp_start": False}}},
    ],
)
def test_generators_that_differ_share_nothing(overrides: dict[str, Any]) -> None:
    assert plan.source_of(study(**overrides), Tape(D, f"{TEACHER}-x3-pgd", 0)) is None


@pytest.mark.parametrize(("bandwidth", "shares"), [("median", False), (0.5, False), (1e-3, True), (1e-4, True)])
def test_a_wider_kernel_shares_no_tape_of_a_narrower_one(bandwidth: object, shares: bool) -> None:
    """Particles that felt nothing at sigma = 1e-3 may feel each other at 0.5."""
    ensemble = {"generator": "other", "n": 2, "shares": {"generator": "svgd", "n": 3}}
    changed = study(
        generators={"other": {"like": "svgd", "bandwidth": bandwidth}},
        methods={"s-at-aka.other": {"like": "s-at-aka", "ensemble": ensemble}},
    )
    source = plan.source_of(changed, Tape(D, f"{TEACHER}-x2-other", 0))
    assert source == (Tape(D, f"{TEACHER}-x3-svgd", 0) if shares else None)


def test_only_smaller_or_other_ensembles_share() -> None:
    shipped = study()
    source = Tape(D, f"{TEACHER}-x3-svgd", 0)
    assert plan.source_of(shipped, source) is None
    assert plan.source_of(shipped, Tape(D, f"{TEACHER}-x4-svgd", 0)) is None
    assert plan.needs(shipped, Tape(D, f"{TEACHER}-x2-svgd", 0)) == [source]


# ---- networks of others


@pytest.fixture
def foreign(tmp_path: Path) -> dict[str, Any]:
    """Our network as others save theirs, and the configuration that takes it in."""
    torch.manual_seed(1)
    state = networks.build(A, datasets.find(D).specification, device=torch.device("cpu")).state_dict()
    path = tmp_path / "published.pt"
    torch.save({"state_dict": {f"module.{name}": tensor for name, tensor in state.items()}}, path)
    entry = {"dataset": D, "arch": A, "path": str(path), "sha256": sha256(path)}
    return {"methods": {"published": {"label": "Published", "checkpoints": [entry]}}}


def test_a_published_network_becomes_a_run_and_is_evaluated(foreign: dict[str, Any]) -> None:
    folder = made("train", f"{RUNS}/{A}/published/seed0/model.safetensors", **foreign)
    loaded = torch.load(foreign["methods"]["published"]["checkpoints"][0]["path"], weights_only=True)["state_dict"]
    assert same(tensors(folder), {name.removeprefix("module."): tensor for name, tensor in loaded.items()})
    cell = Cell(D, A, "published", 0, "clean")
    made("evaluate", cell.csv(ROOT).as_posix(), **foreign)
    assert read_rows(cell.csv(ROOT))[0]["n"] == "12"


def test_a_published_network_can_be_the_teacher(foreign: dict[str, Any]) -> None:
    entry = foreign["methods"]["published"]["checkpoints"][0]
    overrides = layers.overlay(
        foreign,
        {"stand_ins": {"wrn34-10": A}, "methods": {"en-rslad": {"teachers": {"robust": "published"}}}},
    )
    made("train", f"{RUNS}/{A}/published/seed0/model.safetensors", **overrides)
    made("train", f"{RUNS}/{A}/en-rslad/seed0/model.safetensors", **overrides)
    run = Run(D, A, "en-rslad", 0)
    settings = plan.run_settings(study(**overrides), run)
    assert settings["frozen"]["robust"]["checkpoints"] == [entry["sha256"]]
    assert str(entry["path"]) not in json.dumps(settings)  # where a file lies decides nothing


@pytest.mark.parametrize("members", [1, 2])
def test_a_network_is_evaluated_behind_the_normalisation_that_its_entry_states(
    foreign: dict[str, Any], members: int
) -> None:
    entry = foreign["methods"]["published"]["checkpoints"][0]
    settings = plan.run_settings(study(**foreign), Run(D, A, "published", 0))
    assert settings["checkpoints"] == [entry["sha256"]]
    entry["normalise"] = {"mean": [0.4], "std": [0.2]}
    foreign["methods"]["published"] |= {"members": members, "checkpoints": [entry] * members}
    run = Run(D, A, "published", 0)
    assert (
        plan.run_settings(study(**foreign), run)["checkpoints"]
        == [{"sha256": entry["sha256"], "normalise": {"mean": [0.4], "std": [0.2]}}] * members
    )
    for part in plan.members(study(**foreign), run):
        made("train", part.model(ROOT).as_posix(), **foreign)
    made("train", run.model(ROOT).as_posix(), **foreign)
    network = common.load(study(**foreign), ROOT, run, torch.device("cpu"))
    inner = networks.build(A, datasets.find(D).specification, device=torch.device("cpu")).eval()
    checkpoints.load(entry["path"], sha256=entry["sha256"], network=inner)
    x = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = inner((x - 0.4) / 0.2)
        expected = expected.log_softmax(1) if members > 1 else expected
        torch.testing.assert_close(network(x), expected)
    cell = Cell(D, A, "published", 0, "clean")
    made("evaluate", cell.csv(ROOT).as_posix(), **foreign)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sha256": "0" * 64}, "0000000000"),
        ({"weights": "ema"}, "holds no weights called 'ema'; known: state_dict"),
        ({"path": "nowhere.pt"}, "nowhere.pt"),
        ({"arch": "resnet18"}, "methods.published.checkpoints: 0 for resnet10-w8 on digits, but members is 1"),
    ],
)
def test_another_file_is_refused(
    foreign: dict[str, Any], change: dict[str, str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    foreign["methods"]["published"]["checkpoints"][0] |= change
    assert ataka("train", f"{RUNS}/{A}/published/seed1/model.safetensors", **foreign) == 2
    assert said in capsys.readouterr().err
    assert not Path(f"{RUNS}/{A}/published/seed1").exists()


# ---- Table 1's measurements


def test_particles_are_measured_an_image_a_row() -> None:
    made("train", f"{RUNS}/{A}/natural/seed0/model.safetensors")
    rows: dict[str, list[dict[str, str]]] = {}
    for generator in ("pgd", "svgd", "svgd-median"):
        node = Particles(D, A, "natural", 0, generator)
        made("particles", node.csv(ROOT).as_posix())
        rows[generator] = read_rows(node.csv(ROOT))
    measured = ("l1", "l2", "linf", "ce_mean", "ce_std", "ce_max")
    assert [[row[name] for name in measured] for row in rows["pgd"]] == [
        [row[name] for name in measured] for row in rows["svgd"]
    ]
    assert rows["svgd"] != rows["svgd-median"]
    assert [row["image"] for row in rows["pgd"]] == ["0", "1", "2"]
    assert {row["config_sha256"] for row in rows["svgd"]} == {
        plan.digest(plan.particles_settings(study(), Particles(D, A, "natural", 0, "svgd")))
    }


def test_an_unknown_generator_gets_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    assert ataka("particles", Particles(D, A, "natural", 0, "svdg").csv(ROOT).as_posix()) == 2
    assert "no generator 'svdg' in config/; did you mean 'svgd'" in capsys.readouterr().err


# ---- what differs for a data set or a network


def test_table_4s_set_up_is_marts_for_each_network() -> None:
    paper = config.load("paper")
    small, wide = (paper.setup("table4", "cifar10", arch) for arch in ("resnet18", "wrn34-10"))
    assert (small.learning_rate, small.weight_decay) == (0.01, 3.5e-3)
    assert (wide.learning_rate, wide.weight_decay) == (0.1, 7e-4)
    assert small.epochs == wide.epochs == 120
    assert config.options(paper, "en-mart.t4", "cifar10", "resnet18").beta == 5
    assert config.options(paper, "en-mart.t4", "cifar10", "wrn34-10").beta == 6
    scales = [config.options(paper, "en-rslad", dataset, "resnet18").scale for dataset in ("cifar10", "cifar100")]
    assert scales == [1, 10]


def test_a_difference_reaches_the_stand_in() -> None:
    demo = config.load("demo")
    assert demo.setup("table4", "digits", "wrn10-1").learning_rate == 0.1
    assert demo.setup("table4", "digits", "resnet10-w8").learning_rate == 0.01
    assert config.options(demo, "en-rslad", "digits", "resnet10-w8").scale == 1


def test_set_ups_of_one_method_are_two_runs() -> None:
    paper = config.load("paper")
    own, fourth = (plan.run_settings(paper, Run("cifar10", "resnet18", name, 0)) for name in ("en-sat", "en-sat.t4"))
    assert own["setup"] != fourth["setup"]
    assert own["options"] == fourth["options"]


@pytest.mark.parametrize("overrides", [{"arch": "resnet9"}, {"method": "natrual"}])
def test_table_1s_networks_are_known(overrides: dict[str, str]) -> None:
    network = {"arch": A, "method": "natural"} | overrides
    with pytest.raises(config.UserError, match="did you mean"):
        study(particles={"networks": [network]})
