"""The optimiser."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.optim.sgd import sgd

from ataka.study import Setup


class SGD:
    """SGD with momentum and weight decay, on every parameter or on weights alone (G2): torch's, in its functional form.

    The class torch.optim.SGD does the same but loads torch's compiler, which costs each job more than a second.
    """

    def __init__(self, network: nn.Module, setup: Setup) -> None:
        self.parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
        self.buffers: list[Tensor | None] = [None] * len(self.parameters)
        self.momentum = setup.momentum
        self.groups: dict[float, list[int]] = {}
        """The places of the parameters by their weight decay."""
        for place, parameter in enumerate(self.parameters):
            spared = setup.decayed == "weights" and parameter.ndim < 2
            self.groups.setdefault(0.0 if spared else setup.weight_decay, []).append(place)

    def zero_grad(self) -> None:
        """Drop the gradients of all parameters."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Update the parameters that have a gradient."""
        gradients = [parameter.grad for parameter in self.parameters]
        for weight_decay, group in self.groups.items():
            live = [place for place in group if gradients[place] is not None]
            buffers = [self.buffers[place] for place in live]
            sgd(
                [self.parameters[place] for place in live],
                [gradient for place in live if (gradient := gradients[place]) is not None],
                buffers,
                lr=learning_rate,
                momentum=self.momentum,
                weight_decay=weight_decay,
                dampening=0.0,
                nesterov=False,
                maximize=False,
            )
            for place, buffer in zip(live, buffers, strict=True):
                self.buffers[place] = buffer

    def state_dict(self) -> dict[str, Tensor]:
        """The momentum of each parameter that has been updated, by its place."""
        return {str(place): buffer for place, buffer in enumerate(self.buffers) if buffer is not None}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore the momentum buffers from ``state_dict``, each on its parameter's device."""
        for place, buffer in state.items():
            self.buffers[int(place)] = buffer.to(self.parameters[int(place)].device)
