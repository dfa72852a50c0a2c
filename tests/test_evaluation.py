"""Do verdicts depend on how the images are cut by no more than rounding, and is the network left as it was found?"""

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ataka import streams, training
from ataka.attacks import aa
from ataka.datasets.images import Split
from ataka.errors import UserError
from ataka.evaluation import evaluate
from ataka.files.resume import State
from ataka.machine import memory
from ataka.models.mixture import Mixture
from baselines.natural import Natural
from tests import tiny

PGD = {"kind": "pgd", "eps": "12/255", "step_size": "4/255", "steps": 3}
ATTACKS: dict[str, dict[str, Any]] = {
    "clean": {"kind": "clean"},
    "fgsm": {"kind": "fgsm", "eps": "12/255"},
    "pgd": PGD,
    "aa": {"kind": "aa", "eps": "12/255", "version": "shortened", "chunk": 8}
    | {"iterations": 3, "target_classes": 2, "queries": 5},
    "fog": {"kind": "fog", "strength": 64.0, "step_size": "0.1", "steps": 3, "chunk": 8},
}
CHUNKED = [name for name, attack in ATTACKS.items() if "chunk" in attack]


@pytest.fixture
def network() -> nn.Module:
    """It has learnt 30 images by heart."""
    learner, setup = tiny.convolutional(1), tiny.setup(epochs=15, learning_rate=0.2, milestones=())
    training.train([learner], Natural(), tiny.split(30), replace(tiny.FACTS, shift=0, flip=False), setup, seed=0)
    return learner.eval()


@pytest.fixture
def split(network: nn.Module) -> Split:
    """30 images; of the first 25 the network knows the answer."""
    images = tiny.split(30).images
    labels = network(images.float() / 255).argmax(1)
    labels[25:] = (labels[25:] + 1) % tiny.CLASSES
    return Split(images, labels)


def test_clean_accuracy_is_the_share_of_right_answers(network: nn.Module, split: Split) -> None:
    verdicts = evaluate(network, {"kind": "clean"}, split, seed=0)
    assert verdicts.correct.tolist() == [True] * 25 + [False] * 5
    assert verdicts.correct.dtype == torch.bool
    assert verdicts.accuracy == pytest.approx(100 * 25 / 30)


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_takes_something_away_and_adds_nothing(network: nn.Module, split: Split, attack: str) -> None:
    correct = evaluate(network, ATTACKS[attack], split, seed=0).correct
    assert len(correct) == 30
    if attack in ("clean", "aa"):  # a misclassified image is no target of AutoAttack
        assert not correct[25:].any()
    assert (correct.sum() < 25) == (attack != "clean")


@pytest.mark.parametrize("size", [7, 30, 128])
@pytest.mark.parametrize("attack", ATTACKS)
def test_verdicts_do_not_depend_on_the_batch(
    network: nn.Module, split: Split, attack: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "BATCH", 4)
    reference = evaluate(network, ATTACKS[attack], split, seed=0).correct
    monkeypatch.setattr(memory, "BATCH", size)
    assert torch.equal(evaluate(network, ATTACKS[attack], split, seed=0).correct, reference)


def test_autoattack_is_run_in_its_own_chunks(network: nn.Module, split: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []

    def attack_chunk(model: nn.Module, x: torch.Tensor, y: torch.Tensor, **options: Any) -> torch.Tensor:
        seen.append((options["index"], len(x)))
        assert (options["iterations"], options["target_classes"], options["queries"]) == (3, 2, 5)
        return x

    monkeypatch.setattr(aa, "attack_chunk", attack_chunk)
    evaluate(network, ATTACKS["aa"] | {"chunk": 12}, split, seed=0)
    assert seen == [(0, 12), (1, 12), (2, 6)]


@pytest.mark.parametrize("target", ["none", "random"])
def test_where_each_image_has_its_own_field_fogs_verdicts_do_not_depend_on_the_chunk(
    network: nn.Module, split: Split, target: str
) -> None:
    def correct(**changes: Any) -> torch.Tensor:
        return evaluate(network, ATTACKS["fog"] | {"target": target} | changes, split, seed=0).correct

    assert torch.equal(correct(normalised="image"), correct(normalised="image", chunk=30))
    assert torch.equal(correct(normalised="image"), correct(chunk=1))
    assert not torch.equal(correct(), correct(chunk=1))


IN_CHUNKS = """
import torch

from ataka.attacks.check import checked
from ataka.study.attacks import AttackOptions

SEEN = []


class Options(AttackOptions):
    chunk: int = 12


def draw(x, *, generator):
    return torch.rand(len(x), generator=generator)


@checked(linf=False)
def attack(model, x, y, *, chunk, start):
    return x


@checked(linf=False)
def attack_chunk(model, x, y, *, start, index):
    SEEN.append((index, start))
    return x
"""


@pytest.fixture
def in_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """An attack of someone else's, in chunks, with starts and without a ``Point``."""
    (tmp_path / "others").mkdir()
    (tmp_path / "others/in_chunks.py").write_text(IN_CHUNKS)
    monkeypatch.syspath_prepend(str(tmp_path))
    return import_module("others.in_chunks")


def test_another_attack_in_chunks_gets_of_its_place_what_it_names(in_chunks: ModuleType, split: Split) -> None:
    for chunk in (12, 30):
        evaluate(tiny.linear(), {"kind": "others.in_chunks", "chunk": chunk}, split, seed=4)
    (whole,) = (start for _, start in in_chunks.SEEN[3:])
    assert [(index, len(start)) for index, start in in_chunks.SEEN[:3]] == [(0, 12), (1, 12), (2, 6)]
    assert torch.equal(torch.cat([start for _, start in in_chunks.SEEN[:3]]), whole)


def test_the_start_depends_on_the_seed_and_on_nothing_global(network: nn.Module, split: Split) -> None:
    seen: list[torch.Tensor] = []
    network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].detach().clone()))
    for seed in (0, 0, 1):
        torch.manual_seed(len(seen))
        evaluate(network, PGD | {"steps": 1}, split, seed=seed)
    noise = torch.rand(30, 1, 8, 8, generator=streams.generator(0, "evaluate", "pgd")) * 2 - 1
    assert torch.allclose(seen[0], split.pixels() + 12 / 255 * noise, atol=1e-6)
    first, again, other = (seen[place] for place in range(0, len(seen), len(seen) // 3))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("attack", ["fgsm", "pgd", "aa"])
def test_without_a_budget_every_attack_is_clean(network: nn.Module, split: Split, attack: str) -> None:
    verdicts = evaluate(network, ATTACKS[attack] | {"eps": "0"}, split, seed=0)
    assert verdicts.correct.tolist() == [True] * 25 + [False] * 5


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("mode", [True, False])
def test_the_network_is_left_as_it_was(network: nn.Module, split: Split, attack: str, mode: bool) -> None:
    network.zero_grad()
    network.train(mode)
    network[0][1].train(not mode)  # a module of its own mind
    network[2].weight.requires_grad_(False)
    network[2].bias.grad = torch.ones(tiny.CLASSES)
    before, state = torch.random.get_rng_state(), tiny.state(network)
    modes = [module.training for module in network.modules()]
    evaluate(network, ATTACKS[attack], split, seed=0)
    assert tiny.same(state, tiny.state(network))
    assert [module.training for module in network.modules()] == modes
    assert not network[2].weight.requires_grad
    assert all(parameter.grad is None for name, parameter in network.named_parameters() if name != "2.bias")
    assert torch.equal(network[2].bias.grad, torch.ones(tiny.CLASSES))
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_training_network_is_judged_in_evaluation_mode(network: nn.Module, split: Split, attack: str) -> None:
    reference = evaluate(network, ATTACKS[attack], split, seed=0).correct
    assert torch.equal(evaluate(network.train(), ATTACKS[attack], split, seed=0).correct, reference)


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_may_see_a_member_alone(network: nn.Module, split: Split, attack: str) -> None:
    """E1: the images are those that fool the member, the verdicts the average's."""
    other = tiny.convolutional(5).eval()
    average = Mixture([network, other]).eval()
    alone = evaluate(average, ATTACKS[attack], split, seed=3, attacked=network)
    shown: list[torch.Tensor] = []
    with other.register_forward_hook(lambda _module, given, _output: shown.append(given[0])):
        again = evaluate(average, ATTACKS[attack], split, seed=3, attacked=network)
    assert torch.equal(alone.correct, again.correct)
    assert sum(map(len, shown)) == len(again.correct)  # the other member saw each image once, to judge it
    for x_adv, label, correct in zip(torch.cat(shown), split.labels, again.correct, strict=False):
        assert bool(average(x_adv[None]).argmax(1) == label) == bool(correct)


@pytest.mark.parametrize("attack", ["clean", "fgsm", "aa"])
def test_images_takes_the_first(network: nn.Module, split: Split, attack: str) -> None:
    whole = evaluate(network, ATTACKS[attack], split, seed=0).correct
    some = evaluate(network, ATTACKS[attack] | {"images": 16}, split, seed=0).correct
    assert torch.equal(some, whole[:16])  # two whole chunks of AutoAttack's
    assert len(evaluate(network, ATTACKS[attack] | {"images": None}, split, seed=0).correct) == 30


def test_more_images_than_there_are_is_a_user_error(network: nn.Module, split: Split) -> None:
    with pytest.raises(UserError, match="31 images are asked for, but the split has 30"):
        evaluate(network, {"kind": "clean", "images": 31}, split, seed=0)


def test_a_constant_prediction_is_noticed(network: nn.Module, split: Split) -> None:
    assert not evaluate(network, {"kind": "clean"}, split, seed=0).constant
    with torch.no_grad():
        network[2].weight.zero_()
    assert evaluate(network, {"kind": "clean"}, split, seed=0).constant
    assert evaluate(network, PGD, split, seed=0).constant


def test_an_unknown_attack_is_a_user_error(network: nn.Module, split: Split) -> None:
    with pytest.raises(UserError, match="no attack of kind 'pdg'; did you mean 'pgd'"):
        evaluate(network, {"kind": "pdg"}, split, seed=0)


# ---- when memory runs out


class Hungry(torch.nn.Module):
    """A network that has room for so many images at once."""

    def __init__(self, network: torch.nn.Module, room: int, message: str) -> None:
        super().__init__()
        self.network, self.room, self.message = network, room, message

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if len(x) > self.room:
            raise RuntimeError(self.message) if "CPU" in self.message else torch.OutOfMemoryError(self.message)
        return self.network(x)


@pytest.mark.parametrize("message", ["CUDA out of memory.", "DefaultCPUAllocator: can't allocate memory"])
@pytest.mark.parametrize("room", [2, 3, 5])
def test_with_less_memory_the_verdicts_are_the_same(message: str, room: int) -> None:
    network, split = tiny.convolutional().eval(), tiny.split(12)
    attack = {"kind": "pgd", "eps": "16/255", "step_size": "4/255", "steps": 3, "clamp_start": False, "images": None}
    whole = evaluate(network, attack, split, seed=0)
    pieces = evaluate(Hungry(network, room, message), attack, split, seed=0)
    assert torch.equal(whole.correct, pieces.correct)


def test_an_image_that_does_not_fit_alone_is_an_error() -> None:
    attack = {"kind": "fgsm", "eps": "16/255", "images": None}
    with pytest.raises(torch.OutOfMemoryError):
        evaluate(Hungry(tiny.convolutional().eval(), 0, "CUDA out of memory."), attack, tiny.split(4), seed=0)


@pytest.mark.parametrize("attack", CHUNKED)
def test_a_chunk_is_not_cut_by_itself(attack: str) -> None:
    hungry = Hungry(tiny.convolutional().eval(), 4, "CUDA out of memory.")
    with pytest.raises(UserError, match=r"chunk of 8 images doesn't fit .* attacks\.\*\.chunk lower"):
        evaluate(hungry, ATTACKS[attack], tiny.split(8), seed=0)


@pytest.mark.parametrize("attack", CHUNKED)
def test_a_chunk_is_not_cut_where_its_images_can_be_attacked_but_not_judged(attack: str) -> None:
    """As an average of networks, of which the attack sees one."""
    network = tiny.convolutional().eval()
    with pytest.raises(UserError, match="chunk of 8 images doesn't fit"):
        evaluate(Hungry(network, 4, "CUDA out of memory."), ATTACKS[attack], tiny.split(16), seed=0, attacked=network)


def test_another_error_of_torch_is_its_own() -> None:
    hungry = Hungry(tiny.convolutional().eval(), 4, "CPU: a defect")
    with pytest.raises(RuntimeError, match="a defect"):
        evaluate(hungry, {"kind": "fgsm", "eps": "16/255", "images": None}, tiny.split(8), seed=0)


class Randomised(torch.nn.Module):
    """A defence that draws in evaluation mode, too."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.network(x + 0.2 * torch.randn_like(x))
        return logits


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_a_randomised_defence_gets_the_same_verdicts_each_time_and_after_an_interruption(
    network: nn.Module, split: Split, attack: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "BATCH", 8)
    defended, kept = Randomised(network), list[State]()
    torch.seed()
    first = evaluate(defended, attack, split, seed=0).correct

    class States:
        """The checkpoints of an evaluation that is interrupted after 8 images, which the next one restores."""

        def restore(self, take: Any) -> None:
            for state in kept:
                take(state)

        def keep(self, _where: str, state: Any) -> None:
            tensors, facts = state()
            if len(tensors["predicted"]) == 8 and not kept:
                kept.append(State("", tensors, facts))
                raise KeyboardInterrupt

    torch.rand(1)
    before = torch.get_rng_state()
    with pytest.raises(KeyboardInterrupt):
        evaluate(defended, attack, split, seed=0, states=States())
    assert torch.equal(evaluate(defended, attack, split, seed=0, states=States()).correct, first)
    assert torch.equal(torch.get_rng_state(), before)
    others = [evaluate(defended, attack, split, seed=seed).correct for seed in range(1, 6)]
    assert any(not torch.equal(other, first) for other in others)
