"""The ways in which a training can fail: each has a status, and carries the history up to its last epoch."""

History = list[dict[str, float]]
"""A row an epoch."""


class Failed(RuntimeError):
    """A training that came to nothing in ``epoch``, from 1; ``history`` has that epoch's row, too."""

    status: str

    def __init__(self, text: str, epoch: int, history: History) -> None:
        super().__init__(text)
        self.epoch, self.history = epoch, history


class Diverged(Failed):
    """A loss, a weight or a logit is no longer finite; ``step``, from 1, is the first with such a loss or logit."""

    status = "diverged"

    def __init__(self, epoch: int, history: History, step: int | None = None) -> None:
        where = f"epoch {epoch}" if step is None else f"epoch {epoch}, step {step}"
        super().__init__(f"a loss or a weight is no longer finite in {where}", epoch, history)
        self.step = step


class Collapsed(Failed):
    """A network has predicted one class for every probed image for so long that it is taken for dead."""

    status = "collapsed"

    def __init__(self, since: int, epoch: int, history: History) -> None:
        text = f"a network has predicted one class for every image of the probe from epoch {since} to {epoch}"
        super().__init__(text, epoch, history)


class Overfitted(Failed):
    """A network has suddenly lost the robustness that it had been trained to; seen after ``step``, an epoch's last."""

    status = "overfitted"

    def __init__(self, text: str, epoch: int, history: History, step: int) -> None:
        super().__init__(f"{text}; seen as epoch {epoch} ended, after its step {step}", epoch, history)
        self.step = step
