"""record: train an ensemble of teachers and record its logits, the tape."""

from typing import Any

import torch
from torch import nn

from ataka import networks, plan
from ataka.datasets.images import Split, to_unit
from ataka.errors import UserError
from ataka.files import tape
from ataka.files.disk import require_space, sweep
from ataka.files.records import COST
from ataka.machine import ranks, torchrun
from ataka.machine.meter import Meter
from ataka.objectives.teachers import Teachers
from ataka.plan import Tape
from ataka.stages.common import (
    delegated,
    device_of,
    load_images,
    naming,
    progress_of,
    reader_of,
    remedy,
    states_of,
    write_cost,
    write_history,
    write_run,
    writing,
)
from ataka.stages.diagnose import diagnosed
from ataka.stages.spread import Spread, assist
from ataka.study import Setup, Study
from ataka.study.fields import number
from ataka.training import Failed
from ataka.training import train as run_training


def record(study: Study, root: str, node: Tape) -> None:
    """Train an ensemble of teachers and record their logits; writes the tape, the teachers' weights and history.

    Where another tape holds the very same teachers (`tape.share`), nothing is trained. Where the study asks for several
    processes, these are started to train and record, each on a GPU of its own if there are any.
    """
    if not torchrun.is_rank() and _share(study, root, node):
        return
    if delegated(study, "record", node, node.manifest(root)):
        return
    device = device_of(study)
    with ranks.joined(device) as group:
        (_train if group.rank == 0 else _assist)(study, root, node, device, group)


def _share(study: Study, root: str, node: Tape) -> bool:
    """Share the tape that holds these very teachers, if there is one."""
    source = plan.source_of(study, node)
    if not source:
        return False
    progress, meter, folder, n = progress_of(node), Meter(), node.folder(root), plan.ensemble_of(study, node).n
    train = load_images(study, root, node.dataset, _setup(study, node).split)
    reader_of(study, root, source, train)  # refuses a tape of other settings or images
    with writing(folder):
        shared = tape.share(source.manifest(root), folder, n, _about(study, node, train))
        if shared:
            write_cost(node.manifest(root), meter.read())
            for name in ("run.json", "history.csv"):  # of teachers that were trained here before
                (folder / name).unlink(missing_ok=True)
    if shared:
        progress.say(f"the kernel of {source.ensemble} was exactly the identity: its first {n} serve here")
    else:
        progress.say(f"the particles of {source.ensemble} felt each other, so these teachers are trained by themselves")
    return shared


def _train(study: Study, root: str, node: Tape, device: torch.device, group: ranks.Group) -> None:
    """Train and record, as the first process of the ``group``, which may be alone."""
    progress, ensemble, setup = progress_of(node), plan.ensemble_of(study, node), _setup(study, node)
    generator, facts = study.generators[ensemble.generator], study.dataset(node.dataset).specification
    train, validation = (load_images(study, root, node.dataset, name) for name in (setup.split, "validation"))
    folder, about = node.folder(root), _about(study, node, train)
    teachers = _teachers(study, node, device)
    objective = Spread(generator, setup, group, facts.classes) if group.count > 1 else Teachers(generator)
    states = states_of(study, node, folder, progress, data=about["data_sha256"])
    part = tape.part_of(plan.digest(states.identity))
    writer = tape.Writer(folder, generator.channels, count=len(train), part=part)
    needed = tape.size(len(generator.channels), ensemble.n, len(train), facts.classes) * setup.epochs
    require_space(writer.place, needed)
    with naming(folder), states:
        sweep(writer.place)
        if group.count > 1:
            progress.say(f"{group.count} processes train {ensemble.n} teachers")
        try:
            history = run_training(
                teachers,
                objective,
                train.to(device),
                facts,
                setup,
                seed=node.seed,
                teachers=len(teachers),
                writer=writer,
                progress=progress,
                states=states,
                validation=validation.to(device),
                eps=number(study.eps),
            )
        except Failed as error:
            raise UserError(f"{folder}: {error}; {states.last}; {remedy(error, ensemble.setup)}") from None
        writer.keep(teachers)
        write_history(folder / "history.csv", history)
        peaks = {name: max(row[name] for row in history) for name in history[0] if name.endswith("_max")}
        diagnostics = diagnosed(generator, teachers, validation.to(device), node.seed)
        more: dict[str, Any] = {"processes": group.count} if group.count > 1 else {}
        write_run(study, root, node, states.usage, status="finished", resumed=states.resumed, **more)
        writer.finish(about | {"threads": study.threads, "diagnostics": diagnostics} | peaks)
        node.manifest(root).with_suffix(COST).unlink(missing_ok=True)  # of a manifest that was shared before


def _assist(study: Study, root: str, node: Tape, device: torch.device, group: ranks.Group) -> None:
    """Compute the steps of this process's teachers for the first process of the ``group``."""
    setup, generator = _setup(study, node), study.generators[plan.ensemble_of(study, node).generator]
    images = load_images(study, root, node.dataset, setup.split).images[:2]
    assist(group, generator, setup, _teachers(study, node, device), to_unit(images.to(device)), seed=node.seed)


def _setup(study: Study, node: Tape) -> Setup:
    return study.setup(plan.ensemble_of(study, node).setup, node.dataset, study.teacher(node.dataset))


def _teachers(study: Study, node: Tape, device: torch.device) -> list[nn.Module]:
    """The teachers with their initial weights."""
    arch, count = study.teacher(node.dataset), plan.ensemble_of(study, node).n
    facts = study.dataset(node.dataset).specification
    return networks.teachers(arch, facts, count, seed=node.seed, device=device, setup=_setup(study, node))


def _about(study: Study, node: Tape, train: Split) -> dict[str, Any]:
    """The part of a manifest that says what the tape was made from."""
    settings = plan.tape_settings(study, node)
    return {"settings": settings, "settings_sha256": plan.digest(settings), "data_sha256": train.digest()}
