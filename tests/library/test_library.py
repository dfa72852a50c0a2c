"""Does `import ataka` give what it promises, lazily, and the numbers of a study?"""

import pydoc
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import ataka
from ataka import plan
from ataka.errors import UserError
from ataka.library.lazy import SURFACE
from ataka.plan import Run
from ataka.stages.common import load as load_run
from ataka.study import config
from tests import small


def test_the_surface_loads_no_torch_before_it_is_used() -> None:
    listing = "import sys, ataka; dir(ataka); print('torch' in sys.modules, [name for name in dir(ataka)])"
    said = subprocess.run(
        [sys.executable, "-c", listing], capture_output=True, text=True, cwd=config.HOME, check=True
    ).stdout
    assert said.startswith("False")
    assert all(f"'{name}'" in said for name in SURFACE)


@pytest.mark.parametrize("name", SURFACE)
def test_every_name_of_the_surface_is_there_and_documented(name: str) -> None:
    offered = getattr(ataka, name)
    assert offered.__doc__
    assert f"ataka.{name}" in str(ataka.__doc__)
    assert f"`ataka.{name}" in (config.HOME / "docs/library.md").read_text(encoding="utf-8")


def test_help_shows_the_functions_with_their_arguments() -> None:
    text = pydoc.render_doc(ataka, renderer=pydoc.plaintext)
    assert all(f"    {name}(" in text for name in ("evaluate", "load", "tape"))


def test_modules_of_the_surface_need_no_import_of_their_own() -> None:
    """Each in a process that has loaded torch and nothing of ours."""
    program = """
import os, sys, torch

for expression in sys.argv[1:]:
    if child := os.fork():
        assert os.waitpid(child, 0)[1] == 0, expression
    else:
        import ataka, ataka.attacks, ataka.psi
        assert callable(eval(expression))
        os._exit(0)
"""
    expressions = ("ataka.attacks.pgd.attack", "ataka.psi.soft.soft", "ataka.svgd.phi", "ataka.attacks.cw_l2.attack")
    subprocess.run([sys.executable, "-c", program, *expressions], cwd=config.HOME, check=True)


@pytest.mark.parametrize("place", ["ataka.lod", "ataka.attacks.pdg", "ataka.psi.sfot"])
def test_a_name_that_is_not_offered_is_an_attribute_error(place: str) -> None:
    with pytest.raises(AttributeError, match=place.rpartition(".")[2]):
        eval(place, {"ataka": ataka})


class TestOfAStudy:
    """`small`'s study: a network of others, averages, tapes."""

    @pytest.fixture
    def root(self, whole_study: Path) -> Path:
        return whole_study / small.ROOT

    @pytest.mark.parametrize("method", ["natural", "en-sat", "s-at-aka", "published"])
    def test_a_run_is_loaded_as_the_study_loads_it(
        self, method: str, root: Path, small_settings: dict[str, Any]
    ) -> None:
        run = Run(small.D, small.A, method, 0)
        study = config.load("smoke", small_settings)
        theirs = load_run(study, str(root), run, torch.device("cpu"))
        ours = ataka.load(run.model(root))
        x = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
        assert torch.equal(ours(x), theirs(x))
        assert not ours.training

    @pytest.mark.parametrize("method", ["natural", "s-at-aka"])
    def test_an_evaluation_has_the_bits_of_the_studys_cell(
        self, method: str, root: Path, small_settings: dict[str, Any]
    ) -> None:
        network = ataka.load(Run(small.D, small.A, method, 0).model(root))
        evaluation = ataka.evaluate(network, "pgd", small.D, images=12, scale="smoke")
        bits = numpy.load(plan.Cell(small.D, small.A, method, 0, "pgd").bits(root))
        assert evaluation.correct.tolist() == bits.tolist()
        assert evaluation.accuracy == pytest.approx(100 * bits.mean())

    def test_an_evaluation_keeps_the_images_that_it_judged(self, root: Path) -> None:
        network = ataka.load(Run(small.D, small.A, "natural", 0).model(root))
        evaluation = ataka.evaluate(network, "fgsm", small.D, images=9, eps="20/255")
        with torch.no_grad():
            assert torch.equal(network(evaluation.x_adv).argmax(1) == evaluation.y, evaluation.correct)
        distances = (evaluation.x_adv - evaluation.x).abs().flatten(1).amax(1)
        assert (distances <= 20 / 255 + 1e-6).all()
        assert distances.max() > 19 / 255
        low, high = evaluation.interval
        assert low <= evaluation.accuracy <= high
        assert str(evaluation).startswith("fgsm: ")

    def test_images_of_ones_own_are_attacked_alike(self, root: Path) -> None:
        network = ataka.load(Run(small.D, small.A, "natural", 0).model(root))
        named = ataka.evaluate(network, "pgd", small.D, images=7, scale="smoke")
        given = ataka.evaluate(network, "pgd", (named.x, named.y), scale="smoke")
        assert torch.equal(named.x_adv, given.x_adv)
        with pytest.raises(UserError, match="multiples of 1/255"):
            ataka.evaluate(network, "pgd", (named.x * 0.3, named.y), scale="smoke")

    def test_a_tapes_logits_are_those_recorded(self, root: Path) -> None:
        tape = ataka.tape(root / small.TAPE)
        (part,) = [folder for folder in (root / small.TAPE).iterdir() if folder.is_dir() and folder.name[0] != "."]
        recorded = load_file(part / f"epoch{len(tape) - 1:04d}.safetensors")["train_adv"]
        assert torch.equal(tape.logits(-1), recorded)
        assert recorded.shape == (3, 24, 10)
        for epoch, channel in ((len(tape), "train_adv"), (0, "trian_adv")):
            with pytest.raises(UserError, match=r"no epoch|did you mean 'train_adv'"):
                tape.logits(epoch, channel)

    def test_a_tape_of_shared_teachers_has_the_first_ones(self, root: Path) -> None:
        whole, shared = (ataka.tape(root / f"{small.TAPES}/{small.TEACHER}-x{n}-svgd/seed0") for n in (3, 2))
        assert torch.equal(shared.logits(0), whole.logits(0)[:2])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"images": 0}, "images: 0 are asked for, but there are 360"),
        ({"images": 20_000}, "images: 20000 are asked for, but there are 360"),
        ({"network": "my.pt"}, "network: an object of type str; give an nn.Module, as ataka.load returns"),
        (
            {"network": nn.Sequential(nn.Flatten(), nn.Linear(64, 100))},
            r"gives \(2, 100\) for two images of 10 classes",
        ),
        ({"data": "cifar10"}, r"can't take images of shape \(2, 3, 32, 32\)"),
        ({"attack": "pdg"}, "no attack 'pdg'"),
        ({"stepz": 3}, "did you mean 'steps'"),
    ],
)
def test_what_no_evaluation_can_use_is_refused_by_name(given: dict[str, Any], message: str) -> None:
    usual = {"network": nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), "attack": "pgd", "data": "digits"}
    with pytest.raises(UserError, match=message):
        ataka.evaluate(**usual | given)


def test_a_network_without_a_gradient_is_refused_by_attacks_alone() -> None:
    """Clean accuracy needs none; an attack would end in a message of autograd's."""

    class Masked(nn.Module):
        inside = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.inside(x).detach()

    assert len(ataka.evaluate(Masked(), "clean", "digits", images=5).x) == 5
    own = torch.zeros(3, 1, 8, 8, dtype=torch.uint8), torch.zeros(3, dtype=torch.int64)
    for data in ("digits", own):
        with pytest.raises(UserError, match="Masked: no gradient leads from its logits to its images"):
            ataka.evaluate(Masked(), "fgsm", data)


def test_a_number_of_images_is_noted_among_the_settings() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    evaluation = ataka.evaluate(network, "fgsm", "digits", images=5)
    assert (len(evaluation.x), evaluation.attack["images"]) == (5, 5)


def test_a_stranger_is_told_which_network_fits(tmp_path: Path) -> None:
    from ataka import models

    torch.save(models.build("resnet18-w16", classes=10).state_dict(), tmp_path / "my.pt")
    with pytest.raises(UserError, match=r"doesn't fit .* The file fits resnet18-w16 with 10 classes\."):
        ataka.load(tmp_path / "my.pt", arch="mobilenetv2", dataset="cifar10")


def test_loading_draws_nothing_from_the_global_stream(tmp_path: Path) -> None:
    from ataka import models

    torch.save(models.build("resnet10-w8", classes=10, channels=1).state_dict(), tmp_path / "my.pt")
    before = torch.get_rng_state()
    ataka.load(tmp_path / "my.pt", arch="resnet10-w8", dataset="digits")
    assert torch.equal(torch.get_rng_state(), before)


def test_the_notebook_runs(whole_study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cell by cell, on the study that tests have; every figure shows something."""
    pytest.importorskip("matplotlib")
    nbformat = pytest.importorskip("nbformat")
    monkeypatch.setenv("MPLBACKEND", "agg")
    from matplotlib import pyplot

    book = nbformat.read(config.HOME / "docs/library.ipynb", as_version=4)
    nbformat.validate(book)
    scope: dict[str, Any] = {}
    for cell in book.cells:
        if cell.cell_type == "code":
            assert not cell.outputs
            source = cell.source.replace("results/demo", str(whole_study / small.ROOT))
            exec(compile(source, "docs/library.ipynb", "exec"), scope)
    figures = [pyplot.figure(number) for number in pyplot.get_fignums()]
    pyplot.close("all")
    assert len(figures) == 3
    assert all(axis.has_data() for figure in figures for axis in figure.axes)
    assert scope["verdicts"].x_adv.shape == (64, 1, 8, 8)
    assert scope["particles"].shape == (6, 1, 1, 8, 8)
