"""An epoch: which images it shows, in which batches, and the random streams that an objective draws from meanwhile."""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from ataka import streams
from ataka.datasets.images import Split, to_unit
from ataka.datasets.specification import Specification
from ataka.datasets.views import view
from ataka.files import tape
from ataka.study import Setup
from ataka.training.meters import Meter
from ataka.training.objective import Batch, ignore
from ataka.training.schedule import learning_rate


class Epoch:
    """One pass over the training images, ``number`` from 0: a pure function of the seed and that number."""

    def __init__(self, number: int, data: Split, specification: Specification, setup: Setup, *, seed: int) -> None:
        self.number, self.data, self.setup = number, data, setup
        self.device = data.images.device
        augments = setup.augmentation == "crop-flip"
        shift, flip = (specification.shift, specification.flip) if augments else (0, False)
        self.view = view(seed, number, len(data), shift=shift, flip=flip)
        self.stream = streams_of(seed, number, self.device)
        self.cuts = cuts(len(data), setup.batch_size)
        self.learning_rate = self._rate(len(self.cuts) - 1)
        """The learning rate of the last step."""
        self.meter = Meter()

    def batches(
        self, reader: tape.Reader | None, writer: tape.Writer | None, update: Callable[[float], None]
    ) -> Iterator[Batch]:
        """The epoch's batches, as the objective sees them: a batch reads a tape, writes another, may ``update`` early.

        ``update`` takes the learning rate.
        """
        recorded = reader.epoch(self.number, self.view, self.device) if reader else {}
        order = self.view.order.to(self.device)
        for step, ((start, stop), x) in enumerate(zip(self.cuts, self.images(), strict=True)):
            index = order[start:stop]
            yield Batch(
                x=x,
                y=self.data.labels[index],
                index=index,
                stream=self.stream,
                recorded={name: logits[:, index] for name, logits in recorded.items()},
                record=partial(writer.record, index) if writer else ignore,
                log=partial(self.meter.add, stop - start),
                smoothing=self.setup.smoothing,
                update=partial(update, self._rate(step)),
                progress=self.number / self.setup.epochs,
            )

    def images(self) -> Iterator[Tensor]:
        """The epoch's images, x of each batch."""
        images = self.view.apply(self.data.images)
        return (to_unit(images[start:stop]) for start, stop in self.cuts)

    def _rate(self, step: int) -> float:
        return learning_rate(self.setup, self.number, step, len(self.cuts))

    def row(self) -> dict[str, float]:
        """The epoch's row of the history, so far."""
        return {"epoch": self.number + 1, "learning_rate": self.learning_rate, **self.meter.row()}


def cuts(count: int, size: int) -> list[tuple[int, int]]:
    """The (start, stop) of an epoch's batches. A last batch of one image is left out: it has no batch statistics."""
    bounds = [(start, min(start + size, count)) for start in range(0, count, size)]
    return [(start, stop) for start, stop in bounds if stop - start > 1]


def streams_of(seed: int, epoch: int, device: torch.device) -> Callable[..., torch.Generator]:
    """The random streams of an epoch, by purpose and index; each is opened once and drawn from batch after batch."""
    opened: dict[tuple[str | int, ...], torch.Generator] = {}

    def stream(*name: str | int) -> torch.Generator:
        if name not in opened:
            opened[name] = streams.generator(seed, *name, "epoch", epoch, device=device)
        return opened[name]

    return stream
