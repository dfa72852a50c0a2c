"""Is the mixture the average that it says, and does an attack get its gradient?"""

import pytest
import torch
from torch import Tensor, nn

from ataka.models.mixture import Average, Mixture

F64 = torch.float64


class Fixed(nn.Module):
    """A network that answers with its own logits, whatever the image."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, x: Tensor) -> Tensor:
        return self.logits.expand(len(x), -1)


def linear_members(count: int = 3) -> list[nn.Module]:
    torch.manual_seed(0)
    return [nn.Sequential(nn.Flatten(), nn.Linear(12, 5, dtype=F64)) for _ in range(count)]


def test_probabilities_are_averaged() -> None:
    """By hand: members say (1/2, 1/2), (3/4, 1/4), (1/5, 4/5); their mean is (29/60, 31/60)."""
    said = torch.tensor([[1 / 2, 1 / 2], [3 / 4, 1 / 4], [1 / 5, 4 / 5]], dtype=F64)
    members = [Fixed(row.log() + shift) for row, shift in zip(said, (0.0, 2.0, -7.0), strict=True)]
    out = Mixture(members)(torch.zeros(2, 1))
    expected = torch.tensor([[29 / 60, 31 / 60]] * 2, dtype=F64)
    torch.testing.assert_close(out.exp(), expected)
    torch.testing.assert_close(out.softmax(dim=1), expected)


def test_logits_are_averaged() -> None:
    members = [Fixed(torch.tensor([1.0, 2.0], dtype=F64)), Fixed(torch.tensor([5.0, -4.0], dtype=F64))]
    assert Mixture(members, "logits")(torch.zeros(1, 1)).tolist() == [[3.0, -1.0]]


@pytest.mark.parametrize("average", ["probabilities", "logits"])
def test_the_gradient_is_the_finite_difference(average: Average) -> None:
    mixture = Mixture(linear_members(), average)
    x = torch.rand(2, 3, 2, 2, dtype=F64, requires_grad=True)
    assert torch.autograd.gradcheck(mixture, (x,))
    mixture(x).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in mixture.parameters())


def test_sure_members_that_disagree_stay_finite() -> None:
    sure = torch.tensor([1000.0, 0.0, 0.0])
    mixture = Mixture([Fixed(sure), Fixed(sure.flip(0))])
    out = mixture(torch.zeros(1, 1))
    assert out.isfinite().all()
    torch.testing.assert_close(out.exp(), torch.tensor([[0.5, 0.0, 0.5]]))


@pytest.mark.parametrize("average", ["probabilities", "logits"])
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_no_member_hides_another_whose_logits_are_not_finite(average: Average, value: float) -> None:
    """Image by image: to an average of probabilities, minus infinity is a probability of 0."""

    class Spoilt(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.stack([torch.zeros(len(x)), torch.tensor([0.0, value, 0.0])], 1)

    sound = Fixed(torch.tensor([1.0, 2.0]))
    out = Mixture([sound, Spoilt()], average)(torch.zeros(3, 1))
    assert out.isnan().any(1).tolist() == [False, True, False]
    assert torch.equal(out[[0, 2]], Mixture([sound, Fixed(torch.zeros(2))], average)(torch.zeros(2, 1)))


def test_one_member_says_what_it_says() -> None:
    (member,) = linear_members(1)
    x = torch.rand(2, 12, dtype=F64)
    torch.testing.assert_close(Mixture([member])(x), member(x).log_softmax(dim=1))


def test_state_dict_numbers_the_members() -> None:
    assert set(Mixture(linear_members(2)).state_dict()) == {
        "members.0.1.weight",
        "members.0.1.bias",
        "members.1.1.weight",
        "members.1.1.bias",
    }


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Mixture([])
    with pytest.raises(ValueError, match="not 'median'"):
        Mixture(linear_members(), "median")  # type: ignore[arg-type]
