"""record: train an ensemble of teachers and record its logits, the tape."""

from ataka import networks, plan
from ataka.errors import UserError
from ataka.files import tape
from ataka.files.disk import require_space, sweep
from ataka.files.records import COST
from ataka.machine.meter import Meter
from ataka.objectives.teachers import Teachers
from ataka.plan import Tape
from ataka.stages.common import (
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
from ataka.study import Study
from ataka.study.fields import number
from ataka.training import Failed
from ataka.training import train as run_training


def record(study: Study, root: str, node: Tape) -> None:
    """Train an ensemble of teachers and record their logits; writes the tape, the teachers' weights and history.

    Where another tape holds the very same teachers (`tape.share`), nothing is trained.
    """
    device, progress, meter = device_of(study), progress_of(node), Meter()
    settings = plan.tape_settings(study, node)
    ensemble, arch = plan.ensemble_of(study, node), study.teacher(node.dataset)
    generator, setup = study.generators[ensemble.generator], study.setup(ensemble.setup, node.dataset, arch)
    train, validation = (load_images(study, root, node.dataset, name) for name in (setup.split, "validation"))
    folder = node.folder(root)
    about = {"settings": settings, "settings_sha256": plan.digest(settings), "data_sha256": train.digest()}
    source = plan.source_of(study, node)
    if source:
        reader_of(study, root, source, train)  # refuses a tape of other settings or images
        with writing(folder):
            shared = tape.share(source.manifest(root), folder, ensemble.n, about)
            if shared:
                write_cost(node.manifest(root), meter.read())
                for name in ("run.json", "history.csv"):  # of teachers that were trained here before
                    (folder / name).unlink(missing_ok=True)
        if shared:
            progress.say(f"the kernel of {source.ensemble} was exactly the identity: its first {ensemble.n} serve here")
            return
        progress.say(f"the particles of {source.ensemble} felt each other, so these teachers are trained by themselves")
    facts = study.dataset(node.dataset).specification
    teachers = networks.teachers(arch, facts, ensemble.n, seed=node.seed, device=device, setup=setup)
    states = states_of(study, node, folder, progress, data=about["data_sha256"])
    part = tape.part_of(plan.digest(states.identity))
    writer = tape.Writer(folder, generator.channels, count=len(train), part=part)
    needed = tape.size(len(generator.channels), ensemble.n, len(train), facts.classes) * setup.epochs
    require_space(writer.place, needed)
    with naming(folder), states:
        sweep(writer.place)
        try:
            history = run_training(
                teachers,
                Teachers(generator),
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
        write_run(study, root, node, states.usage, status="finished", resumed=states.resumed)
        writer.finish(about | {"threads": study.threads, "diagnostics": diagnostics} | peaks)
        node.manifest(root).with_suffix(COST).unlink(missing_ok=True)  # of a manifest that was shared before
