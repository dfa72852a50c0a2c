"""Our cells, and how the calls of others are put beside them."""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ataka import streams
from ataka.attacks import aa_parts, fog, pgd
from ataka.attacks.acceleration import switched
from ataka.attacks.mode import attack_mode
from ataka.datasets.images import Split
from ataka.library.evaluation import evaluate
from ataka.machine import memory
from ataka.study.fields import number
from bench.networks import FAST
from bench.peers import calls
from bench.timing import seconds_of

OURS = "ataka"
SEED = 0
SCALE = "pocket"
"""The scale whose settings the cells have, where none is given here."""
Options = Mapping[str, Any]


@dataclass(frozen=True)
class Cell:
    """A kind of cell: the attack of the study, settings of its own, and variants of ours to compare with."""

    name: str
    attack: str
    about: str
    options: Options = field(default_factory=dict)
    lacking: str = ""
    """Sentences on the libraries that have no such call, and why."""
    variants: Mapping[str, Options] = field(default_factory=dict)
    """Changes of our cell, by name, which the others' images are compared with, too."""
    share: int = 1
    """The cell attacks one image of so many, and two at least: some attacks take 10,000 forwards an image."""
    budget: bool = True
    """Whether the attack is within an l_inf ball, so that it is measured at each budget."""
    larger: int = 0
    """The same share for the larger network, which other cells leave out: an hour and a half has no room for more."""
    chunk: int | None = None
    """Images a chunk, for the attacks whose results depend on it."""
    function: Callable[..., Tensor] | None = None
    """In place of a cell, a call of our own function: no setting of a cell says the same."""


def _from_the_image(network: nn.Module, x: Tensor, y: Tensor, **options: Any) -> Tensor:
    return pgd.attack(network, x, y, start=x, **options)


CELLS = (
    Cell("clean", "clean", "No attack: the share of the images that is classified rightly.", larger=1),
    Cell(
        "fgsm",
        "fgsm",
        "FGSM is one step from the image; nothing is random, and every library agrees.",
        lacking="pyautoattack and robustbench have no FGSM.",
        larger=1,
    ),
    Cell(
        "pgd",
        "pgd",
        "The starts are the same in all libraries that draw from torch's global generator. All but advex-uar clamp "
        "them to [0,1], as our cell does with `clamp_start: true`. Without it, as in TRADES, no call but advex-uar's "
        "has our images.",
        {"step_size": "0.003", "steps": 20},
        variants={"clamp_start: true": {"clamp_start": True}},
        lacking="pyautoattack and robustbench have no PGD.",
        larger=1,
    ),
    Cell(
        "pgd-image",
        "pgd",
        "PGD that starts at the image. Ours is the function `ataka.attacks.pgd.attack(net, x, y, start=x, ...)`, since "
        "no cell starts there.",
        {"step_size": "0.003", "steps": 20},
        function=_from_the_image,
    ),
    Cell(
        "pgd-restarts",
        "pgd-restarts",
        "The starts of later restarts come from named streams of ours, so that no call has them: the verdicts agree "
        "but for chance.",
        {"step_size": "2/255", "steps": 50, "restarts": 10},
        variants={"clamp_start: true": {"clamp_start": True}},
        share=10,
        lacking="secml-torch and advex-uar have no restarts.",
    ),
    Cell(
        "pgd-targeted",
        "pgd-targeted",
        "PGD towards each of the nine other classes.",
        {"step_size": "2/255", "steps": 50, "targets": 9},
        variants={"clamp_start: true": {"clamp_start": True}},
        share=10,
        lacking="foolbox, ART, adv-lib and secml-torch take one target a call; the loop over classes would be ours.",
    ),
    Cell(
        "cw",
        "cw",
        "PGD on Carlini and Wagner's margin, from a clamped start: CW in the tables of adversarial training. What "
        "other libraries call CW is the attack in l_2 (`cw-l2`).",
        {"step_size": "2/255", "steps": 30},
        larger=1,
        lacking="torchattacks, secml-torch, pyautoattack, advex-uar and robustbench have no attack on the margin in a "
        "ball.",
    ),
    Cell(
        "cw-l2",
        "cw-l2",
        "The nearest misclassified image in l_2. An image counts as fallen within the radius; the nearest image that a "
        "library finds may lie further off, in place of which the clean image is compared.",
        {"radius": 0.5, "steps": 50, "searches": 9},
        share=20,
        budget=False,
        lacking="pyautoattack, advex-uar and robustbench have none.",
    ),
    Cell(
        "pgd-l2",
        "pgd-l2",
        "With `begin: image`. From random points of the ball, `begin: ball`, no call has our starts: they are drawn in "
        "float64, torchattacks draws radii that crowd at the centre, foolbox draws more numbers than it uses.",
        {"radius": "128/255", "step_size": "15/255", "steps": 20, "begin": "image"},
        budget=False,
    ),
    Cell(
        "apgd-ce",
        "apgd-ce",
        "AutoAttack's first component, chunk by chunk.",
        {"loss": "ce"},
        share=8,
        chunk=32,
        lacking="foolbox, secml-torch and advex-uar have no APGD.",
        larger=8,
    ),
    Cell("apgd-dlr", "apgd-dlr", "APGD on the DLR loss.", {"loss": "dlr"}, share=8, chunk=32),
    Cell("apgd-t", "apgd-t", "APGD on the targeted DLR loss, nine targets.", share=16, chunk=32),
    Cell(
        "aa",
        "aa",
        "AutoAttack, the whole standard version.",
        {"version": "standard"},
        share=12,
        larger=100,
        chunk=16,
        lacking="ART's AutoAttack runs other attacks (findings/art_autoattack_is_another_attack.sh). foolbox, adv-lib, "
        "secml-torch and advex-uar have none. robustbench's evaluation fails (see above).",
    ),
    Cell("aa-plus", "aa-plus", "AutoAttack plus.", {"version": "plus"}, share=64, chunk=16),
    Cell(
        "aa-l2",
        "aa-l2",
        "AutoAttack in l_2.",
        {"radius": "0.5"},
        share=32,
        budget=False,
        chunk=16,
        lacking='torchattacks as with aa, from components with norm="L2".',
    ),
    Cell(
        "fog",
        "fog",
        "The fields of a chunk are normalised together.",
        {"strength": 128, "step_size": "0.02", "steps": 20},
        share=4,
        budget=False,
        chunk=32,
        lacking="No other library has Fog.",
    ),
    Cell(
        "fog-image",
        "fog",
        "With `normalised: image`.",
        {"strength": 128, "step_size": "0.02", "steps": 20, "normalised": "image"},
        share=20,
        budget=False,
        chunk=32,
    ),
)


class Target(NamedTuple):
    """A network under attack at a budget."""

    name: str
    network: nn.Module
    eps: str


@dataclass(frozen=True)
class Row:
    """A line of docs/peers/cells.csv: a call of others beside a cell of ours."""

    network: str
    eps: str
    cell: str
    library: str
    version: str
    call: str
    ours: str
    """The settings of our cell, and the variant where there is one."""
    images: int
    right: int
    """Images that are classified rightly without an attack."""
    stand_ours: int
    stand_theirs: int
    differ: int | str
    """Images whose verdicts differ; "" where the library gives a share alone."""
    largest: str
    """The largest difference of two pixels, in [0,1]."""
    equal: str
    """Whether all images have the same bits: yes, no, or "" without images."""
    seconds_ours: str
    seconds_theirs: str


def beside(target: Target, cell: Cell, split: Split) -> Iterator[Row]:
    """The rows of a ``cell`` on the images of ``split``: every call, beside our cell and each variant of it."""
    eps = target.eps if cell.budget and cell.name != "clean" else ""
    settings = {**cell.options, **({"eps": eps} if eps else {})}
    judge = Judge(target.network, split, settings.get("radius") if cell.name == "cw-l2" else None)
    changes: dict[str, Options] = {"": {}, **cell.variants}
    ours = {name: Images(partial(_ours, target, cell, split, change)) for name, change in changes.items()}
    for call, version, theirs in _contestants(target, cell, split, settings):
        for name, images in ours.items():
            if name and call.library == OURS:
                continue  # the switches of speed, beside the cell itself alone
            yield Row(
                target.name,
                eps,
                cell.name,
                call.library,
                version,
                "" if call.library == OURS else call.text,
                ", ".join(f"{key}: {value}" for key, value in settings.items()) + (f"; but {name}" if name else ""),
                len(split),
                int(judge.stand(split.pixels()).sum()),
                *judge.compare(images, theirs),
                f"{images.seconds:.3g}",
                f"{theirs.seconds:.3g}",
            )


def _contestants(
    target: Target, cell: Cell, split: Split, settings: Options
) -> Iterator[tuple[calls.Call, str, "Images"]]:
    """Calls, versions and images: our own cell with the switches of speed, and every library that is installed."""
    if cell.function is None and cell.name != "clean":
        yield calls.Call(OURS, cell.name, _faster), "", Images(partial(_faster, target, cell, split))
    for call in calls.of(cell.name):
        try:
            version = calls.version(call.library)
        except calls.PackageNotFoundError:
            print(f"left out: {call.library} is not installed", flush=True)
            continue
        yield call, version, Images(partial(_theirs, target, cell, split, call, settings))


class Images:
    """The result of an attack, made once, and the seconds that it took."""

    def __init__(self, make: Callable[[], calls.Result]) -> None:
        self._make, self._seconds = make, 0.0
        self._result: calls.Result = None

    @property
    def result(self) -> calls.Result:
        if self._result is None:

            def run() -> None:
                self._result = self._make()

            self._seconds = seconds_of(run)
        return self._result

    @property
    def seconds(self) -> float:
        _ = self.result
        return self._seconds


class Judge:
    """Verdicts on adversarial images, by the network itself, in batches as an evaluation's."""

    def __init__(self, network: nn.Module, split: Split, radius: float | None) -> None:
        self.network, self.split = network, split
        self.radius = radius

    def stand(self, x_adv: Tensor) -> Tensor:
        """Which images are classified rightly, or lie too far off."""
        with torch.no_grad(), attack_mode(self.network):
            pieces = zip(torch.split(x_adv, memory.BATCH), torch.split(self.split.labels, memory.BATCH), strict=True)
            right = torch.cat([self.network(x).argmax(1) == y for x, y in pieces])
        return right | self._far(x_adv)

    def compare(self, ours: Images, theirs: Images) -> tuple[int, int, int | str, str, str]:
        """The columns stand_ours, stand_theirs, differ, largest and equal of a row."""
        assert isinstance(ours.result, Tensor)
        stand = self.stand(ours.result)
        if not isinstance(theirs.result, Tensor):
            return int(stand.sum()), round(theirs.result * len(stand)), "", "", ""
        x_adv = theirs.result.detach()
        x_adv = torch.where(self._far(x_adv)[:, None, None, None], self.split.pixels(), x_adv)  # as ours comes back
        stands = self.stand(theirs.result)
        difference = (ours.result - x_adv).abs().max().item()
        same = torch.equal(ours.result, x_adv)
        differ = int((stand != stands).sum())
        return int(stand.sum()), int(stands.sum()), differ, f"{difference:.1e}", "yes" if same else "no"

    def _far(self, x_adv: Tensor) -> Tensor:
        distance = (x_adv - self.split.pixels()).flatten(1).norm(dim=1)
        return distance > self.radius if self.radius else torch.zeros(len(x_adv), dtype=torch.bool)


def _ours(target: Target, cell: Cell, split: Split, more: Options) -> Tensor:
    options = {**cell.options, **more}
    if cell.function:
        numbers = {name: _number(value) for name, value in {**options, "eps": target.eps}.items()}
        pieces = zip(torch.split(split.pixels(), memory.BATCH), torch.split(split.labels, memory.BATCH), strict=True)
        return torch.cat([cell.function(target.network, x, y, **numbers) for x, y in pieces])
    if cell.chunk:
        options["chunk"] = cell.chunk
    eps = {"eps": target.eps} if cell.budget else {}
    data = (split.images, split.labels)
    ours = evaluate(target.network, cell.attack, data, images=len(split), seed=SEED, scale=SCALE, **eps, **options)
    return ours.x_adv


def _faster(target: Target, cell: Cell, split: Split) -> Tensor:
    with switched(FAST):
        return _ours(target, cell, split, {})


def _theirs(target: Target, cell: Cell, split: Split, call: calls.Call, settings: Options) -> calls.Result:
    """``call`` on the batches of our cell, after the seed of our starts; the network comes back as it was."""
    size = 1 if call.alone else cell.chunk or memory.BATCH
    numbers = {name: _number(value) for name, value in settings.items()}
    given = {name: numbers[name] for name in call.needs if name in numbers}
    start = fog.draw(split.pixels(), generator=streams.generator(SEED, "evaluate", "fog"))
    results: list[calls.Result] = []
    with streams.undisturbed(), attack_mode(target.network):
        streams.seed_globally(SEED, "evaluate", _kind(cell))  # torch's, numpy's and Python's generators
        for index, (x, y, rows) in enumerate(
            zip(*(torch.split(each, size) for each in (split.pixels(), split.labels, start)), strict=True)
        ):
            arguments = {"seed": aa_parts.chunk_seed(SEED, index), "start": rows}
            result = call.function(
                target.network, x, y, **given, **{n: arguments[n] for n in call.needs if n in arguments}
            )
            results.append(result.detach().float() if isinstance(result, Tensor) else result * len(x))
    if all(isinstance(result, Tensor) for result in results):
        return torch.cat([result for result in results if isinstance(result, Tensor)])
    return sum(result for result in results if not isinstance(result, Tensor)) / len(split)


def _kind(cell: Cell) -> str:
    """The kind of the attack, which names the stream of its starts."""
    return cell.attack.replace("-", "_")


def _number(value: Any) -> Any:
    """A number from a setting such as "8/255"; other values as they are."""
    return number(value) if isinstance(value, str) and value[0].isdigit() else value


def merge(path: Path, rows: Sequence[Row], about: Mapping[str, str]) -> None:
    """Write ``rows`` into a CSV in place of those of the same network, budget and cell, if there are any."""
    lines: list[dict[str, Any]] = [asdict(row) | dict(about) for row in rows]
    anew = {_key(line) for line in lines}
    if path.exists():
        with path.open(newline="") as file:
            lines = [line for line in csv.DictReader(file) if _key(line) not in anew] + lines
    order = [cell.name for cell in CELLS]
    write(path, sorted(lines, key=lambda line: order.index(str(line["cell"]))))


def _key(line: Mapping[str, Any]) -> tuple[str, ...]:
    return line["network"], line["eps"], line["cell"]


def write(path: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    """``lines`` as a CSV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [*lines[0]])
        writer.writeheader()
        writer.writerows(lines)
