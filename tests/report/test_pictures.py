"""Does a picture show the numbers of its files, in the same bytes each time? Does it say what a scale lacks?"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy
import pytest
import torch
from numpy.testing import assert_allclose
from safetensors.numpy import load_file

import ataka
from ataka import datasets, networks, plan
from ataka.datasets import views
from ataka.datasets.images import Split
from ataka.errors import Unusable, UserError
from ataka.files import tape
from ataka.files.prepared import load_split, save_splits
from ataka.files.records import read_rows
from ataka.files.tensors import save_tensors
from ataka.particles import distances, measure
from ataka.plan import Cell, Run, Tape
from ataka.study import Study, config, layers, words
from ataka.study.fields import number
from report import pictures, sweeps
from report.cli import main
from report.pictures import (
    _drawing,
    budget_and_steps,
    clean_against_robust,
    decision_boundaries,
    fog_strengths,
    particles_of_an_image,
    teacher_agreement,
    training_curves,
)
from tests.report import studies

RISING = {"train_accuracy": (20.0, 60.0, 90.5), "validation_accuracy": (19.0, 50.0, 61.25), "probe": (10.0, 42.5, 30.0)}


def history(**columns: tuple[float, ...]) -> list[dict[str, Any]]:
    """A row for each epoch, with a loss."""
    return [
        {"epoch": epoch, "loss": 1.0, **{name: values[epoch - 1] for name, values in columns.items()}}
        for epoch in range(1, 1 + len(next(iter(columns.values()))))
    ]


def side_by_side(*networks: dict[str, tuple[float, ...]]) -> list[dict[str, Any]]:
    """The history of a joint training."""
    columns = {f"{name}{at}": values for at, network in enumerate(networks) for name, values in network.items()}
    losses = {f"loss{at}": 1.0 for at in range(len(networks))}
    return [{name: value for name, value in row.items() if name != "loss"} | losses for row in history(**columns)]


@pytest.fixture(scope="session")
def histories(tmp_path_factory: pytest.TempPathFactory, study: Study) -> Path:
    root = studies.root(tmp_path_factory.mktemp("histories"))
    for source in training_curves.sources(study):
        assert isinstance(source, Run | Tape)
        joint = isinstance(source, Tape) or study.method(source.method).joint
        rows = side_by_side(RISING, dict.fromkeys(RISING, (0.0, 50.0, 100.0))) if joint else history(**RISING)
        studies.write_history(root, study, source, rows)
        for file in pictures.files_of(str(root), source):
            file.touch()
    return root


@pytest.fixture
def trained(histories: Path, tmp_path: Path) -> Path:
    """A results folder with the history of each training that the curves show."""
    return Path(shutil.copytree(histories, studies.root(tmp_path)))


IMAGES, CLASSES, LEFT_OUT = 12, 10, 5


def write_tape(root: Path, study: Study, source: Tape) -> None:
    """A tape of two epochs; the first one leaves an image out."""
    n = plan.ensemble_of(study, source).n
    writer = tape.Writer(source.folder(root), ["train_adv"], count=IMAGES)
    for epoch in range(2):
        kept = torch.tensor([image for image in range(IMAGES) if epoch or image != LEFT_OUT])
        draw = torch.Generator().manual_seed(epoch)
        logits = torch.randn(1, len(kept), CLASSES, generator=draw) + torch.randn(n, len(kept), CLASSES, generator=draw)
        writer.record(kept, "train_adv", logits)
        writer.end_epoch(epoch, views.view(0, epoch, IMAGES, shift=1, flip=False))
    writer.finish({"settings_sha256": plan.digest(plan.settings_of(study, source)), "data_sha256": ""})


def write_images(root: Path, study: Study, source: pictures.Images) -> None:
    part = Split(
        torch.arange(IMAGES * 64).reshape(IMAGES, 1, 8, 8).remainder(251).to(torch.uint8),
        torch.arange(IMAGES) % CLASSES,
    )
    path = plan.data_file(root, source.dataset, source.part)
    save_splits(path, {source.part: part}, plan.data_settings(study, source.dataset, source.part))


WHOLE = decision_boundaries.SETUP


@pytest.fixture(autouse=True)
def _briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    """The networks in the plane train for two epochs."""
    monkeypatch.setattr(decision_boundaries, "SETUP", WHOLE | {"epochs": 2, "milestones": [1]})


def drawn(name: str, study: Study, root: Path) -> tuple[Any, Any]:
    """A picture's data and figure."""
    picture = pictures.find(name)
    data = picture.gather(study, str(root), picture.sources(study))
    return data, _drawing.figure_of(picture, data)


# ---- every picture


def test_every_picture_says_all_of_itself() -> None:
    for name in pictures.names():
        picture = pictures.find(name)
        assert picture.TITLE
        assert not picture.TITLE.endswith(".")
        assert all(callable(getattr(picture, part)) for part in ("sources", "gather", "draw", "caption"))


@pytest.fixture(scope="session")
def everything(histories: Path, tmp_path_factory: pytest.TempPathFactory, study: Study) -> Path:
    trained = Path(shutil.copytree(histories, studies.root(tmp_path_factory.mktemp("everything"))))
    for name in pictures.names():
        for source in pictures.find(name).sources(study):
            if isinstance(source, Cell) and not source.csv(trained).exists():
                studies.write_cell(trained, study, source)
            if isinstance(source, Tape):
                write_tape(trained, study, source)
            if isinstance(source, pictures.Images):
                write_images(trained, study, source)
            if name == "particles_of_an_image" and isinstance(source, Run):
                network = networks.build(
                    source.arch, datasets.find(source.dataset).specification, device=torch.device("cpu")
                )
                save_tensors(source.model(trained), network.state_dict())
    return trained


@pytest.fixture
def complete(everything: Path, tmp_path: Path) -> Path:
    """A results folder with the files of every picture."""
    return Path(shutil.copytree(everything, studies.root(tmp_path)))


@pytest.mark.parametrize("name", pictures.names())
def test_equal_data_are_equal_bytes_with_title_and_caption(name: str, complete: Path, study: Study) -> None:
    first = {path: path.read_bytes() for path in pictures.write(study, str(complete), name)}
    assert {path.suffix for path in first} == set(pictures.SUFFIXES)
    again = pictures.write(study, str(complete), name)
    assert {path: path.read_bytes() for path in again} == first
    svg, pdf, caption = (first[pictures.path(str(complete), name, suffix)] for suffix in pictures.SUFFIXES)
    tree = ElementTree.fromstring(svg)
    assert tree.findtext("{http://www.w3.org/2000/svg}title") == pictures.find(name).TITLE
    said = " ".join(tree.itertext())
    assert caption.decode().strip() in said
    assert not re.search(rb"<text|/CreationDate|<dc:date>|/Type3", svg + pdf)
    assert float(str(tree.get("width")).removesuffix("pt")) == pytest.approx(8 / 2.54 * 72, abs=0.5)


@pytest.mark.parametrize("name", pictures.names())
def test_no_text_lies_on_another_or_outside(name: str, complete: Path, study: Study) -> None:
    _, figure = drawn(name, study, complete)
    figure.draw_without_rendering()
    page = figure.bbox
    boxes = [(label, box) for label, box in texts(figure) if box.width]
    for label, box in boxes:
        assert box.x0 >= page.x0 - 1, label
        assert box.x1 <= page.x1 + 1, label
    pairs = [(one, other) for at, one in enumerate(boxes) for other in boxes[at + 1 :]]
    crossing = [(one[0], other[0]) for one, other in pairs if one[1].padded(-1).overlaps(other[1].padded(-1))]
    assert crossing == []


def texts(figure: Any) -> list[tuple[str, Any]]:
    """Each text that is shown, and its box in pixels."""
    from matplotlib.text import Text

    hidden = {text for axes in figure.axes for text in _not_drawn(axes)}
    shown = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    return [(text.get_text(), Text.get_window_extent(text)) for text in shown if text not in hidden]  # without arrows


def _not_drawn(axes: Any) -> Iterator[Any]:
    """Texts that matplotlib keeps and doesn't draw: ticks beyond an axis, all of axes that are off."""
    for axis in (axes.xaxis, axes.yaxis):
        low, high = sorted(axis.get_view_interval())
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
            if not (axes.axison and axes.get_visible() and low <= tick.get_loc() <= high):
                yield from (tick.label1, tick.label2)


@pytest.mark.parametrize("name", pictures.names())
def test_a_missing_file_is_named_with_the_command_that_makes_it(name: str, complete: Path, study: Study) -> None:
    files = pictures.files(study, str(complete), name)
    if not files:
        assert pictures.write(study, str(complete / "elsewhere"), name)  # it needs none
        return
    needed = files[-1]
    needed.unlink()
    with pytest.raises(UserError, match=re.escape(f"{needed} is missing; make it: snakemake")):
        pictures.write(study, str(complete), name)


def test_a_picture_whose_data_the_scale_lacks_is_left_out_with_a_sentence(
    trained: Path, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacking(_: Study) -> list[pictures.Source]:
        raise UserError("no such <data>")

    pictures.write(study, str(trained), "training_curves")
    monkeypatch.setattr(pictures, "names", lambda: ("training_curves",))
    page = pictures.write_page(study, str(trained)).read_text(encoding="utf-8")
    assert "(pictures/training_curves.svg)" in page
    assert "left out" not in page
    monkeypatch.setattr(training_curves, "sources", lacking)
    page = pictures.write_page(study, str(trained)).read_text(encoding="utf-8")
    assert "The picture 'training\\_curves' is left out: no such \\<data\\>." in page
    assert ".svg" not in page


def test_an_unknown_picture_is_refused_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["picture", "training_curve", "--root", "results/demo"]) == 2
    assert capsys.readouterr().err == "error: no picture 'training_curve'; did you mean 'training_curves'?\n"


def test_only_drawing_loads_matplotlib_and_nothing_but_pictures_of_networks_loads_torch() -> None:
    script = (
        "import sys\n"
        "from ataka.study import config\n"
        "from report import cli, pictures\n"
        "from report.pictures import _drawing\n"
        "study = config.load('smoke')\n"
        "before = 'torch' in sys.modules\n"  # where the facts of modules aren't kept yet
        "assert pictures.every(study)[0]\n"
        "assert 'matplotlib' not in sys.modules and ('torch' in sys.modules) == before\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_another_process_with_settings_of_its_own_draws_the_same_bytes(
    trained: Path, study: Study, tmp_path: Path
) -> None:
    (tmp_path / "matplotlibrc").write_text("font.size: 20\nsvg.fonttype: none\n", encoding="utf-8")
    here = _drawing.render(*_curves(study, trained), "A caption.")
    script = (
        "import hashlib\n"
        "from report.pictures import _drawing, training_curves\n"
        "curves = training_curves.Curves('(S)AT-AKA', [1, 2], {name: [1.0, 2.0] for name in training_curves.CURVES})\n"
        "drawn = _drawing.render(training_curves, [curves], 'A caption.')\n"
        "print(*(hashlib.sha256(drawn[suffix]).hexdigest() for suffix in sorted(drawn)))\n"
    )
    answers = {
        subprocess.run(
            [sys.executable, "-c", script],
            env=os.environ | {"PYTHONHASHSEED": seed, "MATPLOTLIBRC": str(tmp_path) if seed == "1" else ""},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(answers) == 1
    assert set(here) == {".svg", ".pdf"}


def _curves(study: Study, root: Path) -> tuple[Any, Any]:
    return training_curves, training_curves.gather(study, str(root), training_curves.sources(study))


# ---- training curves


def test_curves_are_those_of_the_histories(trained: Path, study: Study) -> None:
    data, figure = drawn("training_curves", study, trained)
    panels = {axes.get_title(loc="left"): axes for axes in figure.axes if axes.get_title(loc="left")}
    assert len(panels) == len(data) == len(training_curves.sources(study))
    axes = panels["en-SAT"]
    lines = {line.get_label(): line for line in axes.lines}
    for column, (label, _) in training_curves.CURVES.items():
        assert list(lines[label].get_xdata()) == [1, 2, 3]
        assert list(lines[label].get_ydata()) == list(RISING[column])
    assert (lines["best epoch"].get_xdata(), lines["best epoch"].get_ydata()) == ([2], [42.5])
    assert [text.get_text() for text in axes.texts] == ["12.5"]
    teachers = {line.get_label(): line for line in panels["3 teachers, svgd"].lines}
    means = [(a + b) / 2 for a, b in zip(RISING["probe"], (0.0, 50.0, 100.0), strict=True)]
    assert list(teachers["validation images, PGD"].get_ydata()) == means
    assert [text.get_text() for text in panels["3 teachers, svgd"].texts] == ["0.0"]


def test_the_members_of_an_average_are_averaged(tmp_path: Path) -> None:
    from ataka.files.records import write_rows

    rows = [{"member": 0, **row} for row in history(probe=(10.0, 30.0))]
    rows += [{"member": 1, **row} for row in history(probe=(20.0, 10.0))]
    write_rows(tmp_path / "history.csv", rows)
    curves = training_curves.read(tmp_path / "history.csv", "two")
    assert curves is not None
    assert curves.accuracies == {"probe": [15.0, 20.0]}
    assert (curves.best, curves.gap) == (1, 0.0)


def test_a_history_without_a_probe_has_no_panel(tmp_path: Path) -> None:
    from ataka.files.records import write_rows

    write_rows(tmp_path / "history.csv", history(train_accuracy=(1.0, 2.0)))
    assert training_curves.read(tmp_path / "history.csv", "natural") is None


def test_a_history_of_other_settings_or_edited_is_refused(trained: Path, study: Study) -> None:
    source = training_curves.sources(study)[0]
    assert isinstance(source, Run | Tape)
    file = source.folder(trained) / "history.csv"
    other = studies.study(methods={"en-sat": {"options": {"step_size": "7/255"}}}, seeds=[0])
    sat = next(one for one in training_curves.sources(study) if isinstance(one, Run) and one.method == "en-sat")
    with pytest.raises(Unusable, match="other settings"):
        training_curves.gather(other, str(trained), [sat])
    file.write_text(file.read_text(encoding="utf-8").replace("20.0", "21.0"), encoding="utf-8")
    with pytest.raises(Unusable, match="was changed"):
        training_curves.gather(study, str(trained), [source])


# ---- clean against robust accuracy


def accuracy(root: Path, cell: Any) -> float:
    return float(read_rows(cell.csv(root))[0]["accuracy"])


def test_a_point_is_a_network_of_the_tables(complete: Path, study: Study) -> None:
    data, figure = drawn("clean_against_robust", study, complete)
    cells = [cell for cell in clean_against_robust.sources(study) if isinstance(cell, Cell)]
    networks = dict.fromkeys((cell.dataset, cell.arch, cell.method) for cell in cells)
    expected = [
        tuple(accuracy(complete, Cell(*network, study.seeds[0], attack)) for attack in ("clean", "pgd"))
        for network in networks
    ]
    points = [(line.get_xdata()[0], line.get_ydata()[0]) for line in figure.axes[0].lines]
    assert points == expected
    numbers = [text.get_text() for text in figure.axes[0].texts]
    keys = dict(label.get_text().split("  ") for label in figure.legends[1].texts)
    assert [keys[number] for number in numbers] == [words.plain(point.method) for point in data]


def test_several_seeds_are_a_mean(complete: Path) -> None:
    both = studies.study(seeds=[0, 1])
    cells = [Cell("digits", "resnet10-w8", "en-sat", seed, attack) for seed in (0, 1) for attack in ("clean", "pgd")]
    for cell, correct in zip(cells, (300, 100, 310, 120), strict=True):
        studies.write_cell(complete, both, cell, correct=correct, n=360)
    (point,) = clean_against_robust.gather(both, str(complete), cells)
    assert (point.clean, point.robust) == pytest.approx((100 * 305 / 360, 100 * 110 / 360), abs=0.01)


# ---- Fog


def test_a_line_is_a_method_under_fog(complete: Path, study: Study) -> None:
    data, figure = drawn("fog_strengths", study, complete)
    cells = [cell for cell in fog_strengths.sources(study) if isinstance(cell, Cell)]
    lines = {(axes.get_title(loc="left"), line.get_label()): line for axes in figure.axes for line in axes.lines}
    assert len(lines) == len(data) == len(cells) / 2
    line = lines["RN-10 (w 8), digits", "en-TRADES, t4"]
    network = "digits", "resnet10-w8", "en-trades.t4", 0
    assert list(line.get_xdata()) == [128, 256]
    assert list(line.get_ydata()) == [accuracy(complete, Cell(*network, attack)) for attack in ("fog", "fog-256")]


def test_fog_at_one_strength_is_no_picture() -> None:
    study = studies.study(attacks={**studies.SMALL["attacks"], "fog-256": None})
    with pytest.raises(UserError, match="this scale has Fog at 1 strength alone"):
        fog_strengths.sources(study)
    assert (
        "The picture 'fog_strengths' is left out: this scale has Fog at 1 strength alone." in pictures.every(study)[1]
    )


# ---- decision boundaries


def test_a_panel_shows_its_network_at_each_point_of_the_plane(complete: Path, study: Study) -> None:
    """Right of the plane's middle, in the lower half: a network that looks at one coordinate says where up is."""
    points = decision_boundaries._grid()
    for coordinate, rising in ((0, [False, True]), (1, [True, False])):
        logits = torch.tensor(numpy.stack([0 * points[:, coordinate], points[:, coordinate]], 1))
        shown = decision_boundaries._second(logits)
        assert shown.shape == decision_boundaries.GRID[::-1]
        assert [bool((numpy.diff(shown, axis=axis) > 0).all()) for axis in (0, 1)] == rising
        assert_allclose(numpy.log(shown / (1 - shown)).ravel(), points[:, coordinate], atol=1e-12)
    (plane,), figure = drawn("decision_boundaries", study, complete)
    assert [axes.get_title(loc="left") for axes in figure.axes] == [panel.name for panel in plane.panels]
    assert [axes.get_title(loc="right") for axes in figure.axes] == [
        "" if panel.robust is None else f"{panel.robust:.1f}" for panel in plane.panels
    ]
    first = figure.axes[0]
    for label, line in enumerate(first.lines[:2]):
        assert_allclose(line.get_xydata(), plane.points[plane.labels == label])
    corners = [patch.get_xy() for patch in first.patches]
    assert_allclose(corners, plane.points[plane.chosen] - 18 / 255)


def test_adversarial_points_lie_in_the_balls_and_each_teachers_are_its_own(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decision_boundaries, "SETUP", WHOLE | {"epochs": 10, "milestones": [5]})  # till teachers differ
    (plane,) = decision_boundaries.gather(study, "nowhere", [])
    panels = {panel.name: panel for panel in plane.panels}
    around = plane.points[plane.chosen]
    for name in ("SAT", "teacher 1", "teacher 2"):
        distance = numpy.abs(panels[name].adversarial - around).max(1)
        assert (distance <= 18 / 255 + 1e-6).all()
        assert (distance > 0).all()
    assert not numpy.array_equal(panels["teacher 1"].adversarial, panels["teacher 2"].adversarial)
    both = numpy.concatenate([panels["teacher 1"].adversarial, panels["teacher 2"].adversarial])
    assert_allclose(panels["amalgam"].adversarial, both)
    assert len(panels["Natural"].adversarial) == len(panels["student"].adversarial) == 0


def test_balls_are_those_nearest_to_the_other_class_and_do_not_overlap(complete: Path, study: Study) -> None:
    (plane,), _ = drawn("decision_boundaries", study, complete)
    x, y, eps = plane.points.tolist(), plane.labels.tolist(), 18 / 255

    def apart(one: int, other: int) -> float:
        return max(abs(a - b) for a, b in zip(x[one], x[other], strict=True))

    gaps = [min(apart(i, j) for j in range(len(x)) if y[j] != y[i]) for i in range(len(x))]
    assert gaps[plane.chosen[0]] == min(gaps)
    for nearer, place in zip(plane.chosen, plane.chosen[1:], strict=False):
        assert gaps[nearer] <= gaps[place]
    overlapping = [(i, j) for i in plane.chosen for j in plane.chosen if i < j and apart(i, j) <= 2 * eps]
    assert overlapping == []
    rest = [i for i in range(len(x)) if i not in plane.chosen and gaps[i] < gaps[plane.chosen[-1]]]
    assert all(any(apart(i, j) <= 2 * eps for j in plane.chosen) for i in rest)


def test_other_seeds_are_other_points_and_networks(study: Study) -> None:
    planes = [decision_boundaries.gather(studies.study(seeds=[seed]), "nowhere", [])[0] for seed in (0, 1)]
    assert not numpy.array_equal(planes[0].points, planes[1].points)
    for one, other in zip(*(plane.panels for plane in planes), strict=True):
        assert not numpy.allclose(one.probabilities, other.probabilities)


# ---- PGD by its budget and by its steps


def test_a_line_is_a_method_under_pgd(complete: Path, study: Study) -> None:
    data, figure = drawn("budget_and_steps", study, complete)
    upper, lower = figure.axes
    methods = {cell.method for cell in budget_and_steps.sources(study) if isinstance(cell, Cell)}
    assert methods == {"natural", "en-sat", "n-at-aka", "l-at-aka", "s-at-aka", "p-at-aka"}  # the others are planned
    assert len(upper.lines) == len(lower.lines) == len(methods) == len(data) / 2
    attacks = {
        upper: {0: "clean", 13: "pgd-eps-50", 26: "pgd", 52: "pgd-eps-200"},
        lower: {5: "pgd-steps-5", 20: "pgd"},
    }
    for axes, points in attacks.items():
        line = {line.get_label(): line for line in axes.lines}["en-SAT"]
        assert line.get_xdata() == pytest.approx([*points])
        cells = [Cell("digits", "resnet10-w8", "en-sat", 0, attack) for attack in points.values()]
        assert list(line.get_ydata()) == [accuracy(complete, cell) for cell in cells]


def of_pgd(budget: list[float], steps: list[float]) -> list[budget_and_steps.Line]:
    amounts: dict[str, list[float]] = {"budget": [0, 26, 208], "steps": [1, 20, 50]}
    lines = {"budget": budget, "steps": steps}
    return [budget_and_steps.Line(name, "here", "Mine", amounts[name], lines[name]) for name in amounts]


def test_signs_of_masked_gradients_are_in_the_caption(study: Study) -> None:
    sound = budget_and_steps.caption(study, of_pgd([90, 50, 0], [80, 50, 48.5]))
    assert "208/255, no method keeps an image right." in sound
    assert "at most 1.5 points below the one before" in sound
    assert sound.endswith("No line rises from a point to the next.")
    masked = budget_and_steps.caption(study, of_pgd([90, 50, 7.5], [50, 49, 52.25]))
    assert "208/255, Mine keeps most: 7.5 %. An attack without a bound leaves none unless" in masked
    assert masked.endswith("The largest rise from a point to the next is 3.2 points, of Mine by steps.")


@pytest.mark.parametrize("scale", config.scales())
def test_every_scale_has_points_of_both_curves(scale: str) -> None:
    study = config.load(scale)
    assert budget_and_steps.sources(study)
    assert {attack for attack in study.attacks if attack.startswith("pgd-") and study.attacks[attack]} >= (
        sweeps.points(study)
    )
    if scale != "smoke":
        of_eps = [eps / number(study.eps) for eps in sweeps.by_budget(study).values()]
        assert of_eps == pytest.approx([0.25, 0.5, 1, 1.5, 2, 8])
        assert [*sweeps.by_steps(study).values()] == [1, 5, 10, 20, 50]


def test_another_stride_or_another_number_of_images_is_no_point() -> None:
    others = {
        "pgd-eps-50": {"step_size": "2/255"},
        "pgd-steps-5": {"images": 16},
        "mine": {"kind": "pgd", "eps": "39/255", "step_size": "3/255", "steps": 20},
    }
    study = studies.study(attacks=layers.overlay(studies.SMALL["attacks"], others))
    assert [*sweeps.by_budget(study)] == ["pgd", "mine", "pgd-eps-200"]
    assert [*sweeps.by_steps(study)] == ["pgd"]
    with pytest.raises(UserError, match="this scale has PGD of one number of steps alone"):
        budget_and_steps.sources(study)


def test_lines_of_equal_colour_differ_otherwise() -> None:
    looks = [_drawing.look(number) for number in range(21)]
    told = [{key: look.get(key) for key in ("color", "linestyle", "marker", "markerfacecolor")} for look in looks]
    assert all(told.count(look) == 1 for look in told)


# ---- the teachers' agreement


def test_agreement_and_lambda_are_those_of_the_recorded_logits(complete: Path, study: Study) -> None:
    data, figure = drawn("teacher_agreement", study, complete)
    source = teacher_agreement.sources(study)[0]
    assert isinstance(source, Tape)
    agree, right, largest = [], [], []
    for epoch in range(2):
        file = next(source.folder(complete).rglob(f"epoch000{epoch}.safetensors"))
        images = [image for image in range(IMAGES) if epoch or image != LEFT_OUT]
        logits = load_file(file)["train_adv"][:, images].astype(float)
        classes, labels = logits.argmax(2), numpy.arange(IMAGES)[images] % CLASSES
        agree.append(100 * numpy.mean([len(set(column)) == 1 for column in classes.T]))
        right.append(
            100 * numpy.mean([set(column) == {label} for column, label in zip(classes.T, labels, strict=True)])
        )
        losses = numpy.log(numpy.exp(logits).sum(2)) - logits[:, numpy.arange(len(images)), labels]
        weights = numpy.exp(losses) / numpy.exp(losses).sum(0)
        largest.append(weights.max(0).mean())
    left, beside = figure.axes[:2]
    assert len(figure.axes) == 2 * len(data)
    lines = {line.get_label(): line.get_ydata() for line in (*left.lines, *beside.lines)}
    assert_allclose(lines["all predict one class"], agree)
    assert_allclose(lines["all are right"], right)
    assert_allclose(lines["soft"], largest, rtol=1e-6)
    assert_allclose(lines["naive"], [1, 1])
    assert "pareto" not in lines  # its weights depend on the student


def test_a_tape_of_other_settings_is_refused(complete: Path, study: Study) -> None:
    other = studies.study(generators={"svgd": {"step_size": "7/255", "steps": 10}})
    with pytest.raises(Unusable, match="other settings"):
        teacher_agreement.gather(other, str(complete), teacher_agreement.sources(other))


# ---- particles of an image


def test_particles_are_those_that_table_1_measures(complete: Path, study: Study) -> None:
    """Distances and cross-entropies of the drawn particles are ataka/particles.py's of the same image."""
    data, figure = drawn("particles_of_an_image", study, complete)
    run, images = particles_of_an_image.sources(study)
    assert isinstance(run, Run)
    assert isinstance(images, pictures.Images)
    network = ataka.load(run.model(complete))
    split = load_split(plan.data_file(complete, *images), "test").first(study.particles.images)
    for particles in data:
        generator, count = study.generators[particles.generator], study.particles.count
        row = measure(network, split, generator, count=count, seed=run.seed)[0]
        x_adv = torch.tensor(particles.x_adv)[:, None]
        assert {name: value.item() for name, value in distances(x_adv).items()} == pytest.approx(
            {name: row[name] for name in ("l1", "l2", "linf")}
        )
    shown = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    svgd = data[0]
    assert_allclose(shown[0], svgd.image[0])
    assert_allclose(shown[1], svgd.x_adv[0, 0])
    perturbed = shown[1 + particles_of_an_image.SHOWN]
    assert_allclose((perturbed - 0.5) * 2 * 26 / 255, svgd.x_adv[0, 0] - svgd.image[0], atol=1e-6)
