"""The one training loop. A method is an objective; epochs, optimisers, devices and files are the loop's.

Four shapes of training are the same loop: independent networks (natural, SAT, TRADES, MART), distillation from frozen
teachers (ARD, IAD, RSLAD), a student that replays a tape (AT-AKA), and networks trained jointly (AT-AKA's
teachers, CAT-AKA).
"""

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from torch import nn

from ataka.attacks import acceleration
from ataka.attacks.check import AttackError
from ataka.attacks.finite import NotFinite
from ataka.datasets.images import Split, to_unit
from ataka.datasets.specification import Specification
from ataka.errors import UserError
from ataka.files import tape
from ataka.files.resume import States
from ataka.machine.progress import Progress
from ataka.study import Setup
from ataka.training.averaging import Averages
from ataka.training.epoch import Epoch, cuts
from ataka.training.failures import Diverged, History
from ataka.training.forwards import drawing
from ataka.training.meters import Watch, suffixes
from ataka.training.objective import Batch, Objective, budgets_of, losses_of
from ataka.training.precision import generating, updating
from ataka.training.state import Training
from ataka.training.watchers import Accuracy, Best, Collapse, Watcher

if TYPE_CHECKING:
    from ataka.training.probe import Probes

PROBE = 64
"""Validation images used after each epoch to detect collapse. Fewer are too few to detect collapse or catastrophic
overfitting."""


def train(
    networks: Sequence[nn.Module],
    objective: Objective,
    data: Split,
    specification: Specification,
    setup: Setup,
    *,
    seed: int,
    teachers: int = 0,
    reader: tape.Reader | None = None,
    writer: tape.Writer | None = None,
    progress: Progress | None = None,
    states: States | None = None,
    validation: Split | None = None,
    eps: float = 0.0,
) -> History:
    """Train ``networks`` in place on ``data`` (on their device); returns the history, a row an epoch.

    The first ``teachers`` networks are an ensemble's. Their random draws in forwards don't depend on whether students
    train beside them (forwards.py).

    In each batch of an epoch the objective yields a loss for every network, which is back-propagated at once; the
    updates follow the last. As the epoch ends, the watchers add columns to its row or raise a Failed, its tape is
    written, and its state is kept: there an interrupted training resumes. Under ``images: all`` the ``validation``
    images are among ``data``: they show collapse and overfitting as well, but their accuracy is none of validation.
    Where the set-up averages weights, watchers look at the averages, and ``networks`` are these in the end.

    Raises Diverged in the epoch in which a loss or a weight was not finite, within CHECK steps of a loss; Collapsed
    when PROBE images of ``validation`` have been of one class to a network for ``patience`` epochs; Overfitted as soon
    as the probe of an Adversarial objective sees it (probe.py), unless ``setup.probe`` says to record it. Where the
    set-up wants the best epoch's networks (G5), those that are trained within no budget are probed within ``eps``;
    UserError where nothing can be, and NotFinite where an attack meets gradients that are not finite, although each
    weight and logit is.
    """
    progress = progress or Progress.silent()
    for network in networks:
        acceleration.arrange(network, to_unit(data.images[:2]), bfloat16=setup.precision.update == "bfloat16")
    averages = Averages(networks, setup, len(cuts(len(data), setup.batch_size)))
    watchers, watch, best = _watchers(averages, objective, data, validation, specification, setup, seed, eps, progress)
    training = Training(networks, setup, averages, best, writer)
    if states:
        states.restore(training.load_state_dict)
    progress.start(setup.epochs, len(data), done=len(training.history) * len(data))
    with drawing(networks, teachers, seed=seed) as begin:
        for number in range(len(training.history), setup.epochs):
            begin(number)
            epoch = Epoch(number, data, specification, setup, seed=seed)
            for network in networks:
                network.train()
            for batch in epoch.batches(reader, writer, training.update):
                try:
                    with generating(setup.precision), updating(networks, setup.precision):
                        step = _step(training, objective, batch, watch)
                except NotFinite as error:
                    raise error.within(f"epoch {number + 1}, step {watch.steps + 1}") from None
                if step:
                    raise Diverged(number + 1, [*training.history, epoch.row()], step)
                progress.step(len(batch.y), epoch.meter.latest_loss)
            training.end_epoch(epoch)
            _end_epoch(watchers, training.history)
            progress.end_epoch(number + 1, training.history[-1])
            if writer:
                writer.end_epoch(number, epoch.view)
            if states:
                states.keep(f"epoch {number + 1} of {setup.epochs}", training.state_dict)
    training.finish()
    return training.history


def _step(training: Training, objective: Objective, batch: Batch, watch: Watch) -> int | None:
    """Back-propagate each network's loss as it comes, so that only one graph is alive, then update the networks.

    Returns the step with the first loss that is not finite, if it is known already, instead of the update. Raises
    what an attack raises while the weights and logits are finite.
    """
    ends = suffixes(len(training.networks))
    try:
        batch = training.perturbation.add(objective, batch)
        for position, loss in enumerate(losses_of(objective, training.networks, batch)):
            training.descend(position, loss)
            batch.log(f"loss{ends[position]}", loss.detach())
            watch.see(loss.detach())
    except (AttackError, NotFinite) as error:
        if watch.sound() and not _of_logits(error):
            raise
        return watch.look() or watch.steps + 1  # an attack loses its way in NaN
    step = watch.end_step()
    if step is None:
        batch.update()
        training.averages.end_step()
    return step


def _end_epoch(watchers: Sequence[Watcher], history: History) -> None:
    """Let each watcher look; Diverged where outputs overflow, though the weights do not yet."""
    for watcher in watchers:
        try:
            watcher.end_epoch(history)
        except NotFinite as error:
            if _of_logits(error):
                raise Diverged(len(history), history) from None
            raise error.within(f"the end of epoch {len(history)}") from None


def _of_logits(error: Exception) -> bool:
    return isinstance(error, NotFinite) and error.of_logits


def _watchers(
    averages: Averages,
    objective: Objective,
    data: Split,
    validation: Split | None,
    specification: Specification,
    setup: Setup,
    seed: int,
    eps: float,
    progress: Progress,
) -> tuple[list[Watcher], Watch, Best | None]:
    """The watchers of the evaluated networks as each epoch ends, in order; divergence first, so that all are sound."""
    networks = averages.networks
    probed = validation if validation and len(validation) >= PROBE else None
    watch, best = Watch([*averages.trained, *networks] if averages else networks), None
    held_out = validation if setup.images == "rest" else None
    watchers: list[Watcher] = [watch, Accuracy(networks, data, held_out)]
    probes = _probes(networks, objective, probed, len(data), specification, setup, seed, eps, progress)
    if probes:
        watchers.append(probes)
    if probed:
        watchers.append(Collapse(averages, probed.first(PROBE), setup.epochs))
    if setup.checkpoint == "best":
        if not probes:
            raise UserError(
                f"checkpoint: best is chosen by a probe, which needs {PROBE} validation images or more "
                "(data.validation)"
            )
        best = Best(networks, probes.robust)
        watchers.append(best)
    return watchers, watch, best


def _probes(
    networks: Sequence[nn.Module],
    objective: Objective,
    images: Split | None,
    count: int,
    specification: Specification,
    setup: Setup,
    seed: int,
    eps: float,
    progress: Progress,
) -> "Probes | None":
    """The probes of networks that train within a budget, or of all where the best epoch is wanted; else none.

    Their module is loaded by name: the code of their attack is none of a training that has no probe (plan/digests.py).
    """
    budgets, otherwise = budgets_of(objective, len(networks)), eps if setup.checkpoint == "best" else 0.0
    if images is None or setup.probe is None or not (otherwise or any(budgets)):
        return None
    probes: Probes = import_module("ataka.training.probe").Probes(
        networks,
        budgets,
        images,
        setup.probe,
        seed=seed,
        classes=specification.classes,
        otherwise=otherwise,
        last_step=len(cuts(count, setup.batch_size)),
        say=progress.say,
    )
    return probes
