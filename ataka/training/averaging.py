"""Weight averaging: a network whose weights are an average of the trained network's, and which is evaluated instead.

EMA, as Gowal et al. (2020) have it, follows imrahulr/adversarial_robustness_pytorch (gowal21uncovering/utils/
watrain.py): the average moves after each step, with a decay that rises to its value, and is the network itself before
the begin. That code copies the running statistics of batch normalisation from the network; ``batchnorm: copied`` does
so, and the default averages them as the weights are.

SWA (Izmailov et al., 2018) is the mean of the weights after each epoch that begins at or after the begin. Running
statistics of batch normalisation are estimated anew in a pass over the epoch's training images, augmented and not
attacked, as Izmailov et al. do and, for adversarially trained networks, SAAD's and PeerAiD's code. torch's update_bn
weighs batches equally; here an image of a short last batch counts as much as any.
"""

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ataka.attacks.mode import attack_mode
from ataka.study import Setup
from ataka.study.averaging import EMA, SWA
from ataka.study.fields import number
from ataka.training.epoch import Epoch


class Averages:
    """The networks that are evaluated: weight averages of the ``trained`` ones, or these where nothing is averaged."""

    def __init__(self, trained: Sequence[nn.Module], setup: Setup, steps: int) -> None:
        """``steps`` are those of an epoch."""
        self.trained, self.setup, self.steps = trained, setup, steps
        self.networks = [deepcopy(each).requires_grad_(False) for each in trained] if setup.averaging else trained
        self.taken = 0
        """Steps of the training that have been taken."""

    def __bool__(self) -> bool:
        return self.networks is not self.trained

    def end_step(self) -> None:
        """Move the exponential average towards the weights after a step."""
        self.taken += 1
        if ema := self.setup.ema:
            share = ema_share(ema, self.taken, self.steps * self.setup.epochs)
            self._move(share, buffers=ema.batchnorm == "averaged")

    def end_epoch(self, epoch: Epoch) -> None:
        """Move the average of the epochs, and estimate its running statistics from the epoch's images."""
        if swa := self.setup.swa:
            counted = swa_count(swa, epoch.number, self.setup.epochs)
            self._move(1 / max(counted, 1))
            for network in self.networks if counted else ():
                estimate_statistics(network, epoch.images())

    @torch.no_grad()
    def _move(self, share: float, *, buffers: bool = False) -> None:
        """Move weights, and perhaps ``buffers``, by ``share`` towards the trained network's; copy the others."""
        for average, network in zip(self.networks, self.trained, strict=True):
            for mean, weight in zip(average.parameters(), network.parameters(), strict=True):
                _approach(mean, weight, share)
            for statistic, buffer in zip(average.buffers(), network.buffers(), strict=True):
                _approach(statistic, buffer, share if buffers else 1.0)

    def put_back(self) -> None:
        """Give the trained networks the weights of their averages."""
        for average, network in zip(self.networks, self.trained, strict=True) if self else ():
            network.load_state_dict(average.state_dict())

    def load_state_dicts(self, states: Iterable[Mapping[str, Tensor]], epochs: int) -> None:
        """Resume with the averages' ``states`` after ``epochs`` whole epochs."""
        self.taken = epochs * self.steps
        for average, state in zip(self.networks, states, strict=True):
            average.load_state_dict(state)


def _approach(mean: Tensor, value: Tensor, share: float) -> None:
    """mean + share (value - mean), in place; a share of 1, and a whole number, is a copy."""
    if share < 1 and value.is_floating_point():
        mean.lerp_(value, share)
    else:
        mean.copy_(value)


def ema_share(ema: EMA, taken: int, total: int) -> float:
    """The share of the network in its average after ``taken`` of ``total`` steps: 1 - decay."""
    begin = number(ema.begin)
    if taken / total < begin:
        return 1.0
    since = max(taken - begin * total, 0.0)
    return 1 - min(ema.decay, (1 + since) / (10 + since))


def swa_count(swa: SWA, epoch: int, epochs: int) -> int:
    """The number of the ``epochs`` up to ``epoch``, from 0, that began at or after the begin."""
    return sum(number(swa.begin) <= earlier / epochs for earlier in range(epoch + 1))


@torch.no_grad()
def estimate_statistics(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Set running means and variances to the means of those of ``batches`` of images x (B,C,H,W), weighed by B.

    Of a batch's variance that is the unbiased one, as ever. Only batch normalisation is in training mode meanwhile.
    """
    layers = [module for module in network.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]
    if not layers:
        return
    seen = dict.fromkeys(layers, 0)

    def weigh(layer: _BatchNorm, inputs: tuple[Tensor, ...]) -> None:
        seen[layer] += len(inputs[0])
        layer.momentum = len(inputs[0]) / seen[layer]

    momenta = [layer.momentum for layer in layers]
    hooks = [layer.register_forward_pre_hook(weigh) for layer in layers]
    try:
        with attack_mode(network, batchnorm="train"):
            for layer in layers:
                layer.reset_running_stats()
            for x in batches:
                network(x)
    finally:
        for layer, momentum, hook in zip(layers, momenta, hooks, strict=True):
            layer.momentum = momentum
            hook.remove()
