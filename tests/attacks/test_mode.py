"""attack_mode: evaluation mode and frozen parameters inside, everything as it was outside."""

import pytest
import torch
from torch import nn

from ataka import models
from ataka.attacks.mode import attack_mode, networks_of


def half_frozen() -> nn.Sequential:
    """A network in training, but for a frozen batch normalisation."""
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.Dropout(), nn.BatchNorm2d(2))
    network[1].eval().requires_grad_(False)
    return network


def flags(network: nn.Module) -> tuple[list[bool], list[bool]]:
    return [m.training for m in network.modules()], [p.requires_grad for p in network.parameters()]


def test_inside_nothing_trains_and_outside_each_flag_is_its_own() -> None:
    networks = [half_frozen(), half_frozen().eval()]
    before = [flags(network) for network in networks]
    with attack_mode(*networks):
        for network in networks:
            modes, trainable = flags(network)
            assert not any(modes)
            assert not any(trainable)
    assert [flags(network) for network in networks] == before


def test_restores_after_an_exception() -> None:
    network = half_frozen()
    before = flags(network)
    with pytest.raises(ZeroDivisionError), attack_mode(network):
        raise ZeroDivisionError
    assert flags(network) == before


def test_nests_and_takes_a_network_twice() -> None:
    network = half_frozen()
    before = flags(network)
    with attack_mode(network, network), attack_mode(network, batchnorm="train"):
        pass
    assert flags(network) == before


def test_batchnorm_train_is_for_batch_normalisation_alone() -> None:
    network = half_frozen().eval()
    with attack_mode(network, batchnorm="train"):
        assert [module.training for module in network] == [False, True, False, True]
        network(torch.rand(4, 1, 2, 2))
    assert network[1].num_batches_tracked == 1
    assert not network[1].training


class Keeping(nn.Linear):
    """Keeps a product of its weights in evaluation mode until it trains again, as timm's LeViT does."""

    kept: torch.Tensor | None = None

    def train(self, mode: bool = True) -> "Keeping":
        super().train(mode)
        self.kept = None if mode else self.kept
        return self

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            return super().forward(x)
        if self.kept is None:
            self.kept = self.weight * 2
        return x @ self.kept.T


@pytest.mark.parametrize("training", [True, False])
def test_what_a_network_keeps_of_its_weights_is_that_of_its_weights_now(training: bool) -> None:
    """In every attack of a training, and under weights that AWP has moved."""
    network = nn.Sequential(Keeping(2, 2), nn.Dropout()).train(training)
    x = torch.rand(4, 2)
    for _ in range(2):
        with torch.no_grad():
            network[0].weight.add_(1)
        with attack_mode(network):
            assert torch.equal(network(x), x @ (network[0].weight * 2).T)
        assert network.training == network[0].training == network[1].training == training


@pytest.mark.parametrize("name", ["levit_128s", "tiny_vit_5m_224"])
def test_attention_biases_of_timms_networks_are_those_of_the_weights_now(name: str) -> None:
    torch.manual_seed(0)
    network, x = models.build(f"timm/{name}", classes=10, size=32).train(), torch.rand(2, 3, 32, 32)
    biases = [parameter for key, parameter in network.named_parameters() if "attention_bias" in key]
    assert biases
    logits = []
    for _ in range(2):
        with torch.no_grad():
            for bias in biases:
                bias.normal_(std=10)
        with attack_mode(network), torch.no_grad():
            logits.append(network(x))
    with torch.no_grad():
        expected = network.train().eval()(x)
    torch.testing.assert_close(logits[1], expected, rtol=0, atol=0)
    assert not torch.equal(*logits)


def test_an_unknown_batchnorm_is_refused() -> None:
    with pytest.raises(ValueError, match="'eval' or 'train'"), attack_mode(batchnorm="both"):  # type: ignore[arg-type]
        pass


def test_a_sequential_is_one_network_and_a_list_is_several() -> None:
    first, second = half_frozen(), half_frozen()
    assert networks_of(first) == [first]
    assert networks_of([first, second]) == [first, second]
    assert networks_of(nn.ModuleList([first, second])) == [first, second]
