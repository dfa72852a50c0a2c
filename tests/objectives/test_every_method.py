"""What every method promises. Methods are found by being registered: a new one is tested without editing this."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ataka import training
from ataka.errors import UserError
from ataka.files import tape
from ataka.models.mixture import Mixture
from ataka.objectives.teachers import Teachers
from ataka.study import Generator, Method, config
from ataka.training import Batch
from ataka.training.awp import Perturbation
from tests import tiny
from tests.baselines import oracle

STUDY = config.load("smoke")
DATA, FACTS = tiny.split(20), replace(tiny.FACTS, shift=0, flip=False)
VALIDATION = tiny.split(16, seed=3)
EPOCHS = 7
ALPHA = 0.02
"""Where it is tuned: the paper's smallest. The teachers' logits grow as they learn; at a large alpha a student beside
them may lose on the squared distance what it gains on the labels."""


@dataclass(frozen=True)
class Case:
    """A registered method as it is, or, for a student of an ensemble, beside its teachers instead of their tape."""

    name: str
    online: bool

    def __str__(self) -> str:
        return self.name + " online" * (self.online and not self.method.online)

    @property
    def method(self) -> Method:
        return STUDY.methods[self.name]

    @property
    def options(self) -> Any:
        return config.options(STUDY, self.name)

    @property
    def generator(self) -> Generator | None:
        """Of the networks' own particles: those of joint members, or of teachers beside their student."""
        name = self.method.ensemble.generator if self.method.ensemble and self.online else self.method.generator
        return STUDY.generators[name] if name else None

    @property
    def replays(self) -> bool:
        return self.method.ensemble is not None and not self.online

    def networks(self) -> list[nn.Module]:
        """What a training trains, the student of an ensemble last."""
        beside = self.method.ensemble.n if self.method.ensemble and self.online else 0
        own = self.method.members if self.method.joint else 1
        return [tiny.convolutional(seed) for seed in range(beside + own)]

    def teachers(self) -> dict[str, Mixture]:
        """Frozen; one role's are others than another's."""
        roles = enumerate(self.method.teachers)
        return {role: oracle.ensemble(*range(100 + 10 * place, 103 + 10 * place)) for place, role in roles}

    def objective(
        self, teachers: dict[str, Mixture], *, generator: dict[str, Any] | None = None, **options: Any
    ) -> training.Objective:
        """As a run has it (ataka.stages), but for changes of the ``generator`` and of the ``options``."""
        extra: dict[str, Any] = {}
        if self.method.alpha is not None:
            extra["alpha"] = ALPHA if self.method.alpha == "tuned" else self.method.alpha
        if self.generator:
            extra["generator"] = self.generator.model_copy(update=generator or {})
        if self.online:
            extra["online"] = True
        if teachers:
            extra["teachers"] = teachers
        module = import_module(str(self.method.objective))
        objective: training.Objective = module.create(replace(self.options, **options), **extra)
        return objective

    def attacking(self, batchnorm: str, steps: int) -> dict[str, Any]:
        """The changes of ``objective`` that make its adversarial images so; none where it makes none."""
        change = {"batchnorm": batchnorm, "steps": steps}
        named = {name for name in change if hasattr(self.options, name)}
        return {name: change[name] for name in named} | ({"generator": change} if self.generator else {})

    def batch(self, **more: Any) -> Batch:
        """A batch, with the tape's channels where one is replayed."""
        recorded = {}
        if self.replays:
            assert self.method.ensemble
            source = torch.Generator().manual_seed(7)
            shape = self.method.ensemble.n, 6, tiny.CLASSES
            channels = STUDY.generators[self.method.ensemble.generator].channels
            recorded = {name: torch.randn(shape, generator=source) for name in channels}
        return tiny.batch(6, recorded=recorded, **more)


REGISTERED = [Case(name, method.online) for name, method in STUDY.methods.items() if method.objective]
CASES = REGISTERED + [replace(case, online=True) for case in REGISTERED if case.replays and "." not in case.name]
every_method = pytest.mark.parametrize("case", CASES, ids=str)


@dataclass(frozen=True)
class Learnt:
    """What a training has left."""

    history: list[dict[str, float]]
    states: list[dict[str, Tensor]]

    def equals(self, other: "Learnt") -> bool:
        """Bit for bit."""
        return self.history == other.history and all(map(tiny.same, self.states, other.states))


Learn = Callable[..., Learnt]


@pytest.fixture(scope="module")
def learn(tmp_path_factory: pytest.TempPathFactory) -> Learn:
    """``learn(case, seed, epochs, teachers)``: the real loop on random images; where a tape is replayed, a real one."""
    setup = tiny.setup(epochs=EPOCHS, batch_size=10, learning_rate=0.1, milestones=())

    @cache
    def recorded(generator: str, n: int, seed: int) -> Path:
        folder, made_by = tmp_path_factory.mktemp("tape"), STUDY.generators[generator]
        writer = tape.Writer(folder, made_by.channels, count=len(DATA))
        teachers = [tiny.convolutional(50 + index) for index in range(n)]
        training.train(teachers, Teachers(made_by), DATA, FACTS, setup, seed=seed, writer=writer)
        writer.finish({"settings_sha256": "", "data_sha256": DATA.digest()})
        return folder / "manifest.json"

    def learn(case: Case, seed: int = 0, epochs: int = EPOCHS, teachers: dict[str, Mixture] | None = None) -> Learnt:
        reader = None
        if case.replays:
            assert case.method.ensemble
            manifest = recorded(case.method.ensemble.generator, case.method.ensemble.n, seed)
            reader = tape.Reader(manifest, settings_sha256="", data_sha256=DATA.digest())
        networks = case.networks()
        objective = case.objective(case.teachers() if teachers is None else teachers)
        shortened = setup.model_copy(update={"epochs": epochs})
        history = training.train(
            networks, objective, DATA, FACTS, shortened, seed=seed, reader=reader, validation=VALIDATION
        )
        return Learnt(history, [tiny.state(network) for network in networks])

    return learn


@every_method
def test_training_lowers_every_networks_loss(case: Case, learn: Learn) -> None:
    first, *_, last = learn(case).history
    names = [name for name in first if name.startswith("loss")]
    assert len(names) == len(case.networks())
    for name in names:
        assert last[name] < first[name], name


@every_method
def test_every_epoch_has_every_networks_accuracies(case: Case, learn: Learn) -> None:
    history, count = learn(case, epochs=2).history, len(case.networks())
    suffixes = range(count) if count > 1 else [""]
    for row in history:
        for name, images in (("train_accuracy", DATA), ("validation_accuracy", VALIDATION)):
            columns = [column for column in row if column.startswith(name)]
            assert columns == [f"{name}{suffix}" for suffix in suffixes]
            assert all(round(row[column] * len(images) / 100, 9).is_integer() for column in columns)


@every_method
def test_is_a_function_of_its_seed(case: Case, learn: Learn) -> None:
    once, again, other = (learn(case, seed, epochs=2) for seed in (0, 0, 1))
    assert once.equals(again)
    for state, otherwise in zip(once.states, other.states, strict=True):
        assert not tiny.same(state, otherwise)


def everything(network: nn.Module) -> list[object]:
    """All that a training could change; tensors as bytes."""
    return [
        [tensor.numpy().tobytes() for tensor in network.state_dict().values()],
        [module.training for module in network.modules()],
        [(parameter.requires_grad, parameter.grad) for parameter in network.parameters()],
    ]


@pytest.mark.parametrize("case", [case for case in CASES if case.method.teachers], ids=str)
def test_leaves_frozen_teachers_as_they_were(case: Case, learn: Learn) -> None:
    teachers = case.teachers()
    before = {role: everything(teacher) for role, teacher in teachers.items()}
    learn(case, epochs=2, teachers=teachers)
    assert {role: everything(teacher) for role, teacher in teachers.items()} == before


# ---- one step


def step(case: Case, progress: float, **changes: Any) -> list[nn.Module]:
    """The networks after a step's backward passes."""
    networks = [network.train() for network in case.networks()]
    for loss in case.objective(case.teachers(), **changes).losses(networks, case.batch(progress=progress)):
        loss.backward()
    return networks


@pytest.mark.parametrize("case", [case for case in CASES if case.method.teachers], ids=str)
def test_teachers_compute_as_often_as_the_plan_counts(case: Case) -> None:
    """A forward whose gradient goes back to the images counts twice."""
    counted, teachers = config.facts(STUDY, case.name).forwards, case.teachers()
    seen = dict.fromkeys(teachers, 0)
    for role, teacher in teachers.items():

        def note(_member: nn.Module, given: tuple[Tensor, ...], role: str = role) -> None:
            seen[role] += 2 if given[0].requires_grad else 1

        teacher.members[0].register_forward_pre_hook(note)
    [*case.objective(teachers).losses(case.networks(), case.batch(progress=0.9))]
    assert seen == {role: counted.get(role, 1) for role in teachers}


@pytest.mark.parametrize("case", REGISTERED, ids=str)
def test_the_trained_network_computes_as_often_as_the_plan_counts(case: Case) -> None:
    """A forward whose gradient goes back to the weights counts once, another a third; those of attacks are counted
    elsewhere. A student that sees every particle is counted as seeing one image."""
    networks, seen = [network.train() for network in case.networks()], [0, 0]

    def note(network: nn.Module, _given: tuple[Tensor, ...]) -> None:
        trains = torch.is_grad_enabled() and all(parameter.requires_grad for parameter in network.parameters())
        seen[0 if trains else 1] += network.training

    networks[-1].register_forward_pre_hook(note)
    changed = case.attacking("eval", 2)
    [*case.objective(case.teachers(), **changed).losses(networks, case.batch(progress=0.9))]
    if getattr(case.options, "input", "") == "adversarial":
        assert case.method.ensemble
        seen[0] -= case.method.ensemble.n - 1
    assert seen[0] + seen[1] / 3 == pytest.approx(config.facts(STUDY, case.name).updates)


@every_method
@pytest.mark.parametrize("progress", [0.0, 0.9])
def test_yields_a_scalar_for_each_network_that_reaches_it_alone(case: Case, progress: float) -> None:
    """All its parameters, with finite gradients; the loop would add or discard what reached another network."""
    networks = [network.train() for network in case.networks()]
    position = -1
    for position, loss in enumerate(case.objective(case.teachers()).losses(networks, case.batch(progress=progress))):
        assert loss.shape == ()
        assert loss.isfinite()
        for network in networks:
            network.zero_grad()
        loss.backward()
        for index, network in enumerate(networks):
            gradients = [parameter.grad for parameter in network.parameters() if parameter.requires_grad]
            if index == position:
                assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)
                assert any(gradient.any() for gradient in gradients)
            else:
                assert not any(gradient is not None for gradient in gradients)
    assert position == len(networks) - 1


@every_method
def test_does_not_write_into_its_batch_or_change_modes(case: Case) -> None:
    batch, networks = case.batch(progress=0.9), [network.train() for network in case.networks()]
    before = [tensor.clone() for tensor in (batch.x, batch.y, batch.index, *batch.recorded.values())]
    for loss in case.objective(case.teachers()).losses(networks, batch):
        loss.backward()
    after = (batch.x, batch.y, batch.index, *batch.recorded.values())
    assert all(map(torch.equal, before, after))
    assert all(module.training for network in networks for module in network.modules())
    assert all(parameter.requires_grad for network in networks for parameter in network.parameters())


@every_method
def test_only_what_trains_on_adversarial_images_of_itself_is_probed_for_its_robustness(case: Case) -> None:
    """Within the budget that it names, and not where its attack takes no step; one that says nothing isn't probed."""
    objective = case.objective(case.teachers())
    networks, batch = [network.train() for network in case.networks()], case.batch(progress=0.9)
    budgets = [0.0] * len(networks)
    if isinstance(objective, training.Adversarial):
        budgets = list(objective.budgets(len(networks)))
    assert config.facts(STUDY, case.name).probed or not any(budgets)
    seen: list[list[float]] = [[] for _ in networks]

    def look(network: nn.Module, given: tuple[Tensor]) -> None:
        if network.training and torch.is_grad_enabled():
            seen[networks.index(network)].append(float((given[0] - batch.x).abs().max()))

    for network in networks:
        network.register_forward_pre_hook(look)
    for loss in objective.losses(networks, batch):
        loss.backward()
    for budget, distances in zip(budgets, seen, strict=True):
        assert max(distances) <= budget + 1e-6 if budget else True
        assert budget == 0 or max(distances) > budget / 2
    attacked = [bool(budget) for budget in budgets]
    student = case.method.ensemble is not None  # its robustness is the question
    assert attacked == [
        max(distances) > 0 and not (student and network is networks[-1])
        for network, distances in zip(networks, seen, strict=True)
    ]
    if isinstance(objective, training.Adversarial) and case.attacking("eval", 0):
        still = case.objective(case.teachers(), **case.attacking("eval", 0))
        assert isinstance(still, training.Adversarial)
        assert not any(still.budgets(len(networks)))


UPDATES: dict[str, int | tuple[int, int]] = {
    "baselines.natural": 1,  # x
    "baselines.sat": 1,  # x'
    "baselines.trades": 3,  # x, x', and x once more (extra_forward)
    "baselines.mart": 2,  # x, x'
    "baselines.ard": 2,  # x, x'
    "baselines.iad I": (3, 4),  # x, x', x' once more (extra_forwards); later x once more
    "baselines.iad II": (1, 2),  # x'; later x
    "baselines.rslad": 2,  # x, x'
    "baselines.mtard MTARD": 2,  # x', x
    "baselines.mtard B-MTARD": 2,
    "baselines.adaad AdaAD": 2,  # x, x'
    "baselines.adaad AdaIAD": (3, 4),  # x, x', x once more (extra_forwards); later x once more
    "baselines.igdm": 4,  # x, x' as AdaAD, x', and x' mirrored at x
    "ataka.objectives.at_aka": 1,  # a teacher its particle, the student x
    "ataka.objectives.cat_aka": 1,  # its particle
}
"""How often a step's update moves a network's running statistics, by objective: what the docstrings of the modules say.
Two numbers are those as a training begins and later in it.

A method whose options make it forward otherwise (``extra_forward: false``) is listed by its own name.
"""


def moves(case: Case, progress: float = 0.9, **changes: Any) -> list[int]:
    """How often each network's running statistics moved in a step."""
    return [int(network[0][1].num_batches_tracked) for network in step(case, progress, **changes)]


@every_method
@pytest.mark.parametrize("progress", [0.0, 0.9])
def test_batch_statistics_are_left_to_the_update(case: Case, progress: float) -> None:
    """Under ``batchnorm: eval``, whatever the number of attack steps; the update's own count is the documented one."""
    found = [moves(case, progress, **case.attacking("eval", steps)) for steps in (1, 4)]
    assert found[0] == found[1]
    version = f" {case.options.version}" if hasattr(case.options, "version") else ""
    known = UPDATES.get(case.name, UPDATES.get(f"{case.method.objective}{version}"))
    if known is None:
        assert min(found[0]) > 0
    else:
        first, later = known if isinstance(known, tuple) else (known, known)
        updates = [later if progress else first] * len(found[0])
        if case.method.ensemble and getattr(case.options, "input", "") == "adversarial":
            updates[-1] = case.method.ensemble.n  # the student sees every particle
        assert found[0] == updates


@pytest.mark.parametrize(
    "case", [case for case in CASES if {"batchnorm", "generator"} & set(case.attacking("train", 1))], ids=str
)
def test_under_batchnorm_train_each_attack_step_moves_batch_statistics_once(case: Case) -> None:
    few, many = (moves(case, **case.attacking("train", steps)) for steps in (1, 4))
    apart = case.generator is not None and not case.method.joint  # a student beside its teachers isn't attacked
    attacked = [True] * (len(few) - apart) + [False] * apart
    assert [after - before for before, after in zip(few, many, strict=True)] == [3 * one for one in attacked]


# ---- what a set-up adds


def totals(case: Case, **more: Any) -> list[float]:
    """A step's losses, of fresh networks."""
    networks = [network.train() for network in case.networks()]
    return [loss.item() for loss in case.objective(case.teachers()).losses(networks, case.batch(progress=0.9, **more))]


def heeds(case: Case) -> list[str]:
    return config.facts(STUDY, case.name).heeds


@every_method
def test_smoothing_moves_each_loss_that_heeds_it_and_no_other(case: Case) -> None:
    """In proportion: a cross-entropy is linear in its labels."""
    plain, some, more = (totals(case, smoothing=smoothing) for smoothing in (0.0, 0.2, 0.4))
    for without, little, much in zip(plain, some, more, strict=True):
        assert (little != without) == ("smoothing" in heeds(case))
        assert much - without == pytest.approx(2 * (little - without), abs=1e-4)


@pytest.mark.parametrize("case", [case for case in REGISTERED if "." not in case.name], ids=str)
def test_a_set_up_that_smooths_labels_is_refused_where_there_are_none(case: Case) -> None:
    setups = {"smooth": {"like": case.method.setup, "smoothing": 0.1}}
    ensemble = {"ensemble": {"setup": "smooth"}} if case.method.ensemble else {}
    overrides = {"setups": setups, "methods": {case.name: {"setup": "smooth", **ensemble}}}
    if "smoothing" in heeds(case):
        config.load("smoke", overrides)
        return
    refused = f"methods\\.{case.name}\\.setup: smooth smooths labels, but the loss of {case.method.objective} has no"
    with pytest.raises(UserError, match=refused):
        config.load("smoke", overrides)


def asked(objective: training.Objective, networks: list[nn.Module], batch: Batch) -> list[list[Tensor]]:
    """What each network's forwards with a gradient see in a step, after whose losses nothing is updated."""
    seen: list[list[Tensor]] = [[] for _ in networks]

    def look(network: nn.Module, given: tuple[Tensor]) -> None:
        if network.training and torch.is_grad_enabled():
            seen[networks.index(network)].append(given[0].detach())

    hooks = [network.register_forward_pre_hook(look) for network in networks]
    for loss in objective.losses(networks, batch):
        loss.backward()
    for hook in hooks:
        hook.remove()
    return seen


@pytest.mark.parametrize("batchnorm", ["eval", "train"])
@every_method
def test_perturbed_weights_descend_on_the_images_of_the_weights_themselves(case: Case, batchnorm: str) -> None:
    """AWP: attacks are made at w; batch statistics move as without it; what is logged is logged once."""
    assert "awp" in heeds(case)
    changed = case.attacking(batchnorm, 2)
    logged: list[list[str]] = [[], []]
    steps = []
    for awp, names in zip((None, {"gamma": 0.01}), logged, strict=True):
        networks = [network.train() for network in case.networks()]
        before = [tiny.state(network) for network in networks]
        batch = case.batch(progress=0.9, log=lambda name, _, names=names: names.append(name))
        perturbation = Perturbation(networks, tiny.setup(awp=awp))
        objective = case.objective(case.teachers(), **changed)
        batch = perturbation.add(objective, batch)
        for network, state in zip(networks, before, strict=True):
            assert torch.equal(network[2].weight, state["2.weight"]) == (awp is None)
        seen = asked(objective, networks, batch)
        counts = [int(network[0][1].num_batches_tracked) for network in networks]
        steps.append((seen, counts))
    (plain, counts), (perturbed, others) = steps
    assert counts == others
    assert logged[0] == logged[1]
    for mine, theirs in zip(plain, perturbed, strict=True):
        assert len(mine) == len(theirs)
        assert all(map(torch.equal, mine, theirs))
