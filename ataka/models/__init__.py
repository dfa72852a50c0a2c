"""Networks by name: each is one file of this folder, or a module anywhere on the Python path. Imports no torch.

    resnet18, resnet10            CIFAR ResNet, base width 64; resnet10 has one block a stage
    resnet18-w16                  the same with base width 16
    resnet56, resnet20            CIFAR ResNet of three stages, base width 16, deeper; also resnet32, resnet44
    preactresnet18                pre-activation ResNet-18; other public forms end in -fast, -kuangliu, -silu
    mobilenetv2                   CIFAR MobileNetV2
    mobilenetv2-x0.25             the same with every width times 0.25
    wrn34-10, wrn{depth}-{width}  wide ResNet as in TRADES (ReLU); depth is 6 k + 4
    wrn70-16                      wide ResNet as in Gowal et al. (SiLU, "SAME" padding, own normalisation)
    wrn28-10-silu, wrn10-1-silu   others of that kind
    wrn70-16-relu                 TRADES's of the size whose name is taken
    timm/{name}                   any model of timm, for its own input sizes, untrained
    mypackage.tiny                the module of that name

Networks take images in [0, 1], NCHW, with 1 or 3 channels and sides from 8 up, and give logits (B, C). `wrn34-10` and
`wrn70-16` follow the nets of the paper, which differ in more than size. One network has one name.

The file of a network defines ``build(*, classes, channels)``, which may also take ``mean`` and ``std``, and perhaps a
``LABEL``; the network is called as its file. The file of a *family* also has ``EXAMPLES`` of its names, and a function
``named(name)``: the Architecture of a name of its own, else None. Such files import torch at their top. Settings and
reports load no torch, because labels and names are read from the source: ``LABEL`` and ``EXAMPLES`` are literals, and
``named`` is run without the rest of its file, with ``re`` and ``Architecture`` alone.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ataka.errors import UserError, reason, unknown
from ataka.machine.modules import plugin, source
from ataka.models.architecture import Architecture

if TYPE_CHECKING:
    from torch import nn


def build(
    arch: str,
    *,
    classes: int,
    channels: int = 3,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    size: int | None = None,
) -> nn.Module:
    """A freshly initialised network called ``arch``, on torch's default device.

    Weights are drawn from torch's global generator: seed it first. Whatever module draws them, they have the same bits
    on every CPU (``ataka.draws``). ``mean`` and ``std``, one number a channel, reach only the networks with a
    normalisation of their own; the default is CIFAR-10's (0.5 and 0.25 where channels aren't three). ``size``, the rows
    and columns of an image, reaches those that are made for one size. Raises ValueError for an unknown name, UserError
    for a module of the user's that can't build the network.
    """
    from ataka.draws import Alike  # it imports torch

    module, architecture = _find(arch)
    try:
        builder = import_module(module).build
    except Exception as error:  # whatever a user's own module does when it is imported
        raise UserError(f"architecture '{arch}': can't import '{module}': {reason(error)}") from None
    takes = inspect.signature(builder).parameters
    facts = {"mean": mean, "std": std, "size": size}
    wanted = {name: value for name, value in facts.items() if name in takes}
    with Alike():
        network: nn.Module = builder(**architecture.settings, classes=classes, channels=channels, **wanted)
    return network


def check(arch: str) -> None:
    """Raise ValueError, with the nearest known name, for a name that no network has.

    Of a timm model only the form is checked here; `build` asks timm.
    """
    _find(arch)


def sources(arch: str) -> tuple[str, ...]:
    """The dotted names of the modules that define ``arch``, for hashing code."""
    return (_find(arch)[0],)


def package(arch: str) -> str | None:
    """The installed package that ``arch`` comes from, whose module has ``refusal``; None of a network of ours or yours.

    ``refusal(**settings(arch), classes, channels, size)`` says why the network can't take such images, or None.
    """
    file = source(_find(arch)[0])
    return _literal(_defined(file), "PACKAGE") if file else None


def settings(arch: str) -> dict[str, Any]:
    """The settings that the name ``arch`` states for its module, such as a depth or a width."""
    return _find(arch)[1].settings


def label(arch: str) -> str:
    """A short name for the headings of tables, as "RN-18"."""
    return _find(arch)[1].label


def examples() -> list[str]:
    """Names of networks, some of each family."""
    networks = [file for file in _files() if "build" in _defined(file) and file.stem != "__init__"]
    return [name for file in networks for name in _literal(_defined(file), "EXAMPLES") or (file.stem,)]


def _find(arch: str) -> tuple[str, Architecture]:
    """The module that builds ``arch``, and the meaning of the name; ValueError if no network has it."""
    answers = {family: architecture for family, named in _families().items() if (architecture := named(arch))}
    if len(answers) > 1:
        raise ValueError(f"architecture '{arch}' is a name of {' and of '.join(answers)}: rename those of one")
    for family, architecture in answers.items():
        if architecture.name != arch:  # a second name would train, and pay for, the same network twice
            raise ValueError(f"architecture '{arch}' is called '{architecture.name}' here")
        return family, architecture
    module = plugin(arch, __name__)
    file = source(module) if module else None
    if module is None or file is None or arch == "__init__" or module in _families():
        raise ValueError(f"unknown architecture '{arch}'{unknown(arch, examples())}")
    try:
        label = _literal(_defined(file), "LABEL")
    except (SyntaxError, ValueError) as error:
        raise ValueError(f"architecture '{arch}': {file}: {error}") from None
    if "build" not in _defined(file):
        raise ValueError(f"architecture '{arch}': {file} defines no build(*, classes, channels)")
    return module, Architecture(arch, label=label or arch, settings={})


@cache
def _families() -> dict[str, Callable[[str], Architecture | None]]:
    """The function ``named`` of each family's module, run without the rest of the file."""
    families = {}
    for file in _files():
        if named := _defined(file).get("named"):
            scope: dict[str, Any] = {"re": re, "Architecture": Architecture}
            exec(compile(ast.Module([named], type_ignores=[]), file, "exec"), scope)
            families[f"{__name__}.{file.stem}"] = scope["named"]
    return families


@cache
def _files() -> list[Path]:
    """The files of this folder that are Python; a draft with an error is reported to those who ask for it."""
    files = []
    for file in sorted(Path(__file__).parent.glob("*.py")):
        with suppress(SyntaxError, ValueError):
            files += [file] if _defined(file) else []
    return files


@cache
def _defined(file: Path) -> dict[str, ast.stmt]:
    """The statements at the top of a file that define a name, by that name."""
    defined: dict[str, ast.stmt] = {}
    for statement in ast.parse(file.read_bytes()).body:
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            defined[statement.name] = statement
        elif isinstance(statement, ast.Assign):
            defined |= {target.id: statement for target in statement.targets if isinstance(target, ast.Name)}
    return defined


def _literal(defined: Mapping[str, ast.stmt], name: str) -> Any:
    """The value of a constant; None where there is none."""
    statement = defined.get(name)
    return ast.literal_eval(statement.value) if isinstance(statement, ast.Assign) else None
