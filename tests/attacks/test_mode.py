"""attack_mode: evaluation mode and frozen parameters inside, everything as it was outside."""

import pytest
import torch
from torch import nn

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


def test_an_unknown_batchnorm_is_refused() -> None:
    with pytest.raises(ValueError, match="'eval' or 'train'"), attack_mode(batchnorm="both"):  # type: ignore[arg-type]
        pass


def test_a_sequential_is_one_network_and_a_list_is_several() -> None:
    first, second = half_frozen(), half_frozen()
    assert networks_of(first) == [first]
    assert networks_of([first, second]) == [first, second]
    assert networks_of(nn.ModuleList([first, second])) == [first, second]
