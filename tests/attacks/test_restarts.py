"""PGD with restarts and targeted PGD: the worst of their attempts, each written out by itself."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from ataka.attacks import ascent, pgd, pgd_restarts, pgd_targeted

Images = tuple[Tensor, Tensor]
EPS = 0.1
OPTIONS: dict[str, Any] = {"eps": EPS, "step_size": 0.03, "steps": 3}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def stands(network: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    with torch.no_grad():
        return network(x).argmax(1) == y


@pytest.fixture
def starts(everyone: Images) -> Tensor:
    return pgd_restarts.draw(everyone[0], eps=EPS, restarts=4, generator=generator())


@pytest.mark.parametrize("clamp_start", [False, True])
def test_one_restart_is_pgd(clamp_start: bool, network: nn.Module, everyone: Images, starts: Tensor) -> None:
    options = OPTIONS | {"clamp_start": clamp_start}
    expected = pgd.attack(network, *everyone, start=starts[:, 0], **options)
    assert torch.equal(pgd_restarts.attack(network, *everyone, start=starts[:, :1], restarts=1, **options), expected)


def test_the_worst_of_the_restarts_counts(network: nn.Module, everyone: Images, starts: Tensor) -> None:
    """And the image is that of the first restart that succeeds, or of the last."""
    x, y = everyone
    alone = torch.stack([pgd.attack(network, x, y, start=starts[:, k], **OPTIONS) for k in range(4)])
    verdicts = torch.stack([stands(network, x_adv, y) for x_adv in alone])
    counts = [int(verdicts[: k + 1].all(0).sum()) for k in range(4)]
    assert counts[0] > counts[1] > counts[3] > 0  # later restarts matter
    assert (~verdicts[0] & verdicts[1]).any()  # and one alone would forget what an earlier one found
    x_adv = pgd_restarts.attack(network, x, y, start=starts, restarts=4, **OPTIONS)
    assert torch.equal(stands(network, x_adv, y), verdicts.all(0))
    first = torch.where(verdicts.all(0), 3, (~verdicts).int().argmax(0))
    assert torch.equal(x_adv, alone[first, torch.arange(len(x))])


def test_an_image_that_has_fallen_is_not_attacked_again(network: nn.Module, everyone: Images, starts: Tensor) -> None:
    x, y = everyone
    sizes: list[int] = []
    with network.register_forward_hook(lambda _module, given, _output: sizes.append(len(given[0]))):
        pgd_restarts.attack(network, x, y, start=starts, restarts=4, **OPTIONS)
    verdicts = [stands(network, pgd.attack(network, x, y, start=starts[:, k], **OPTIONS), y) for k in range(3)]
    left = [len(x), *(int(torch.stack(verdicts[: k + 1]).all(0).sum()) for k in range(3))]
    assert sizes == [size for size in left for _ in range(4)]  # three gradients and a verdict


def test_it_ends_when_all_have_fallen(network: nn.Module, everyone: Images) -> None:
    x, y = everyone
    calls: list[int] = []
    with network.register_forward_hook(lambda *_: calls.append(1)):
        pgd_restarts.attack(network, x, (y + 1) % 10, restarts=9, generator=generator(), **OPTIONS | {"eps": 0.0})
    assert len(calls) == 4


def test_an_images_starts_depend_on_no_later_restart(everyone: Images, starts: Tensor) -> None:
    fewer = pgd_restarts.draw(everyone[0], eps=EPS, restarts=2, generator=generator())
    assert torch.equal(fewer, starts[:, :2])
    assert torch.equal(fewer[:, 0], ascent.draw(everyone[0], eps=EPS, generator=generator()))


def test_a_start_of_another_shape_is_refused(network: nn.Module, everyone: Images, starts: Tensor) -> None:
    with pytest.raises(ValueError, match=r"start is of shape \(200, 4, 1, 8, 8\).* restarts are 3"):
        pgd_restarts.attack(network, *everyone, start=starts, restarts=3, **OPTIONS)


# ---- targets


def driven(network: nn.Module, image: Tensor, start: Tensor, label: int, target: int, loss: str) -> Tensor:
    """One image towards one class, from the formula: sign steps, clamped to the box and to [0,1]."""
    point = start
    for _ in range(OPTIONS["steps"]):
        point = point.detach().requires_grad_()
        (logits,) = network(point.unsqueeze(0))
        aim = logits.log_softmax(0)[target] if loss == "cross-entropy" else logits[target] - logits[label]
        (gradient,) = torch.autograd.grad(aim, point)
        point = point.detach() + OPTIONS["step_size"] * gradient.sign()
        point = torch.minimum(torch.maximum(point, image - EPS), image + EPS).clamp(0, 1)
    return point


@pytest.mark.parametrize("loss", ["cross-entropy", "difference"])
@pytest.mark.parametrize("order", ["likely", "unlikely"])
def test_equals_its_attempts_written_out(order: Any, loss: Any, network: nn.Module, everyone: Images) -> None:
    """In float64, image by image and class by class."""
    network, x, y = network.double(), everyone[0][:40].double(), everyone[1][:40]
    start = pgd_targeted.draw(x, eps=EPS, generator=generator())
    fell_to: list[int] = []
    expected = []
    for image, label, begun in zip(x, y.tolist(), start, strict=True):
        logits = network(image.unsqueeze(0))[0].tolist()
        others = sorted(set(range(10)) - {label}, key=lambda k: (-logits[k] if order == "likely" else logits[k], k))
        for rank, target in enumerate(others[:3]):
            point = driven(network, image, begun, label, target, loss)
            if int(network(point.unsqueeze(0)).argmax()) != label:
                fell_to.append(rank)
                break
        expected.append(point)
    options = OPTIONS | {"targets": 3, "order": order, "loss": loss}
    x_adv = pgd_targeted.attack(network, x, y, start=start, **options)
    torch.testing.assert_close(x_adv, torch.stack(expected), rtol=0, atol=1e-12)
    assert max(fell_to) > 0  # some withstand the first target, and fall to a later one
    assert len(fell_to) < 40


def test_of_equal_logits_the_lower_class_comes_first() -> None:
    logits = torch.tensor([[1.0, 3.0, 1.0, 3.0, 2.0], [0.0, 0.0, 0.0, 0.0, 0.0]])
    y = torch.tensor([4, 2])
    assert pgd_targeted.targets_of(logits, y, order="likely").tolist() == [[1, 3, 0, 2], [0, 1, 3, 4]]
    assert pgd_targeted.targets_of(logits, y, order="unlikely").tolist() == [[0, 2, 1, 3], [0, 1, 3, 4]]


def test_with_every_target_the_order_decides_no_verdict(network: nn.Module, everyone: Images) -> None:
    x, y = everyone
    start = pgd_targeted.draw(x, eps=EPS, generator=generator())
    orders: tuple[Any, ...] = ("likely", "unlikely")
    likely, unlikely = (
        stands(network, pgd_targeted.attack(network, x, y, start=start, order=order, **OPTIONS), y) for order in orders
    )
    assert torch.equal(likely, unlikely)
    assert 0 < likely.sum() < len(x)


def test_there_are_no_more_targets_than_classes(x: Tensor) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    calls: list[int] = []
    with network.register_forward_hook(lambda *_: calls.append(1)):
        y = network(x).argmax(1)
        pgd_targeted.attack(network, x, y, generator=generator(), **OPTIONS | {"eps": 0.0, "targets": 9})
    assert len(calls) == 1 + 1 + 2 * 4


def test_a_success_is_any_class_but_the_label() -> None:
    """Towards class 2 the label loses to class 1, which is nearer."""
    weight = torch.zeros(3, 64)
    weight[0, 0], weight[1, 0], weight[2, 0] = -1.0, 1.0, 0.5
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 3, bias=False))
    with torch.no_grad():
        network[1].weight.copy_(weight)
    network[1].bias = nn.Parameter(torch.tensor([0.9, -0.1, -1.0]))
    x, y = torch.full((1, 1, 8, 8), 0.44), torch.tensor([0])
    assert network(x).argmax(1) == y
    x_adv = pgd_targeted.attack(network, x, y, start=x, order="unlikely", targets=1, **OPTIONS)
    assert network(x_adv).argmax(1) == 1


@pytest.mark.parametrize("option", [{"order": "random"}, {"loss": "margin"}])
def test_an_unknown_order_or_loss_is_refused(option: Any, network: nn.Module, x: Tensor, y: Tensor) -> None:
    with pytest.raises(ValueError, match="there is no order"):
        pgd_targeted.attack(network, x, y, generator=generator(), **OPTIONS | option)


def test_both_are_reproducible_with_cross_entropy_as_torch_has_it(network: nn.Module, x: Tensor, y: Tensor) -> None:
    """A target of one rank: minus the cross-entropy of that class, by torch's own function."""
    start = pgd_targeted.draw(x, eps=EPS, generator=generator())
    target = pgd_targeted.targets_of(network(x), y, order="likely")[:, 0]

    def loss(logits: Tensor, _y: Tensor) -> Tensor:
        return -functional.cross_entropy(logits, target, reduction="sum")

    expected = ascent.climb(network, x, y, start=start, loss=loss, **OPTIONS)
    assert torch.equal(pgd_targeted.attack(network, x, y, start=start, targets=1, **OPTIONS), expected)
