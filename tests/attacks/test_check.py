"""The one place that looks at every result: does it see what it should?"""

import re

import pytest
import torch
from torch import Tensor, nn

from ataka.attacks import fgsm
from ataka.attacks.check import AttackError, checked, ensure_checked

X, Y, EPS = torch.full((2, 1, 4, 4), 0.5), torch.tensor([0, 1]), 8 / 255
NETWORK = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))


def returning(result: Tensor, *, linf: bool = True):
    @checked(linf=linf)
    def attack(model: nn.Module, x: Tensor, y: Tensor, *, eps: float | None = None) -> Tensor:
        return result

    return attack


BROKEN = {
    "outside its budget": (X + EPS + 2e-6, "left its budget: a pixel moved by 0.03137"),
    "one pixel outside": (X + torch.eye(4) * 0.1, "left its budget: a pixel moved by 0.1"),
    "above 1": (X + 0.5 + 1e-6, "left [0,1]: its pixels range from 1.00000"),
    "below 0": (X - 0.6, "left [0,1]: its pixels range from -0.1"),
    "NaN": (X * torch.nan, "not finite"),
    "infinite": (X / 0, "not finite"),
    "another dtype": (X.double(), "torch.float64"),
    "an image short": (X[1:], "(1, 1, 4, 4)"),
    "on a graph": (X.clone().requires_grad_(), "detach"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_result_is_refused_by_name(case: str) -> None:
    result, message = BROKEN[case]
    with pytest.raises(AttackError, match=re.escape(message)) as caught:
        returning(result)(NETWORK, X, Y, eps=EPS)
    assert str(caught.value).startswith("test_check ")


def test_rounding_is_no_offence() -> None:
    """x + eps in float32 may be further than eps from x by some ulps."""
    x = torch.rand(64, 1, 32, 32) * (1 - EPS)
    moved = x + EPS
    assert (moved - x).abs().max() > EPS
    returning(moved)(NETWORK, x, torch.zeros(64, dtype=torch.int64), eps=EPS)


def test_an_attack_may_have_a_budget_of_its_own() -> None:
    far = torch.zeros_like(X)
    assert returning(far, linf=False)(NETWORK, X, Y, eps=128.0) is far
    assert returning(far)(NETWORK, X, Y, eps=None) is far
    with pytest.raises(AttackError):
        returning(far - 1, linf=False)(NETWORK, X, Y, eps=128.0)


def test_several_networks_may_each_get_an_image() -> None:
    assert returning(X.expand(3, *X.shape))(NETWORK, X, Y, eps=EPS).shape == (3, 2, 1, 4, 4)


def test_an_attack_whose_author_forgot_is_checked_all_the_same() -> None:
    def attack(model: nn.Module, x: Tensor, y: Tensor, *, eps: float) -> Tensor:
        return X + EPS

    assert torch.equal(ensure_checked(attack)(NETWORK, X, Y, eps=EPS), X + EPS)
    with pytest.raises(AttackError, match="left its budget"):
        ensure_checked(attack)(NETWORK, X, Y, eps=EPS / 2)
    assert ensure_checked(fgsm.attack) is fgsm.attack
