"""Do several processes train the networks of one, and record its tape, bit for bit?"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ataka import streams, training
from ataka.attacks import acceleration
from ataka.datasets.images import to_unit
from ataka.files import tape
from ataka.machine import torchrun
from ataka.machine.ranks import Group
from ataka.objectives import at_aka, cat_aka
from ataka.objectives.teachers import Teachers
from ataka.stages import spread
from ataka.stages.spread import Spread, assist, shared_out
from ataka.study import Generator, Setup
from ataka.training import Diverged
from tests import dropout, tiny
from tests.together import together

Make = Callable[[int], nn.Module]
SEED, ALL = 5, ("train_adv", "eval_adv", "updated")
WIDE = {"bandwidth": 4.0}
GENERATORS: dict[str, dict[str, Any]] = {
    "pgd": {"kind": "pgd"},
    "svgd": {},
    "wide": WIDE,
    "median": {"bandwidth": "median"},
    "batch": {"bandwidth": "median", "interact": "batch", "one_over_n": "both"},
    "particle": WIDE | {"gradient_of": "particle", "loss": "mean"},
    "ensemble": WIDE | {"gradient_of": "ensemble"},
    "some": {"start": "gaussian", "bandwidth": 0.01, "steps": 3},
    "moving": WIDE | {"batchnorm": "train"},
    "raw": WIDE | {"update": "raw", "clamp_start": False, "repulsion": "towards"},
    "normalised": {"update": "normalised"},
    "shuffled": {"assignment": "shuffled"},
    "pgd, moving": {"kind": "pgd", "batchnorm": "train", "start": "gaussian"},
    "no steps": {"steps": 0},
}


def record(
    folder: Path, group: Group, generator: Generator, setup: Setup, networks: list[nn.Module]
) -> list[dict[str, float]]:
    """A recording as the stage makes it; the history, in the first process."""
    images = tiny.split(14)
    if group.rank:
        assist(group, generator, setup, networks, to_unit(images.images[:2]), seed=SEED)
        return []
    objective = Spread(generator, setup, group, tiny.CLASSES) if group.count > 1 else Teachers(generator)
    writer = tape.Writer(folder, generator.channels, count=len(images))
    kept = training.train(
        networks, objective, images, tiny.FACTS, setup, seed=SEED, teachers=len(networks), writer=writer
    )
    writer.keep(networks)
    writer.finish({"data_sha256": images.digest()})
    if group.count > 1:
        group.order(None)
    return kept


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def alike(folder: Path, count: int, generator: Generator, setup: Setup, make: Make = tiny.convolutional) -> None:
    """Recordings of one process and of ``count`` have the same bytes and the same history."""

    def teachers() -> list[nn.Module]:
        return [make(100 + i) for i in range(3)]

    history = record(folder / "alone", Group(), generator, setup, teachers())
    shared, *others = together(count, folder, lambda g: record(folder / "spread", g, generator, setup, teachers()))
    assert json.dumps(shared) == json.dumps(history)
    assert others == [[]] * (count - 1)
    assert contents(folder / "spread") == contents(folder / "alone")
    assert len(contents(folder / "alone")) == setup.epochs + 3 + 1


@pytest.mark.parametrize("reading", GENERATORS)
def test_two_processes_record_the_tape_of_one_under_every_reading(tmp_path: Path, reading: str) -> None:
    generator = tiny.generator(channels=ALL, **GENERATORS[reading])
    alike(tmp_path, 2, generator, tiny.setup(epochs=1, batch_size=7))


@pytest.mark.parametrize("reading", ["svgd", "wide"])
@pytest.mark.parametrize("speed", ["plain", "fast"])
def test_so_do_three(tmp_path: Path, reading: str, speed: str) -> None:
    switches = acceleration.Switches(fold=True, channels_last=True) if speed == "fast" else acceleration.OFF
    with acceleration.switched(switches):
        alike(tmp_path, 3, tiny.generator(**GENERATORS[reading]), tiny.setup())


SETUPS: dict[str, dict[str, Any]] = {
    "awp": {"awp": {"gamma": 0.01, "steps": 2}},
    "ema": {"ema": {"decay": 0.9}},
    "smoothing": {"smoothing": 0.1},
    "bfloat16": {"precision": {"generate": "bfloat16", "update": "bfloat16"}},
}


@pytest.mark.parametrize("name", SETUPS)
def test_so_do_two_under_other_set_ups(tmp_path: Path, name: str) -> None:
    setup = tiny.setup(epochs=1, batch_size=7, **SETUPS[name])
    alike(tmp_path, 2, tiny.generator(**WIDE), setup)


def with_dropout(seed: int) -> nn.Module:
    with streams.global_stream(seed, "test"):
        return dropout.build(classes=tiny.CLASSES, channels=1)


def test_dropout_draws_as_in_one_process(tmp_path: Path) -> None:
    alike(tmp_path, 2, tiny.generator(), tiny.setup(), with_dropout)


# ---- students, and teachers beside a student


def learn(
    group: Group, objective: at_aka.Online | cat_aka.Students, setup: Setup, make: Make
) -> tuple[str, list[dict[str, bytes]]]:
    """A training of three networks, beside a student or not, as the stage makes it; the history and all weights."""
    online = isinstance(objective, at_aka.Online)
    generator = objective.teachers.generator if online else objective.generator
    images, networks = tiny.split(14), [make(100 + i) for i in range(3)]
    if group.rank:
        first = to_unit(images.images[:2])
        assist(group, generator, setup, networks, first, seed=SEED, ensemble=online)
        return "", []
    led = shared_out(objective, setup, group, classes=tiny.CLASSES, count=3) if group.count > 1 else objective
    networks += [make(7)] if online else []
    kept = training.train(networks, led, images, tiny.FACTS, setup, seed=SEED, teachers=3 if online else 0)
    if group.count > 1:
        group.order(None)
    return json.dumps(kept), [written(network) for network in networks]


def written(network: nn.Module) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in network.state_dict().items()}


def taught_alike(
    folder: Path,
    count: int,
    objective: Callable[[], at_aka.Online | cat_aka.Students],
    setup: Setup,
    make: Make = tiny.convolutional,
) -> None:
    history, states = learn(Group(), objective(), setup, make)
    shared, *others = together(count, folder, lambda group: learn(group, objective(), setup, make))
    assert shared == (history, states)
    assert others == [("", [])] * (count - 1)


STUDENTS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "detached": ({}, WIDE, {}),
    "live": ({"target": "live"}, WIDE, {}),
    "live, linear": ({"target": "live", "amalgamation": "linear"}, {}, {}),
    "clean": ({"input": "clean", "amalgamation": "naive"}, {}, {}),
    "clean, live": ({"input": "clean", "target": "live"}, {}, {}),
    "pgd, moving": ({}, {"kind": "pgd", "batchnorm": "train"}, {}),
    "ensemble": ({}, WIDE | {"gradient_of": "ensemble"}, {}),
    "shuffled": ({}, {"assignment": "shuffled"}, {}),
    "awp": ({}, WIDE, {"awp": {"gamma": 0.01, "steps": 2}}),
    "awp, live": ({"target": "live"}, {}, {"awp": {"gamma": 0.01}}),
    "smoothing, ema": ({}, {}, {"smoothing": 0.1, "ema": {"decay": 0.9}}),
    "bfloat16": ({}, WIDE, {"precision": {"generate": "bfloat16", "update": "bfloat16"}}),
}


@pytest.mark.parametrize("reading", STUDENTS)
def test_two_processes_train_the_students_of_one(tmp_path: Path, reading: str) -> None:
    options, generator, setup = STUDENTS[reading]

    def students() -> cat_aka.Students:
        chosen = cat_aka.Options(**{"amalgamation": "soft"} | options)
        return cat_aka.create(chosen, alpha=0.3, generator=tiny.generator(**generator))

    taught_alike(tmp_path, 2, students, tiny.setup(epochs=1, batch_size=7, **setup))


BESIDE: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "adversarial": ({"input": "adversarial"}, WIDE, {}),
    "updated": ({"logits": "updated"}, {"channels": ("train_adv", "updated")}, {}),
    "live": ({"target": "live"}, WIDE, {}),
    "live, adversarial": ({"target": "live", "input": "adversarial", "amalgamation": "pareto"}, {}, {}),
    "adversarial, awp": ({"input": "adversarial"}, {}, {"awp": {"gamma": 0.01, "steps": 2}}),
    "live, awp": ({"target": "live"}, {"kind": "pgd"}, {"awp": {"gamma": 0.01}}),
}


@pytest.mark.parametrize("reading", BESIDE)
def test_two_processes_train_the_teachers_beside_a_student(tmp_path: Path, reading: str) -> None:
    options, generator, setup = BESIDE[reading]
    taught_alike(
        tmp_path, 2, lambda: beside(options, tiny.generator(**generator)), tiny.setup(epochs=1, batch_size=7, **setup)
    )


def beside(options: dict[str, Any], generator: Generator) -> at_aka.Online:
    chosen = at_aka.Options(**{"amalgamation": "soft"} | options)
    objective = at_aka.create(chosen, alpha=0.3, generator=generator, online=True)
    assert isinstance(objective, at_aka.Online)
    return objective


@pytest.mark.parametrize("target", ["detached", "live"])
def test_three_processes_train_them_too_and_dropout_draws_as_in_one(tmp_path: Path, target: Any) -> None:
    def students() -> cat_aka.Students:
        return cat_aka.create(
            cat_aka.Options(amalgamation="soft", target=target), alpha=0.3, generator=tiny.generator(**WIDE)
        )

    for objective in (students, lambda: beside({"target": target}, tiny.generator())):
        taught_alike(tmp_path, 3, objective, tiny.setup(), with_dropout)


@pytest.mark.parametrize("verb", ["generate", "answer"])
def test_a_process_that_dies_in_a_step_is_missed(tmp_path: Path, verb: str) -> None:
    """The first process then writes its checkpoint, and torchrun ends the job."""

    def end(group: Group) -> str:
        if group.rank:
            spread._VERBS[verb] = lambda *_: os._exit(1)
        objective = cat_aka.create(cat_aka.Options(amalgamation="soft"), alpha=0.3, generator=tiny.generator())
        try:
            learn(group, objective, tiny.setup(), tiny.convolutional)
        except torchrun.Lost as error:
            return str(error)
        raise AssertionError

    (said,) = together(2, tmp_path, end)
    assert "a process of this job is gone" in said


class Overflowing(nn.Module):
    """A network whose logits are not finite once its only weight has moved."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.first = network, nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.network(x) / (self.first == 1)
        return logits * self.first


@pytest.mark.parametrize("kind", ["svgd", "pgd"])
@pytest.mark.parametrize("place", range(3))
def test_a_network_that_overflows_ends_the_training_as_in_one_process(tmp_path: Path, place: int, kind: Any) -> None:
    generator = tiny.generator(kind=kind)

    def end(group: Group) -> str:
        teachers: list[nn.Module] = [tiny.convolutional(100 + i) for i in range(3)]
        teachers[place] = Overflowing(teachers[place])
        try:
            record(tmp_path / f"of{group.count}", group, generator, tiny.setup(), teachers)
        except Diverged as diverged:
            return f"{diverged}: {json.dumps(diverged.history)}"
        except torchrun.Lost:
            return "lost"
        raise AssertionError

    alone = end(Group())
    assert "no longer finite in epoch 1, step 2" in alone
    assert together(2, tmp_path, end)[0] == alone


def test_layouts_and_nan_pass_between_processes(tmp_path: Path) -> None:
    def work(group: Group) -> list[bool]:
        wanted = [torch.arange(48.0).reshape(2, 3, 2, 4) + i for i in range(3)]
        for each in wanted:
            each[1, 0, 1] = torch.nan
        last = [each.to(memory_format=torch.channels_last) for each in wanted]
        given = last if group.rank else wanted
        got = group.exchange({i: given[i] for i in group.mine(3)}, 3)
        counts = torch.tensor([7, 2**40 + 1])
        if group.rank == 0:
            group.post([last[0], counts, torch.tensor(True)], 1)
            group.delivered()
        else:
            received = [torch.empty_like(wanted[0]), torch.empty_like(counts), torch.tensor(False)]
            group.receive(received, 0)
            got, wanted = [*got, *received], [*wanted, wanted[0], counts, torch.tensor(True)]
        same = [torch.equal(one.nan_to_num(-1), other.nan_to_num(-1)) for one, other in zip(got, wanted, strict=True)]
        return [*same, all(each.stride() == given[0].stride() for each in got[:3])]

    assert [all(each) for each in together(2, tmp_path, work)] == [True, True]
