"""Pictures of a scale's results: {root}/pictures/NAME.svg and NAME.pdf, and NAME.txt with the caption.

A picture is a file of this folder, known by its name; a file whose name opens with '_' is none. `Picture` lists the
contents of such a module, and nothing else in the project names it. A picture states the artifacts that it is drawn
from, so that Snakemake makes those first; a picture whose artifacts a scale lacks is left out with a sentence.

This module imports neither torch nor matplotlib: pictures import them where they draw.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

from ataka import plan
from ataka.errors import Unusable, UserError, nearest
from ataka.files.disk import replacing, sha256
from ataka.files.records import read_json
from ataka.plan import Node, Run, Tape, commands
from ataka.study import Study
from report import markdown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FOLDER, PAGE = "pictures", "pictures.md"
"""The names of the pictures' folder and of their page in a results folder."""
SUFFIXES = (".svg", ".pdf", ".txt")
"""The files of a picture; the last one has its caption."""
STYLE = Path(__file__).with_name("paper.mplstyle")
"""The look of every picture."""


class Images(NamedTuple):
    """The prepared images of a data set: ``part`` is train or test."""

    dataset: str
    part: str


Source = Node | Images


class Picture(Protocol):
    """The contents of a picture's module. The data may be of any type that the module itself defines."""

    TITLE: str
    """The heading, without a full stop."""

    def sources(self, study: Study) -> Sequence[Source]:
        """The artifacts that the picture shows; UserError, a clause that says why, where the scale has none."""

    def gather(self, study: Study, root: str, sources: Sequence[Source]) -> Sequence[Any]:
        """The data in the files of ``sources``, checked; empty where these files have nothing that is shown."""

    def draw(self, figure: "Figure", data: Sequence[Any]) -> None:
        """Draw ``data`` on an empty figure in the project's style, and set the figure's height."""

    def caption(self, study: Study, data: Sequence[Any]) -> str:
        """Sentences for a reader who doesn't see the picture: the drawn quantities, and the largest of them."""


@cache
def names() -> tuple[str, ...]:
    """Every picture, in the order of the alphabet."""
    return tuple(sorted(module.name for module in iter_modules(__path__) if not module.name.startswith("_")))


def find(name: str) -> Picture:
    """The picture called ``name``; UserError, with the nearest name, where there is none."""
    if name not in names():
        raise UserError(f"no picture '{name}'{nearest(name, names())}")
    return cast(Picture, import_module(f"{__name__}.{name}"))


def every(study: Study) -> tuple[list[str], list[str]]:
    """The pictures that this scale has data for, and a sentence on each of the others."""
    drawn, reasons = [], []
    for name in names():
        try:
            find(name).sources(study)
            drawn.append(name)
        except UserError as error:
            reasons.append(f"The picture '{name}' is left out: {error}.")
    return drawn, reasons


def path(root: str, name: str, suffix: str = SUFFIXES[0], *, partial: bool = False) -> Path:
    """The file of a picture; a partial picture has other files than the whole one."""
    return Path(root, FOLDER, f"{name}{'.partial' if partial else ''}{suffix}")


def files(study: Study, root: str, name: str) -> list[Path]:
    """The files that a picture is drawn from."""
    return [file for source in find(name).sources(study) for file in files_of(root, source)]


def files_of(root: str, source: Source) -> list[Path]:
    """The files of a source; the history of a tape lies beside its manifest."""
    if isinstance(source, Images):
        return [plan.data_file(root, source.dataset, source.part)]
    if isinstance(source, Run):
        return [source.model(root), source.folder(root) / "history.csv"]
    return [plan.file_of(source, root)]


def in_force(study: Study, node: Node, record: Path) -> dict[str, Any]:
    """The record of an artifact; Unusable if the artifact was made under other settings than those in force."""
    content = read_json(record, "settings_sha256")
    if content["settings_sha256"] != plan.digest(plan.settings_of(study, node)):
        raise Unusable(f"{record} is of an artifact that was made under other settings than those in force")
    return content


def histories(study: Study, root: str, sources: Sequence[Source]) -> Iterator[tuple[Run | Tape, Path]]:
    """The trainings among ``sources`` and their histories; a tape that shares another's teachers has none.

    Unusable for a training under other settings than those in force, and for a history that is not the training's.
    """
    for source in sources:
        if isinstance(source, Run | Tape) and (file := source.folder(root) / "history.csv").exists():
            record = in_force(study, source, file.with_name("run.json"))
            if record.get("history_sha256") != sha256(file):
                raise Unusable(f"{file} was changed after the training wrote it")
            yield source, file


def write(study: Study, root: str, name: str, *, partial: bool = False) -> list[Path]:
    """Draw a picture to its files; ``partial``: from whatever there is now.

    UserError where a file that it needs is missing, or holds nothing that it shows.
    """
    from report.pictures import _drawing

    picture = find(name)
    sources, target = picture.sources(study), str(path(root, name))
    missing = [file for source in sources for file in files_of(root, source) if not file.exists()]
    if missing and not partial:
        raise UserError(f"{missing[0]} is missing; make it: {commands.snakemake(study, target)} (or see --partial)")
    sources = [source for source in sources if all(file.exists() for file in files_of(root, source))]
    data = picture.gather(study, root, sources)
    if not data:
        raise UserError(f"{root} holds nothing yet that the picture '{name}' shows")
    caption = picture.caption(study, data)
    drawn = _drawing.render(picture, data, caption) | {SUFFIXES[-1]: f"{caption}\n".encode()}
    written = [path(root, name, suffix, partial=partial) for suffix in SUFFIXES]
    for file in written:
        with replacing(file) as part:
            part.write_bytes(drawn[file.suffix])
    return written


def write_page(study: Study, root: str) -> Path:
    """A page with every picture of the scale, its caption, and a sentence on each picture that is left out."""
    drawn, reasons = every(study)
    lines = ["# Pictures", "", markdown.escape(f"{study.scale.capitalize()} scale: {study.about.strip().rstrip('.')}.")]
    for name in drawn:
        caption = path(root, name, SUFFIXES[-1])
        if not caption.exists():
            raise UserError(f"{caption} is missing; make it: {commands.snakemake(study, f'{root}/{PAGE}')}")
        text = markdown.escape(caption.read_text(encoding="utf-8").strip())
        links = f"[SVG]({FOLDER}/{name}.svg), [PDF]({FOLDER}/{name}.pdf)"
        lines += [
            "",
            f"## {markdown.escape(find(name).TITLE)}",
            "",
            f"![{text}]({FOLDER}/{name}.svg)",
            "",
            text,
            "",
            links,
        ]
    lines += [line for reason in reasons for line in ("", markdown.escape(reason))]
    page = Path(root, PAGE)
    with replacing(page) as part:
        part.write_text("\n".join([*lines, ""]), encoding="utf-8")
    return page
