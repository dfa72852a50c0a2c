"""Networks before their training: which architecture for which data, drawn from which random stream."""

import torch
from torch import Tensor, nn

from ataka import models, streams
from ataka.attacks.mode import attack_mode
from ataka.datasets.specification import Specification
from ataka.draws import Alike
from ataka.errors import UserError, few, reason
from ataka.models.initialisation import initialise, set_momentum
from ataka.study import Setup


def build(arch: str, facts: Specification, *, device: torch.device, setup: Setup | None = None) -> nn.Module:
    """A network that fits a data set of these ``facts``, with weights from torch's global CPU stream.

    A ``setup`` may draw other weights, or set another momentum of batch normalisation, than the network's own (G8).
    UserError unless the network gives logits that every attack and loss can use (``require_logits``).
    """
    network = models.build(
        arch, classes=facts.classes, channels=facts.channels, mean=facts.mean, std=facts.std, size=facts.size
    )
    if setup:
        with Alike():
            initialise(network, setup.initialisation, classes=facts.classes)
        if setup.batchnorm_momentum is not None:
            set_momentum(network, setup.batchnorm_momentum)
    network = network.to(device)
    require_logits(network, arch, facts, device=device)
    return network


@torch.no_grad()
def require_logits(network: nn.Module, arch: str, facts: Specification, *, device: torch.device) -> None:
    """UserError unless ``network`` makes float32 logits (2, classes) of two images: a matter of one forward.

    Otherwise the mistake would show in whichever loss or attack is the first to mind, perhaps after hours. The network
    is left as it was, and so are the random streams.
    """
    narrow = [name for name, weight in network.named_parameters() if weight.dtype != torch.float32]
    if narrow:
        raise UserError(
            f"network '{arch}' holds weights of type {_type(network.get_parameter(narrow[0]))}, as {few(narrow)}: "
            "build it in float32"
        )
    images = torch.zeros(2, facts.channels, facts.size, facts.size, device=device)
    try:
        with streams.undisturbed(), attack_mode(network):
            logits = network(images)
    except Exception as error:  # whatever the user's own network does
        raise UserError(f"network '{arch}' can't take images of shape {tuple(images.shape)}: {reason(error)}") from None
    if not isinstance(logits, Tensor):
        raise UserError(
            f"network '{arch}' gives an object of type {type(logits).__name__}, where one tensor of logits is "
            "expected: return the logits alone"
        )
    if logits.dtype != torch.float32:
        raise UserError(f"network '{arch}' gives logits of type {_type(logits)}: return logits.float()")
    if logits.shape != (2, facts.classes):
        raise UserError(
            f"network '{arch}' gives {tuple(logits.shape)} for two images of {facts.classes} classes: logits are "
            "expected in the shape (images, classes)"
        )


def _type(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def student(
    arch: str, facts: Specification, *, seed: int, device: torch.device, setup: Setup | None = None
) -> nn.Module:
    """The network of a run: at equal seeds every method starts from the same weights."""
    with streams.global_stream(seed, "initial", "network", 0):
        return build(arch, facts, device=device, setup=setup)


def teachers(
    arch: str, facts: Specification, count: int, *, seed: int, device: torch.device, setup: Setup | None = None
) -> list[nn.Module]:
    """An ensemble of teachers, teacher i the same whatever ``count`` is."""
    networks = []
    for index in range(count):
        with streams.global_stream(seed, "initial", "teacher", index):
            networks.append(build(arch, facts, device=device, setup=setup))
    return networks


def member_seed(seed: int, member: int | None) -> int:
    """The root seed of a member of an averaged ensemble; of a single network (None) it is the run's own."""
    return seed if member is None else streams.seed_of(seed, "member", member)
