"""Do our cells and the calls of others meet on the same images and starts, and does docs/peers.md say what was seen?"""

import csv
import dataclasses
import textwrap
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from ataka import streams
from ataka.attacks import aa_parts
from ataka.datasets.images import Split
from ataka.study.attacks import find
from bench import networks
from bench.peers import __main__ as command
from bench.peers import calls, cells, page, surprises

OURS = {cell.name: cell for cell in cells.CELLS}


@pytest.fixture
def target() -> cells.Target:
    return cells.Target("tiny", networks.build("resnet10-w8").requires_grad_(False), "1/255")


@pytest.fixture
def split(target: cells.Target) -> Split:
    images = torch.randint(0, 256, (8, 3, 32, 32), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    with torch.no_grad():
        return Split(images, target.network(images / 255).argmax(1))


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch) -> list[calls.Call]:
    """The calls that there are, none at first: those of a library that every environment has can be added."""
    monkeypatch.setattr(calls, "CALLS", listed := [])
    return listed


def test_a_transcription_of_pgd_has_our_clamped_starts(
    target: cells.Target, split: Split, only: list[calls.Call]
) -> None:
    """From torch's global generator, as other libraries draw: the images are ours but for rounding."""

    def theirs(net: nn.Module, x: Tensor, y: Tensor, eps: float, step_size: float, steps: int) -> Tensor:
        x_adv = (x + (2 * torch.rand(x.shape) - 1) * eps).clamp(0, 1)
        for _ in range(steps):
            x_adv = x_adv.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(nn.functional.cross_entropy(net(x_adv), y), x_adv)
            x_adv = (x + (x_adv.detach() + step_size * gradient.sign() - x).clamp(-eps, eps)).clamp(0, 1)
        return x_adv

    only.append(calls.Call("torch", "pgd", theirs))
    cell = dataclasses.replace(OURS["pgd"], options={"step_size": "0.0005", "steps": 2})
    switched, unclamped, clamped = cells.beside(target, cell, split)
    assert (switched.library, unclamped.library, clamped.library) == ("ataka", "torch", "torch")
    assert float(clamped.largest) < page.ROUNDING < float(unclamped.largest)
    assert clamped.stand_ours == clamped.stand_theirs
    assert clamped.differ == 0
    assert "clamp_start" in clamped.ours


def test_the_package_called_on_our_chunks_has_our_bits(target: cells.Target, split: Split) -> None:
    """pyautoattack is among our own requirements; the other libraries are left out where they aren't installed."""
    cell, few = dataclasses.replace(OURS["apgd-ce"], chunk=2), split.first(3)
    (call,) = (call for call in calls.of("apgd-ce") if call.library == "pyautoattack")
    theirs = cells._theirs(target, cell, few, call, {**cell.options, "eps": target.eps})
    assert torch.equal(cells._ours(target, cell, few, {}), theirs)


def test_a_call_gets_chunks_and_their_seeds_and_leaves_no_trace(target: cells.Target, split: Split) -> None:
    seen: list[tuple[int, int, int]] = []

    def theirs(net: nn.Module, x: Tensor, y: Tensor, seed: int) -> float:
        seen.append((len(x), seed, torch.initial_seed()))
        net.train()
        return 1.0 if len(x) == 3 else 0.0

    before = torch.get_rng_state()
    cell = dataclasses.replace(OURS["apgd-ce"], chunk=3)
    share = cells._theirs(target, cell, split, calls.Call("torch", "apgd-ce", theirs), {"eps": target.eps})
    of_starts = streams.seed_of(cells.SEED, "evaluate", "apgd_ce")
    sizes = (3, 3, 2)
    assert seen == [(size, aa_parts.chunk_seed(cells.SEED, i), of_starts) for i, size in enumerate(sizes)]
    assert share == 6 / 8
    assert torch.equal(torch.get_rng_state(), before)
    assert not any(module.training for module in target.network.modules())


def test_too_far_in_l2_counts_as_standing(split: Split, target: cells.Target) -> None:
    judge = cells.Judge(target.network, split, 0.5)
    gray = torch.full((8, 3, 32, 32), 0.5)
    assert judge.stand(gray).all()
    assert cells.Judge(target.network, split, None).stand(split.pixels()).all()


@pytest.mark.parametrize("call", calls.CALLS, ids=lambda call: f"{call.cell}-{call.library}")
def test_a_call_asks_for_settings_that_its_cell_has(call: calls.Call) -> None:
    cell = OURS[call.cell]
    known = {*cell.options, "seed", "start", *(["eps"] if cell.budget else [])}
    assert set(call.needs) <= known
    compile("def call():\n" + textwrap.indent(call.text, "    "), call.library, "exec")


@pytest.mark.parametrize("cell", cells.CELLS, ids=lambda cell: cell.name)
def test_a_cell_has_options_of_its_attack(cell: cells.Cell) -> None:
    from ataka.study import config

    settings = config.load(cells.SCALE).attack(cell.attack).settings
    options = find(settings["kind"]).Options
    for change in ({}, *cell.variants.values()):
        assert {*cell.options, *change} <= {*options.model_fields}, cell.name
    assert cell.chunk is None or "chunk" in options.model_fields
    assert cell.budget == ("eps" in options.model_fields) or cell.name == "clean"


def test_code_that_asks_for_cuda_gets_the_cpu() -> None:
    with calls.OnTheCpu():
        made = torch.rand(2, device="cuda"), torch.full((2,), 1.0, device="cuda"), torch.ones(2).cuda()
        nn.CrossEntropyLoss().cuda()
    assert {each.device.type for each in made} == {"cpu"}


def test_what_surprises_has_a_sentence_and_an_advice() -> None:
    for library, function in surprises.FUNCTIONS:
        surprise, advice = surprises.words(function)
        assert surprise.endswith("."), library
        assert advice.endswith("."), library


# ---- the page


def _row(**changes: object) -> cells.Row:
    (call,) = (call for call in calls.of("fgsm") if call.library == "foolbox")
    row = cells.Row(
        "Robust",
        "8/255",
        "fgsm",
        "foolbox",
        "3.3.4",
        call.text,
        "eps: 8/255",
        20,
        9,
        7,
        7,
        0,
        "0.0e+00",
        "yes",
        "1",
        "2",
    )
    return dataclasses.replace(row, **changes)  # type: ignore[arg-type]


def test_the_page_is_made_from_the_csv_and_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "peers"
    rows = [_row(), _row(network="Natural", equal="no", largest="6.0e-08")]
    cells.merge(folder / "cells.csv", rows, page.about())
    assert command.main(["--folder", str(folder), "page"]) == 0
    text = (tmp_path / "peers.md").read_text()
    assert "| Natural, 8/255 | foolbox | eps: 8/255 | 20 | 9, 7, 7 | 0 | 6.0e-08 | no | 1, 2 |" in text
    assert "| [fgsm](#fgsm) |  | foolbox |  |  |  |" in text  # the worse of both networks
    assert "attack = foolbox.attacks.FGSM(random_start=False)" in text
    assert command.main(["--folder", str(folder), "--check"]) == 0
    cells.merge(folder / "cells.csv", [_row(stand_theirs=6, differ=1, equal="no", largest="3.1e-02")], page.about())
    assert command.main(["--folder", str(folder), "--check"]) == 2
    assert "is not what its CSVs give" in capsys.readouterr().err
    assert page._best(page._read(folder / "cells.csv")) == "other verdicts"


def test_agreement_on_images_that_no_attack_fools_says_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "peers"
    cells.merge(folder / "cells.csv", [_row(right=7)], page.about())
    assert page._best(page._read(folder / "cells.csv")) == "no image fell"


def test_a_cell_that_is_measured_again_takes_the_place_of_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "cells.csv"
    cells.merge(path, [_row(), _row(eps="1/255")], {"machine": "here"})
    cells.merge(path, [_row(images=5)], {"machine": "there"})
    with path.open(newline="") as file:
        lines = [(line["eps"], line["images"], line["machine"]) for line in csv.DictReader(file)]
    assert sorted(lines) == [("1/255", "20", "here"), ("8/255", "5", "there")]


def test_the_page_on_record_is_of_the_calls_and_pins_of_now() -> None:
    """A call that was changed since it was measured has no place on the page."""
    pins = dict(line.split("==") for line in Path("bench/peers/requirements.txt").read_text().split() if "==" in line)
    present = {(call.cell, call.library, call.text) for call in calls.CALLS}
    rows = page._read(page.FOLDER / "cells.csv")
    for row in rows:
        if row["library"] != cells.OURS:
            assert (row["cell"], row["library"], row["call"]) in present
    for row in [*rows, *page._read(page.FOLDER / "surprises.csv")]:
        name = calls.DISTRIBUTIONS.get(row["library"], row["library"])
        assert name not in pins or row["version"] == pins[name]
    assert rows
    assert page.check(page.FOLDER) == 0


def test_an_unknown_cell_is_refused() -> None:
    with pytest.raises(SystemExit, match="no cell fgms; there are clean, fgsm"):
        command.main(["fgms"])
