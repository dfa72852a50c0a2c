"""Are a job's passes and a tape's bytes those that one counts by hand?"""

import itertools
from typing import Any

import pytest

from ataka import plan
from ataka.files import tape
from ataka.models.operations import multiply_accumulates
from ataka.plan import Cell, Exchange, Particles, Run, Shard, Tape, Work
from ataka.study import config
from ataka.study.fields import number

D, A, T = "digits", "resnet10-w8", "wrn10-1"
TAPE = Tape(D, "wrn10-1-x3-svgd", 0)
WATCHED = 64 + 64
"""Training and validation images that a network is shown as an epoch of smoke ends."""
PROBE = 64 * (2 * 1 + 2)
"""Forwards of the probe: one step, and two looks."""


def study(**overrides: Any) -> config.Study:
    return config.load("smoke", overrides)


def work(node: Any, **overrides: Any) -> dict[tuple[str, str], tuple[float, float]]:
    """Forwards of images and of batches, by kind and network, of 64 training images in batches of 16."""
    found: dict[tuple[str, str], tuple[float, float]] = {}
    for one in plan.work_of(study(**overrides), node):
        before = found.get((one.kind, one.arch), (0.0, 0.0))
        found[one.kind, one.arch] = before[0] + one.forwards, before[1] + one.calls
    return found


@pytest.mark.parametrize(
    ("node", "attacks", "updates"),
    [
        # 3 teachers, 2 steps of 2 forwards, an update of 3; 4 batches
        (TAPE, (64 * 3 * 4 + 3 * (WATCHED + PROBE), 4 * 3 * 4 + 3 * (2 + 4)), (64 * 3 * 3, 4 * 3 * 3)),
        # each of them at every particle
        (
            Tape(D, "wrn10-1-x3-svgd-median", 0),
            (64 * 9 * 4 + 3 * (WATCHED + PROBE), 4 * 9 * 4 + 3 * (2 + 4)),
            (64 * 3 * 3, 4 * 3 * 3),
        ),
        (
            Tape(D, "wrn10-1-x3-svgd-median-particle", 0),
            (64 * 3 * 4 + 3 * (WATCHED + PROBE), 4 * 3 * 4 + 3 * (2 + 4)),
            (64 * 3 * 3, 4 * 3 * 3),
        ),
        (Run(D, A, "natural", 0), (WATCHED, 2), (64 * 3, 4 * 3)),
        (Run(D, A, "en-sat", 0, "member1"), (64 * 4 + WATCHED + PROBE, 4 * 4 + 2 + 4), (64 * 3, 4 * 3)),
        (Run(D, A, "s-at-aka", 0, "alpha0.1"), (WATCHED, 2), (64 * 3, 4 * 3)),
        (Run(D, A, "s-at-aka", 1), (WATCHED, 2), (64 * 3, 4 * 3)),  # trained under the alpha that was chosen
    ],
    ids=str,
)
def test_a_trainings_passes(node: Any, attacks: tuple[float, float], updates: tuple[float, float]) -> None:
    arch = T if isinstance(node, Tape) else node.arch
    assert work(node) == {("attack", arch): attacks, ("update", arch): updates}


@pytest.mark.parametrize(
    "node",
    [
        Run(D, A, "en-sat", 0),  # joined
        Run(D, A, "s-at-aka", 0),  # adopted
        Run(D, A, "s-cat-aka.s1", 0),  # taken from the joint run
        Tape(D, "wrn10-1-x1-svgd", 0),  # shared
    ],
    ids=str,
)
def test_what_is_made_of_others_passes_nothing(node: Any) -> None:
    assert plan.work_of(study(), node) == []


def test_a_distilled_student_pays_for_what_its_teachers_say() -> None:
    passes = work(Run(D, A, "en-rslad", 0))
    assert passes["attack", T] == (64 * 3, 4 * 3)  # three networks that TRADES trained
    assert passes["attack", A] == (64 * 4 + WATCHED + PROBE, 4 * 4 + 2 + 4)


def test_teachers_pay_for_each_part_and_for_attacks_that_follow_them() -> None:
    two = [one for one in plan.work_of(study(), Run(D, A, "mtard", 0)) if one.forwards in (64 * 3, 64 * 1)]
    assert [(one.kind, one.calls) for one in two if one.arch != A] == [("attack", 4 * 3), ("attack", 4 * 1)]
    attacked = work(Run(D, A, "adaad", 0))["attack", T]  # attacked with the student: two steps, and two looks
    assert attacked == (64 * 3 * (2 * 2 + 2), 4 * 3 * (2 * 2 + 2))


def test_the_chosen_member_is_found_by_the_selections_attack() -> None:
    assert work(Run(D, A, "s-cat-aka.chosen", 0)) == {("attack", A): (3 * 64 * (5 + 1), 3 * (5 + 1))}


def test_alpha_is_chosen_by_an_attack_on_each_candidate() -> None:
    (chosen,) = plan.selection_work(study(), Run(D, A, "s-at-aka", 0))
    assert chosen == Work("attack", A, D, 2 * 64 * (5 + 1), 2 * (5 + 1))


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (Cell(D, A, "natural", 0, "pgd"), (16 * 5, 5)),
        (Cell(D, A, "en-sat", 0, "pgd"), (3 * 16 * 5, 3 * 5)),
        (Cell(D, A, "natural", 0, "clean"), (16, 1)),
        (Particles(D, A, "natural", 0, "svgd"), (4 * 4 * (2 * 2 + 2), 4 * 6)),
        (Particles(D, A, "en-sat", 0, "svgd"), (3 * 4 * 4 * (2 * 2 + 2), 3 * 4 * 6)),
    ],
    ids=str,
)
def test_an_evaluations_passes(node: Any, expected: tuple[float, float]) -> None:
    assert work(node) == {("attack", A): expected}


def test_a_larger_test_set_comes_in_more_batches() -> None:
    cell = Cell(D, A, "natural", 0, "pgd")
    assert work(cell, data={"test": 128})["attack", A] == (128 * 5, 5)
    assert work(cell, data={"test": 129})["attack", A] == (129 * 5, 2 * 5)


def test_autoattack_calls_a_chunk_for_as_long_as_an_image_stands() -> None:
    standard = {"version": "standard", "iterations": None, "target_classes": None, "queries": None}
    cell = Cell(D, A, "natural", 0, "aa")
    forwards, calls = work(cell, attacks={"aa": {**standard, "chunk": 8}})["attack", A]
    assert calls == 2 * 10_000
    assert 16 * 150 < forwards < 16 * 10_000
    assert work(cell, attacks={"aa": {**standard, "images": 8}})["attack", A] == (forwards / 2, calls / 2)
    assert forwards > 100 * work(Cell(D, A, "natural", 0, "pgd"))["attack", A][0]


@pytest.mark.parametrize("of", [2, 3, 4])
def test_shards_have_the_passes_of_their_cell(of: int) -> None:
    cut = {"attacks": {"aa": {"chunk": 5}}}
    whole = work(Cell(D, A, "en-sat", 0, "aa"), **cut)["attack", A]
    shares = [work(Shard(D, A, "en-sat", 0, "aa", index, of), **cut)["attack", A] for index in range(1, of + 1)]
    assert tuple(map(sum, zip(*shares, strict=True))) == pytest.approx(whole)
    assert work(Cell(D, A, "en-sat", 0, "aa"), **cut, shards={"aa": of}) == {}


def test_training_on_all_images_costs_those_that_validation_holds_out_too() -> None:
    everything = work(Run(D, A, "natural", 0), setups={"natural": {"images": "all"}})
    assert everything["update", A] == ((64 + 64) * 3, 8 * 3)


@pytest.mark.parametrize(
    ("option", "forwards"),
    [({"awp": {"gamma": 0.01}}, 6), ({"awp": {"gamma": 0.01, "begin": "1/2"}}, 4.5), ({"swa": {"begin": "3/4"}}, 3.25)],
)
def test_perturbed_weights_cost_another_update_and_averaged_ones_a_pass(option: Any, forwards: float) -> None:
    changed = work(Run(D, A, "natural", 0), setups={"natural": option})
    assert changed["update", A] == (64 * forwards, 4 * forwards)


def test_a_loss_of_two_images_costs_two_updates_and_their_perturbation_two_more() -> None:
    update = 3 * (2 + 1 / 3)
    assert work(Run(D, A, "en-trades", 0, "member0"))["update", A] == pytest.approx((64 * update, 4 * update))
    once, twice = (
        work(Run(D, A, name, 0, "member0" if study().method(name).members > 1 else ""))["update", A][0]
        for name in ("en-trades", "trades-awp")
    )
    awp = study().setup(study().method("trades-awp").setup, D, A).awp
    assert awp
    assert twice == pytest.approx(once * (1 + awp.steps * (1 - number(awp.begin))))


def test_training_beside_teachers_costs_them_too() -> None:
    online = {"like": "s-at-aka", "online": True, "alpha": 0.5}
    beside = work(Run(D, A, "s-at-aka.online", 0), methods={"s-at-aka.online": online})
    assert beside == work(Run(D, A, "s-at-aka", 1)) | work(TAPE)


def test_precision_goes_with_the_part_of_a_training() -> None:
    half = study(setups={"table2": {"precision": {"generate": "bfloat16"}}})
    generated, updated, watched = plan.work_of(half, TAPE)
    assert (generated.precision, updated.precision, watched.precision) == ("bfloat16", "float32", "float32")


@pytest.mark.parametrize(
    ("generator", "shares"),
    [
        ({}, [2 / 3, 2 / 3, 1]),  # the watched images are shown by the first process
        ({"gradient_of": "ensemble"}, [1, 2 / 3, 1]),  # which has a gradient through all teachers, too
    ],
)
def test_the_first_of_two_processes_computes_two_of_three_teachers(
    generator: dict[str, Any], shares: list[float]
) -> None:
    works = plan.work_of(study(generators={"svgd": generator}), TAPE)
    assert [work.busiest(1) for work in works] == [1, 1, 1]
    assert [work.busiest(2) for work in works] == shares
    assert works[1].busiest(3) == works[1].busiest(4) == 1 / 3


@pytest.mark.parametrize(
    ("node", "changes", "images"),
    [
        # image, 3 starts, 3 gradients in each of 2 steps, 3 particles
        (TAPE, {}, 1 + 3 + 3 * 2 + 3),
        # gradients of each network at each particle
        (Tape(D, "wrn10-1-x3-svgd-median", 0), {}, 1 + 3 + 9 * 2 + 3),
        # the particles themselves, once
        (TAPE, {"kind": "pgd"}, 1 + 3 + 3 + 3),
        (TAPE, {"gradient_of": "ensemble"}, 3),
    ],
    ids=str,
)
def test_an_exchange_by_hand(node: Tape, changes: dict[str, Any], images: int) -> None:
    """The weights go to another process and their gradients come back, in each of 4 steps."""
    asked = study(generators={"svgd": changes})
    assert plan.exchange_of(asked, node) == Exchange(T, D, 3, 2 * 4, 64 * images)


def test_an_exchange_is_with_the_networks_of_other_processes() -> None:
    exchange = plan.exchange_of(study(), TAPE)
    assert exchange
    assert [exchange.elsewhere(processes) for processes in (1, 2, 3, 4)] == [0, 1, 2, 2]
    assert plan.exchange_of(study(), Tape(D, "wrn10-1-x1-svgd", 0)) is None  # shared


def test_networks_that_train_together_are_shared_out() -> None:
    students = Run(D, A, "s-cat-aka", 0, "alpha0.1")
    assert [work.busiest(3) for work in plan.work_of(study(), students)] == [1 / 3, 1 / 3, 1]
    assert plan.exchange_of(study(), students) == Exchange(A, D, 3, 2 * 4, 64 * (1 + 3 + 3 * 2 + 3))
    online = Run(D, A, "s-at-aka.input-adv", 0, "alpha0.1")
    shares = {(work.kind, work.arch): work.busiest(3) for work in plan.work_of(study(), online) if work.networks > 1}
    assert shares == {("attack", T): 1 / 3, ("update", T): 1 / 3}
    assert plan.exchange_of(study(), online) == plan.exchange_of(study(), TAPE)
    assert plan.exchange_of(study(), Run(D, A, "en-sat", 0, "member0")) is None


def test_perturbed_weights_pass_once_more() -> None:
    asked = study(setups={"table2": {"awp": {"gamma": 0.01, "steps": 2, "begin": "1/4"}}})
    exchange = plan.exchange_of(asked, TAPE)
    assert exchange
    assert exchange.weights == 2 * 4 * (1 + 2 * 3 / 4)


def test_without_a_cut_the_data_sets_own_size_counts() -> None:
    full = {"train": None, "test": None, "validation": 437}
    assert work(Run(D, A, "natural", 0), data=full)["update", A] == (1000 * 3, 63 * 3)
    assert work(Cell(D, A, "natural", 0, "pgd"), data=full)["attack", A] == (360 * 5, 3 * 5)


def test_a_tapes_bytes_are_those_of_its_epochs() -> None:
    changed = study(setups={"table2": {"epochs": 3}}, generators={"svgd": {"channels": ["train_adv", "eval_adv"]}})
    assert plan.tape_bytes(study(), TAPE) == tape.size(1, 3, 64, 10) == 64 * 3 * 10 * 4
    assert plan.tape_bytes(changed, TAPE) == 3 * tape.size(2, 3, 64, 10)
    assert plan.tape_bytes(study(), Tape(D, "wrn10-1-x1-svgd", 0)) == 0  # shared


def test_the_papers_tapes_hold_18_gigabytes_a_seed() -> None:
    paper = config.load()
    tapes = [Tape("cifar10", "wrn34-10-x3-svgd", 0), Tape("cifar100", "wrn70-16-x3-svgd", 0)]
    assert sum(plan.tape_bytes(paper, one) for one in tapes) == 300 * 45_000 * 3 * (10 + 100) * 4


def test_at_the_papers_scale_the_teachers_are_over_95_per_cent_of_a_tables_training() -> None:
    """One tape, and a student for each amalgamation and alpha, counted by multiply-accumulates."""
    paper = config.load()

    def operations(node: Tape | Run) -> float:
        return sum(
            one.forwards * multiply_accumulates(one.arch, classes=10, channels=3, size=32)
            for one in plan.work_of(paper, node)
        )

    alphas = [f"alpha{alpha}" for alpha in paper.selection.alphas]
    students = [
        Run("cifar10", "resnet18", f"{psi}-at-aka", 0, alpha) for psi, alpha in itertools.product("nlsp", alphas)
    ]
    recorded = operations(Tape("cifar10", "wrn34-10-x3-svgd", 0))
    assert len(students) == 20
    assert round(100 * recorded / (recorded + sum(map(operations, students)))) == 96
