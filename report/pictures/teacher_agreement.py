"""Do the teachers agree, and does an amalgamation choose among them? From the tapes of the tables' first students.

lambda are the weights of the teachers in eqs. 4 to 6, of the methods that replay a tape; those of eq. 7 depend on the
student, and no tape has them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ataka import plan
from ataka.errors import UserError
from ataka.plan import Run, Tape
from ataka.study import Study, config, words
from report import catalogue
from report.accuracies.accuracy_table import AccuracyTable
from report.grammar import counted
from report.pictures import Images, Source, in_force
from report.pictures._drawing import WIDTH, look, text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Teachers' agreement and the weights of the amalgamations"
AGREEMENT = {
    "agree": ("all predict one class", {"color": "#000000"}),
    "right": ("all are right", {"color": "#0072B2", "linestyle": "--"}),
    "wrong": ("all are wrong", {"color": "#D55E00", "linestyle": ":"}),
}


@dataclass(frozen=True)
class Teachers:
    """The predictions of a tape's teachers on training images, epoch by epoch."""

    label: str
    shares: dict[str, list[float]]
    """In per cent of the images."""
    largest: dict[str, list[float]]
    """The mean over images of the largest lambda, by amalgamation."""


def sources(study: Study) -> list[Source]:
    """The tapes with several teachers behind the first data set and student of each table, and the labels."""
    tapes = dict.fromkeys(tape for tape, _ in _replays(study) if plan.ensemble_of(study, tape).n > 1)
    if not tapes:
        raise UserError("no table of this scale has a student of several teachers' tape")
    return [*tapes, *dict.fromkeys(Images(tape.dataset, "train") for tape in tapes)]


def _replays(study: Study) -> Iterator[tuple[Tape, Run]]:
    """Each tape with the students that replay it."""
    for table in catalogue.every(study)[0]:
        if isinstance(table, AccuracyTable):
            block = table.blocks(study)[0]
            for name in table.methods(study):
                run = Run(block.dataset, block.arch, name, study.seeds[0])
                if not study.method(name).planned and (tape := plan.tape_of(study, run)):
                    yield tape, run


def gather(study: Study, root: str, sources: Sequence[Source]) -> list[Teachers]:
    """The agreement of each tape's teachers and the largest weights, by epoch."""
    from ataka.files.prepared import load_split

    labels = {}
    for tape in (source for source in sources if isinstance(source, Tape)):
        images = Images(tape.dataset, "train")
        if images in sources:
            part = plan.trained_on(study, tape)
            file, about = plan.data_file(root, *images), plan.data_settings(study, *images)
            labels[tape] = load_split(file, part, about).labels
    return [_teachers(study, root, tape, of_tape) for tape, of_tape in labels.items()]


def _teachers(study: Study, root: str, tape: Tape, labels: Any) -> Teachers:
    import ataka
    from ataka import psi

    manifest = tape.manifest(root)
    in_force(study, tape, manifest)
    recorded, ensemble = ataka.tape(manifest), plan.ensemble_of(study, tape)
    shares: dict[str, list[float]] = {name: [] for name in AGREEMENT}
    students = [run for replayed, run in _replays(study) if replayed == tape]
    options = [config.options(study, run.method, run.dataset, run.arch) for run in students]
    weighed = {each.amalgamation: each for each in options if each.weights and not each.function.NEEDS_STUDENT}
    largest: dict[str, list[float]] = {name: [] for name in weighed}
    for epoch in range(len(recorded)):
        logits = recorded.logits(epoch)
        seen = logits.isfinite().all(-1).all(0)
        logits, y = logits[:, seen], labels[seen]
        classes = logits.argmax(-1)
        right = classes == y
        counts = {"agree": (classes == classes[0]).all(0), "right": right.all(0), "wrong": (~right).all(0)}
        for name, images in counts.items():
            shares[name].append(100 * images.double().mean().item())
        for name, each in weighed.items():
            weights = each.weights(psi.outputs(each.function, logits), y, None, each.psi)
            largest[name].append(weights.amax(0).double().mean().item())
    return Teachers(f"{counted(ensemble.n, 'teacher')}, {ensemble.generator}", shares, largest)


def draw(figure: "Figure", data: Sequence[Teachers]) -> None:
    """Two panels for each tape: agreement on the left, the largest weights on the right."""
    from matplotlib.ticker import MaxNLocator

    amalgamations = list(dict.fromkeys(name for teachers in data for name in teachers.largest))
    figure.set_size_inches(WIDTH, 1.2 * len(data) + 0.3 + 0.14 * max(len(AGREEMENT), len(amalgamations)))
    panels = figure.subplots(len(data), 2, squeeze=False, sharex=True)
    shares: dict[str, Any] = {}
    weights: dict[str, Any] = {}
    for (left, right), teachers in zip(panels, data, strict=True):
        epochs = range(1, 1 + len(teachers.shares["agree"]))
        few: dict[str, Any] = {"marker": "o"} if len(epochs) == 1 else {}
        for name, (label, shown) in AGREEMENT.items():
            (shares[name],) = left.plot(epochs, teachers.shares[name], label=label, **shown, **few)
        for name, values in teachers.largest.items():
            shown = look(amalgamations.index(name)) | {"markevery": 0.25}
            (weights[name],) = right.plot(epochs, values, label=text(name), **shown)
        left.set_title(text(teachers.label), loc="left")
        left.set(ylim=(0, 100), ylabel="images (%)")
        right.set(ylim=(0, 1.05), ylabel="largest λ")
        left.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    figure.legend(handles=list(shares.values()), loc="outside upper left")
    if weights:
        figure.legend(handles=list(weights.values()), loc="outside upper right")
    figure.supxlabel("epoch")


def caption(study: Study, data: Sequence[Teachers]) -> str:
    """The meaning of both panels, and the teachers that agree least."""
    least = min(data, key=lambda teachers: teachers.shares["agree"][-1])
    return (
        f"The teachers of {counted(len(data), 'tape')} on the training images of each epoch, in their own updates: "
        f"adversarial and augmented (seed {study.seeds[0]}). Left: the share of images on which all predict one class, "
        "all are right, or all are wrong. Right: the largest weight λ of a teacher in each amalgamation, averaged over "
        "images; among n teachers, 1/n says that all count alike, and 1 that one alone counts. The teachers that agree "
        f"least in the last epoch, on {least.shares['agree'][-1]:.1f} % of the images: {words.plain(least.label)}."
    )
