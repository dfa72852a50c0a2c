"""The network of a run for people without this project: a program that torch alone runs, and a few words about it.

The weights are plain tensors. A normalisation of images is the network's first layer, so that both files take images
in [0, 1]. What needs torch is imported by the function that needs it.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ataka.files.disk import replacing
from ataka.plan import Run
from ataka.study import Study

if TYPE_CHECKING:
    from torch import nn


def load(study: Study, root: str, run: Run) -> "nn.Module":
    """The run's network on the CPU, in evaluation mode; UserError unless it is whole and of the settings in force."""
    import torch

    from ataka.stages import common

    return common.load(study, root, run, torch.device("cpu")).requires_grad_(False)


def write_settings(path: Path, study: Study, run: Run, network: "nn.Module") -> None:
    """Write the facts that a program needs beside the weights, as JSON."""
    from ataka.models.mixture import Mixture

    facts = study.dataset(run.dataset).specification
    content: dict[str, Any] = {
        "architecture": run.arch,
        "dataset": run.dataset,
        "num_classes": facts.classes,
        "input_size": [facts.channels, facts.size, facts.size],
        "input_range": [0.0, 1.0],
        "normalisation": normalisation(network),
        "members": len(network.members) if isinstance(network, Mixture) else 1,
        "average": network.average if isinstance(network, Mixture) else None,
    }
    with replacing(path) as part:
        part.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def normalisation(network: "nn.Module") -> dict[str, list[float]] | None:
    """The mean and deviation by which the network's first layer normalises images; None if it has no such layer."""
    from ataka.models.mixture import Mixture
    from ataka.models.normalised import MEAN, STD

    state = network.state_dict()
    prefix = "members.0." if isinstance(network, Mixture) else ""
    if f"{prefix}{MEAN}" not in state:
        return None
    stated = {"mean": state[f"{prefix}{MEAN}"], "std": state[f"{prefix}{STD}"]}
    return {name: [round(number, 6) for number in tensor.flatten().tolist()] for name, tensor in stated.items()}


def write_program(path: Path, study: Study, run: Run, network: "nn.Module") -> str:
    """Write the network as torch.export's program, for batches of any size; the reason if that can't be, else "".

    The file is read back, and has to give the network's own logits in every bit.
    """
    import torch

    facts = study.dataset(run.dataset).specification
    drawn = torch.Generator().manual_seed(0)
    images = torch.rand(5, facts.channels, facts.size, facts.size, generator=drawn)
    network = network.to(memory_format=torch.contiguous_format)
    try:
        batches = ({0: torch.export.Dim.AUTO},)
        program = torch.export.export(network, (images[:4],), dynamic_shapes=batches)
    except Exception as error:  # whatever a network's own code may do that can't be traced
        return f"torch.export can't trace the network: {type(error).__name__}"
    with replacing(path) as part:
        whole = part.with_name(f"{part.name}.pt2")  # torch wants this suffix
        try:
            torch.export.save(program, whole)
            loaded = torch.export.load(whole).module()
            same = all(torch.equal(loaded(images[:count]), network(images[:count])) for count in (1, 5))
            whole.replace(part)
        finally:
            whole.unlink(missing_ok=True)
    return "" if same else "the program gives other logits than the network"
