"""Does every artifact have one path, and do its settings hold what decides its bytes and nothing else?"""

import importlib
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ataka import plan
from ataka.errors import UserError
from ataka.files import formats
from ataka.plan import Cell, Run, Shard, Tape
from ataka.study import config

DATASET, ARCH = "digits", "resnet10-w8"
METHODS = ("natural", "en-sat", "n-at-aka", "l-at-aka", "s-at-aka", "p-at-aka")
ATTACKS = ("clean", "fgsm", "pgd", "aa")
TAPE = "wrn10-1-x3-svgd"


def study(**overrides: Any) -> config.Study:
    return config.load("smoke", overrides)


def path_of(node: Tape | Run | Cell | Shard, root: str) -> str:
    if isinstance(node, Shard):
        return node.file(root).as_posix()
    if isinstance(node, Tape):
        return node.manifest(root).as_posix()
    return (node.model(root) if isinstance(node, Run) else node.csv(root)).as_posix()


# ---- paths


def test_paths_are_the_contract() -> None:
    run, root = Run("cifar10", "resnet18", "s-at-aka", 2), "results/demo"
    assert Tape("cifar10", "wrn34-10-x3-svgd", 2).manifest(root).as_posix() == (
        "results/demo/tapes/cifar10/wrn34-10-x3-svgd/seed2/manifest.json"
    )
    assert run.model(root).as_posix() == "results/demo/runs/cifar10/resnet18/s-at-aka/seed2/model.safetensors"
    part = Run("cifar10", "resnet18", "s-at-aka", 2, "alpha0.5")
    assert part.model(root).as_posix() == "results/demo/runs/cifar10/resnet18/s-at-aka/seed2/alpha0.5/model.safetensors"
    assert run.choice(root) == part.choice(root)
    assert run.choice(root).as_posix() == "results/demo/runs/cifar10/resnet18/s-at-aka/choice.json"
    cell = Cell("cifar10", "resnet18", "s-at-aka", 2, "pgd")
    assert cell.csv(root).as_posix() == "results/demo/cells/cifar10/resnet18/s-at-aka/seed2/pgd.csv"
    assert cell.bits(root).as_posix() == "results/demo/cells/cifar10/resnet18/s-at-aka/seed2/pgd.bits.npy"
    assert cell.run == run


@pytest.mark.parametrize(
    ("attack", "asked", "images", "of"),
    [
        ("aa", {}, {}, 1),
        ("aa", {"aa": 1}, {}, 1),
        ("aa", {"aa": 3}, {}, 3),
        ("aa", {"aa": 9}, {}, 4),  # at most one for each of four chunks
        ("aa", {"aa": 9}, {"images": 5}, 2),
        ("fog", {"aa": 3}, {}, 1),
        ("pgd", {"aa": 3}, {}, 1),
    ],
)
def test_a_cell_has_as_many_shards_as_are_asked_for_and_as_its_chunks_allow(
    attack: str, asked: dict[str, int], images: dict[str, int], of: int
) -> None:
    cell = Cell(DATASET, ARCH, "natural", 0, attack)
    cut = study(shards=asked, attacks={"aa": {"chunk": 4, **images}})
    shards = [Shard(DATASET, ARCH, "natural", 0, attack, index, of) for index in range(1, of + 1)]
    assert plan.shards_of(cut, cell) == (shards if of > 1 else [])
    assert plan.digest(plan.settings_of(cut, cell)) == plan.digest(
        plan.settings_of(study(attacks={"aa": {"chunk": 4, **images}}), cell)
    )
    for shard in shards if of > 1 else []:
        plan.require_known(cut, shard)
        assert plan.settings_of(cut, shard) == plan.settings_of(cut, cell)
        assert plan.code_of(cut, shard) == plan.code_of(cut, cell)


NAME = st.from_regex(r"[a-z0-9][a-z0-9-]{0,8}(\.[a-z0-9-]{1,4})?", fullmatch=True)
ARCHS = st.one_of(NAME, st.from_regex(r"timm/[a-z0-9_]{1,9}", fullmatch=True))
PARTS = st.one_of(
    st.just(""), st.integers(0, 9).map("member{}".format), st.sampled_from([0, 0.02, 0.5, 1]).map("alpha{:g}".format)
)
SEEDS = st.integers(0, 10**6)
NODES = st.one_of(
    st.builds(Tape, NAME, NAME, SEEDS),
    st.builds(Run, NAME, ARCHS, NAME, SEEDS, PARTS),
    st.builds(Cell, NAME, ARCHS, NAME, SEEDS, NAME),
    st.builds(Shard, NAME, ARCHS, NAME, SEEDS, NAME, st.integers(1, 9999), st.integers(1, 9999)),
)


@given(NODES, st.sampled_from(["results", "results/demo", "/abs/olute/results/smoke"]))
def test_parse_inverts_every_path(node: Tape | Run | Cell | Shard, root: str) -> None:
    assert plan.parse(path_of(node, root)) == (root, node)


@pytest.mark.parametrize("scale", ["paper", "demo", "smoke"])
def test_parse_inverts_the_paths_of_whole_studies(scale: str) -> None:
    shipped = config.load(scale)
    dataset = "digits" if scale != "paper" else "cifar10"
    cells = [
        Cell(dataset, arch, method, 0, attack)
        for method in METHODS
        for attack in ATTACKS
        for arch in (ARCH, "timm/test_resnet")
    ]
    nodes = behind(shipped, cells)
    assert {type(node) for node in nodes} == {Tape, Run, Cell}
    root = plan.root_of(scale)
    for node in nodes:
        assert plan.parse(path_of(node, root)) == (root, node)
    assert len({path_of(node, root) for node in nodes}) == len(nodes)


@pytest.mark.parametrize(
    "path",
    [
        "results",
        "results/table2.tex",
        "results/runs/digits/resnet18/natural/seed0",
        "results/runs/digits/resnet18/natural/seed0/history.csv",
        "results/runs/digits/resnet18/natural/seedx/model.safetensors",
        "results/runs/digits/resnet18/natural/seed-1/model.safetensors",
        "results/runs/digits/resnet18/natural/seed٣/model.safetensors",
        "results/runs/digits/natural/seed0/model.safetensors",
        "results/runs/digits/other/resnet18/natural/seed0/model.safetensors",
        "results/runs/digits/resnet18/s-at-aka/seed0/alpha/model.safetensors",
        "results/runs/digits/resnet18/s-at-aka/seed0/alpha1.2.3/model.safetensors",
        "results/runs/digits/resnet18/s-at-aka/seed0/alpha1./model.safetensors",
        "results/runs/digits/resnet18/s-at-aka/seed0/beta1/model.safetensors",
        "results/smokeruns/digits/resnet18/natural/seed0/model.safetensors",
        "results/cells/digits/resnet18/natural/seed0/pgd.bits.npy",
        "results/cells/digits/resnet18/natural/seed0/aa.0of3.safetensors",
        "results/cells/digits/resnet18/natural/seed0/aa.1of03.safetensors",
        "results/tapes/digits/x/seed0/epoch0000.safetensors",
    ],
)
def test_a_path_that_is_no_artifact_is_a_user_error(path: str) -> None:
    with pytest.raises(UserError, match=f"'{re.escape(path)}' is no artifact of a study; such are ROOT/tapes/"):
        plan.parse(path)


@pytest.mark.parametrize("scale", config.scales())
def test_a_root_is_a_scale(scale: str) -> None:
    assert plan.scale_of(plan.root_of(scale)) == scale
    assert plan.root_of("paper") == "results"


def test_parts_tell_what_they_are() -> None:
    parts = [Run("d", "a", "m", 0, part) for part in ("", "member2", "alpha0.02")]
    assert [(run.member, run.alpha) for run in parts] == [(None, None), (2, None), (None, 0.02)]


# ---- what hangs together


def behind(given_study: config.Study, cells: list[Cell]) -> list[Tape | Run | Cell]:
    """Every artifact behind the cells, each once, in the order in which it can be made."""
    found: list[Tape | Run | Cell] = []

    def visit(node: Tape | Run | Cell) -> None:
        needed = (
            [node.run] if isinstance(node, Cell) else plan.needs(given_study, node) if isinstance(node, Run) else []
        )
        for below in needed:
            visit(below)
        found.extend([] if node in found else [node])

    for cell in cells:
        visit(cell)
    return found


def test_a_cell_needs_all_that_is_behind_it_in_order() -> None:
    nodes = behind(study(), [Cell(DATASET, ARCH, "s-at-aka", 0, "pgd"), Cell(DATASET, ARCH, "p-at-aka", 0, "aa")])
    tapes = [node for node in nodes if isinstance(node, Tape)]
    assert tapes == [Tape(DATASET, TAPE, 0)]  # one tape for both
    assert len([node for node in nodes if isinstance(node, Run)]) == 6  # 2 candidates and the run, twice
    assert len(nodes) == 9


def test_alpha_is_chosen_on_the_first_seed_only() -> None:
    two = study(seeds=[4, 7])
    run = Run(DATASET, ARCH, "s-at-aka", 7)
    assert {candidate.seed for candidate in plan.candidates(two, run)} == {4}
    assert [candidate.part for candidate in plan.candidates(two, run)] == ["alpha0.1", "alpha0.5"]
    assert plan.needs(two, run)[-1] == Tape(DATASET, TAPE, 7)
    assert Tape(DATASET, TAPE, 4) in behind(two, [Cell(DATASET, ARCH, "s-at-aka", 7, "pgd")])


def test_an_average_needs_its_members_and_no_tape() -> None:
    needed = plan.needs(study(), Run(DATASET, ARCH, "en-sat", 0))
    assert [run.part for run in needed] == ["member0", "member1", "member2"]
    assert all(plan.needs(study(), run) == [] for run in needed)


def test_training_beside_the_teachers_needs_no_tape() -> None:
    online = {"like": "s-at-aka", "online": True, "alpha": 0.5, "options": {"input": "adversarial"}}
    variant = study(methods={"s-at-aka.adv": online})
    run = Run(DATASET, ARCH, "s-at-aka.adv", 0)
    assert plan.tape_of(variant, run) is None
    assert plan.needs(variant, run) == []
    settings = plan.run_settings(variant, run)
    assert settings["teachers"] == plan.tape_settings(variant, Tape(DATASET, TAPE, 0))
    assert "tape" not in settings


def test_ensembles_are_named_for_what_they_are() -> None:
    setup = {"epochs": 1, "batch_size": 4, "learning_rate": 0.1, "momentum": 0, "weight_decay": 0, "milestones": []}
    variant = study(
        setups={"table4": setup},
        generators={"pgd": {"step_size": "1/255", "steps": 1}},
        methods={
            "s-at-aka.n1": {"like": "s-at-aka", "ensemble": {"n": 1}},
            "s-at-aka.t4": {"like": "s-at-aka", "ensemble": {"setup": "table4"}},
            "s-at-aka.pgd": {"like": "s-at-aka", "ensemble": {"generator": "pgd"}},
        },
    )
    names = [
        plan.tape_of(variant, Run(DATASET, ARCH, f"s-at-aka{suffix}", 0)).ensemble
        for suffix in ("", ".n1", ".t4", ".pgd")
    ]
    assert names == [TAPE, "wrn10-1-x1-svgd", "wrn10-1-x3-svgd.table4", "wrn10-1-x3-pgd"]
    for name, n in zip(names, (3, 1, 3, 3), strict=True):
        assert plan.ensemble_of(variant, Tape(DATASET, name, 0)).n == n
    with pytest.raises(
        UserError, match=r"no method has the ensemble 'wrn10-1-x3-svdg'; did you mean 'wrn10-1-x3-svgd'"
    ):
        plan.ensemble_of(variant, Tape(DATASET, "wrn10-1-x3-svdg", 0))


# ---- what decides an artifact's bytes


def digests(**overrides: Any) -> dict[str, str]:
    """The digest of every kind of artifact, by name."""
    given_study = study(**overrides)
    found = {"tape": plan.digest(plan.tape_settings(given_study, Tape(DATASET, TAPE, 0)))}
    for method in METHODS:
        run = Run(DATASET, ARCH, method, 0)
        found[method] = plan.digest(plan.run_settings(given_study, run))
        for attack in ATTACKS:
            found[f"{method} {attack}"] = plan.digest(
                plan.cell_settings(given_study, Cell(DATASET, ARCH, method, 0, attack))
            )
    for part in ("alpha0.1", "alpha0.5"):
        found[f"s {part}"] = plan.digest(plan.run_settings(given_study, Run(DATASET, ARCH, "s-at-aka", 0, part)))
    for part in ("member0", "member1"):
        found[f"sat {part}"] = plan.digest(plan.run_settings(given_study, Run(DATASET, ARCH, "en-sat", 0, part)))
    return found


REFERENCE = digests()
STUDENTS = {"n-at-aka", "l-at-aka", "s-at-aka", "p-at-aka"}


def with_cells(*methods: str) -> set[str]:
    return {*methods, *(f"{method} {attack}" for method in methods for attack in ATTACKS)}


S_PARTS, SAT_PARTS = {"s alpha0.1", "s alpha0.5"}, {"sat member0", "sat member1"}
EVERYTHING = set(REFERENCE)
CHANGES: dict[str, tuple[dict[str, Any], set[str]]] = {
    "nothing": ({}, set()),
    "an attack's steps": ({"attacks": {"pgd": {"steps": 9}}}, {f"{method} pgd" for method in METHODS}),
    "an attack's images": ({"attacks": {"aa": {"images": 8}}}, {f"{method} aa" for method in METHODS}),
    "a new attack": ({"attacks": {"pgd50": {"kind": "pgd", "step_size": "1/255", "steps": 50}}}, set()),
    "a student's beta": (
        {"methods": {"s-at-aka": {"options": {"psi": {"beta": 2.0}}}}},
        with_cells("s-at-aka") | S_PARTS,
    ),
    "a student's set-up": (
        {"setups": {"natural": {"learning_rate": 0.2}}, "methods": {"p-at-aka": {"setup": "natural"}}},
        with_cells("p-at-aka", "natural"),
    ),
    "the teachers' set-up": (
        {"setups": {"table2": {"learning_rate": 0.2}}},
        {"tape"} | with_cells(*STUDENTS) | S_PARTS,
    ),
    "the generator": ({"generators": {"svgd": {"gamma": 0.5}}}, {"tape"} | with_cells(*STUDENTS) | S_PARTS),
    "sat's steps": ({"methods": {"en-sat": {"options": {"steps": 3}}}}, with_cells("en-sat") | SAT_PARTS),
    "what is averaged": ({"methods": {"en-sat": {"average": "logits"}}}, with_cells("en-sat")),
    "more members": ({"methods": {"en-sat": {"members": 4}}}, with_cells("en-sat")),
    "the test cut": ({"data": {"test": 8}}, {f"{method} {attack}" for method in METHODS for attack in ATTACKS}),
    "the training cut": ({"data": {"train": 48}}, EVERYTHING),
    "the validation split": ({"data": {"split_seed": 1}}, EVERYTHING),
    "the candidates": ({"selection": {"alphas": [0.1, 0.7]}}, with_cells(*STUDENTS)),
    "how alpha is chosen": ({"selection": {"attack": {"steps": 7}}}, with_cells(*STUDENTS)),
    "labels": ({"methods": {name: {"label": "x"} for name in METHODS}}, set()),
    "about": ({"about": "another sentence"}, set()),
    "resources": ({"resources": {"train": {"mem_mb": 1, "runtime": 2, "gpu": 1}}}, set()),
    "the device": ({"device": "cpu", "without_gpu": "go-on", "threads": 2, "processes": 3}, set()),
    "the folder": ({"data": {"folder": "elsewhere"}}, set()),
    "more seeds": ({"seeds": [0, 1]}, set()),
    "the order of keys": ({"methods": {"en-sat": {"options": {"steps": 2, "step_size": "13/255"}}}}, set()),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_changes_what_depends_on_it_alone(name: str) -> None:
    overrides, expected = CHANGES[name]
    changed = {key for key, digest in digests(**overrides).items() if digest != REFERENCE[key]}
    assert changed == expected


def test_other_teachers_are_another_tape() -> None:
    other = study(stand_ins={"wrn34-10": "wrn16-1"})
    run = Run(DATASET, ARCH, "s-at-aka", 0)
    assert plan.tape_of(other, run) == Tape(DATASET, "wrn16-1-x3-svgd", 0)
    assert plan.digest(plan.run_settings(other, run)) != REFERENCE["s-at-aka"]


def test_one_eps_for_all_changes_all_but_natural_training_and_clean_cells() -> None:
    changed = {key for key, digest in digests(eps="4/255").items() if digest != REFERENCE[key]}
    assert EVERYTHING - changed == {"natural", "natural clean"}


def test_selected_by_test_accuracy_the_test_cut_matters() -> None:
    chosen = {"selection": {"split": "test"}}
    settings = [digests(**chosen, data={"test": count}) for count in (8, 12)]
    assert {
        name for name in ("natural", "s-at-aka", "tape", "s alpha0.1") if settings[0][name] != settings[1][name]
    } == {"s-at-aka"}


def test_seeds_parts_and_networks_are_different_artifacts() -> None:
    runs = [Run(DATASET, ARCH, "natural", 0), Run(DATASET, ARCH, "natural", 1), Run(DATASET, "resnet10", "natural", 0)]
    runs += plan.members(study(), Run(DATASET, ARCH, "en-sat", 0)) + plan.candidates(
        study(), Run(DATASET, ARCH, "s-at-aka", 0)
    )
    assert len({plan.digest(plan.run_settings(study(), run)) for run in runs}) == len(runs) == 8


METHOD = """
from ataka.study.fields import hyperparameters, reading


@hyperparameters
class Options:
    beta: float = 1.0
{switch}

def create(options):
    return None
"""
SWITCH = """
    pull: str = reading("{default}", id="C2", sentence="a pull", values="which way", neutral="in")
"""


@pytest.mark.parametrize(
    ("default", "given_options", "same"), [("in", {}, True), ("out", {}, False), ("out", {"pull": "in"}, True)]
)
def test_a_method_gains_a_switch(
    default: str, given_options: dict[str, str], same: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At its neutral value the switch leaves the digests of the results that were made before it existed."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def settings(switch: str, options: dict[str, str]) -> str:
        (tmp_path / "some_objective.py").write_text(METHOD.format(switch=switch))
        monkeypatch.delitem(sys.modules, "some_objective", raising=False)
        importlib.invalidate_caches()
        method = {"label": "x", "objective": "some_objective", "setup": "natural", "options": options}
        return plan.digest(plan.run_settings(study(methods={"mine": method}), Run(DATASET, ARCH, "mine", 0)))

    assert (settings(SWITCH.format(default=default), given_options) == settings("", {})) is same


def test_the_format_of_tapes_records_them_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "TAPE", formats.TAPE + 1)
    changed = {key for key, digest in digests().items() if digest != REFERENCE[key]}
    assert changed == {"tape"} | with_cells(*STUDENTS) | S_PARTS


def test_an_unknown_attack_gets_a_hint() -> None:
    with pytest.raises(UserError, match=r"no attack 'pdg' in the configuration; did you mean 'pgd'\?"):
        plan.cell_settings(study(), Cell(DATASET, ARCH, "natural", 0, "pdg"))


# ---- whose code decides an artifact's bytes


def test_code_follows_what_is_used() -> None:
    run = plan.run_code(study(), Run(DATASET, ARCH, "s-at-aka", 0))
    network = {"ataka.training", "ataka.training.probe", "ataka.networks", "ataka.models.resnet"}  # of teachers beside
    assert set(run) == network | {"ataka.objectives.at_aka", "ataka.psi.soft"}
    assert "baselines.sat" in plan.run_code(study(), Run(DATASET, ARCH, "en-sat", 0, "member0"))
    assert plan.tape_code(study(), Tape(DATASET, TAPE, 0))[-1] == "ataka.models.wide_resnet"
    assert plan.attack_code(study(), "fgsm") == ("ataka.evaluation", "ataka.attacks.fgsm")
    assert plan.attack_code(study(), "pgd")[1:] == ("ataka.attacks.pgd", "ataka.attacks.diagnostics")


def test_an_averages_code_holds_the_average() -> None:
    codes = [plan.run_code(study(), Run(DATASET, ARCH, "en-sat", 0, part)) for part in ("", "member0")]
    assert set(codes[0]) - set(codes[1]) == {"ataka.models.mixture"}


@pytest.mark.parametrize(("asked", "processes"), [(1, 1), (2, 2), (3, 3), (64, 3)])
def test_a_recording_has_at_most_one_process_a_teacher(asked: int, processes: int) -> None:
    assert plan.processes(study(processes=asked), Tape(DATASET, TAPE, 0)) == processes


@pytest.mark.parametrize(
    ("run", "networks"),
    [
        (Run(DATASET, ARCH, "s-cat-aka", 0, "alpha0.1"), 3),
        (Run(DATASET, ARCH, "s-cat-aka", 1), 3),  # trains under the alpha that was chosen
        (Run(DATASET, ARCH, "s-cat-aka", 0), 1),  # adopts its candidate
        (Run(DATASET, ARCH, "s-cat-aka.s1", 0), 1),
        (Run(DATASET, ARCH, "s-at-aka.input-adv", 0, "alpha0.1"), 3),
        (Run(DATASET, ARCH, "s-at-aka", 0, "alpha0.1"), 1),
        (Run(DATASET, ARCH, "en-sat", 0), 1),
        (Run(DATASET, ARCH, "en-sat", 0, "member0"), 1),
    ],
    ids=str,
)
def test_networks_that_train_together_may_have_a_process_each(run: Run, networks: int) -> None:
    assert plan.processes(study(), run) == 1
    assert plan.processes(study(processes=64), run) == networks
