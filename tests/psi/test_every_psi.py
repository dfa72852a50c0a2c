"""What every psi promises. Those of ataka/psi are found by being there: a new one is tested without editing this."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ataka import psi
from ataka.psi import Psi
from ataka.study import config
from ataka.study.fields import readings_of
from ataka.study.switches import switches

N, B, C = 3, 8, 5
every_psi = pytest.mark.parametrize("name", psi.names())
every_weighing = pytest.mark.parametrize("name", [name for name in psi.names() if hasattr(psi.find(name), "weights")])

Arguments = tuple[Tensor, Tensor, Tensor | None]


def arguments(form: Psi, n: int = N, *, dtype: torch.dtype = torch.float64, seed: int = 0) -> Arguments:
    """Random outputs of n teachers, labels, and the student's outputs where they are needed."""
    source = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(n + 1, B, C, generator=source, dtype=torch.float64)
    outputs = psi.outputs(form, logits).to(dtype)
    labels = torch.randint(C, (B,), generator=source)
    return outputs[1:], labels, outputs[0] if form.NEEDS_STUDENT else None


def target(form: Psi, given: Arguments) -> Tensor:
    return form.amalgamate(*given, form.Options())


def weights(form: Psi, given: Arguments) -> Tensor:
    found: Tensor = form.weights(*given, form.Options())  # type: ignore[attr-defined]
    return found


def test_the_papers_four_are_there() -> None:
    assert {"naive", "linear", "soft", "pareto"} <= {*psi.names()}
    assert all(psi.source(name) == f"ataka.psi.{name}" for name in psi.names())


@every_psi
def test_has_what_a_psi_has(name: str) -> None:
    form = psi.find(name)
    assert form.OUTPUTS in ("logits", "probabilities")
    assert form.NEEDS_STUDENT in (True, False)
    assert form.Options() == form.Options()


@every_psi
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_target_is_of_the_teachers_shape_dtype_and_kind(name: str, dtype: torch.dtype) -> None:
    form = psi.find(name)
    given = arguments(form, dtype=dtype)
    mixed = target(form, given)
    assert (mixed.shape, mixed.dtype, mixed.device) == ((B, C), dtype, given[0].device)
    assert mixed.isfinite().all()
    if form.OUTPUTS == "probabilities":
        assert (mixed >= 0).all()
        torch.testing.assert_close(mixed.sum(1), torch.ones(B, dtype=dtype))


@every_psi
def test_one_teacher_is_passed_on(name: str) -> None:
    """A15: with n = 1 all coincide."""
    form = psi.find(name)
    given = arguments(form, 1)
    assert torch.equal(target(form, given), given[0][0])


@every_psi
def test_of_teachers_that_agree_the_target_is_what_they_say(name: str) -> None:
    form = psi.find(name)
    teachers, labels, student = arguments(form)
    same = teachers[:1].expand(N, B, C)
    torch.testing.assert_close(target(form, (same, labels, student)), teachers[0])


@every_psi
def test_the_order_of_the_teachers_does_not_matter(name: str) -> None:
    form = psi.find(name)
    teachers, labels, student = given = arguments(form)
    moved = target(form, (teachers[[2, 0, 1]], labels, student))
    torch.testing.assert_close(moved, target(form, given), rtol=0, atol=1e-7)


@every_psi
def test_a_graph_is_kept_where_there_is_one_and_none_is_made(name: str) -> None:
    """C5: a live target reaches every teacher whose output has a part in it; a detached one none."""
    form = psi.find(name)
    teachers, labels, student = given = arguments(form)
    assert not target(form, given).requires_grad
    mixed = target(form, (teachers.clone().requires_grad_(), labels, student))
    assert mixed.requires_grad
    assert torch.autograd.gradcheck(lambda z: target(form, (z, labels, student)), teachers.clone().requires_grad_())


@every_psi
def test_its_arguments_are_left_as_they_were(name: str) -> None:
    form = psi.find(name)
    given, before = arguments(form), arguments(form)
    target(form, given)
    for one, other in zip(given, before, strict=True):
        assert one is other is None or torch.equal(one, other)


@every_weighing
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_weights_lie_on_the_simplex_and_make_the_target(name: str, dtype: torch.dtype) -> None:
    form = psi.find(name)
    given = arguments(form, dtype=dtype)
    shares = weights(form, given)
    assert (shares.shape, shares.dtype) == ((N, B), dtype)
    assert (shares >= 0).all()
    torch.testing.assert_close(shares.sum(0), torch.ones(B, dtype=dtype))
    torch.testing.assert_close(psi.average(shares, given[0]), target(form, given))


@every_weighing
def test_weights_go_along_with_the_teachers(name: str) -> None:
    form = psi.find(name)
    teachers, labels, student = given = arguments(form)
    moved = weights(form, (teachers[[2, 0, 1]], labels, student))
    torch.testing.assert_close(moved, weights(form, given)[[2, 0, 1]], rtol=0, atol=1e-6)


@every_psi
def test_every_reading_of_it_is_documented(name: str) -> None:
    documented = {one.path.rpartition(".options.psi.")[2] for one in switches(config.load())}
    assert {path for path, _, _ in readings_of(psi.find(name).Options())} <= documented


# ---- finding one


def test_one_elsewhere_is_found_by_its_dotted_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "psi_elsewhere").mkdir()
    (tmp_path / "psi_elsewhere/copy.py").write_text("from ataka.psi.soft import *\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert psi.source("psi_elsewhere.copy") == "psi_elsewhere.copy"
    form, soft = psi.find("psi_elsewhere.copy"), psi.find("soft")
    assert torch.equal(target(form, arguments(form)), target(soft, arguments(soft)))


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("sfot", None, "no psi 'sfot'; did you mean 'soft'?"),
        ("nowhere.sfot", None, "no psi 'nowhere.sfot', and no such module is on the Python path"),
        ("", None, "can't import the psi ''"),
        ("psi_broken", "import no_such_thing\n", "No module named 'no_such_thing' (psi_broken.py, line 1)"),
        ("psi_hollow", "OUTPUTS = 'logits'\n", "'psi_hollow' is no psi: it has no NEEDS_STUDENT, no Options, no amalg"),
        (
            "psi_slip",
            "OUTPUTS = 'logit'\nNEEDS_STUDENT = False\nOptions = amalgamate = None\n",
            "psi 'psi_slip': its OUTPUTS are 'logit', not one of ('logits', 'probabilities')",
        ),
    ],
)
def test_what_is_none_is_refused(
    name: str, text: str | None, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if text is not None:
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ValueError, match="psi") as refused:
        psi.find(name)
    assert complaint in str(refused.value)


def test_names_are_known_without_torch() -> None:
    code = "import sys; from ataka import psi; assert psi.names(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=config.HOME, check=True)
