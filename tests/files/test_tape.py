"""Is replaying a tape the same as having stood beside the teachers, and does a tape refuse everybody else?"""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from ataka import training
from ataka.datasets import views
from ataka.datasets.images import Split, to_unit
from ataka.datasets.views import View
from ataka.errors import UserError
from ataka.files import tape
from ataka.files.tensors import load_tensors
from ataka.objectives import at_aka
from ataka.objectives.teachers import Teachers, generate
from ataka.training import Batch
from ataka.training.epoch import streams_of
from tests import tiny

CPU = torch.device("cpu")
ALL = ("train_adv", "eval_adv", "updated")
PSI = ("naive", "linear", "soft", "pareto")
SEED, COUNT = 5, 14


def teachers(n: int = 2) -> list[nn.Module]:
    return [tiny.convolutional(100 + index) for index in range(n)]


def record(
    folder: Path, *, n: int = 2, count: int = COUNT, seed: int = SEED, part: str = "", **generator: Any
) -> list[nn.Module]:
    """Train teachers, write their tape, return them."""
    asked = tiny.generator(channels=ALL, **generator)
    writer = tape.Writer(folder, asked.channels, count=count, part=part)
    networks, images = teachers(n), tiny.split(count)
    training.train(networks, Teachers(asked), images, tiny.FACTS, tiny.setup(), seed=seed, writer=writer)
    writer.finish({"settings_sha256": "settings", "data_sha256": images.digest()})
    return networks


def open_tape(folder: Path, settings_sha256: str = "settings", count: int = COUNT) -> tape.Reader:
    digest = tiny.split(count).digest()
    return tape.Reader(folder / "manifest.json", settings_sha256=settings_sha256, data_sha256=digest)


def view(epoch: int = 0, seed: int = SEED, count: int = COUNT, **facts: Any) -> View:
    return views.view(seed, epoch, count, **{"shift": tiny.FACTS.shift, "flip": tiny.FACTS.flip} | facts)


def options(amalgamation: str, **readings: Any) -> at_aka.Options:
    return at_aka.Options(amalgamation=amalgamation, **readings)


def replay(folder: Path, student: nn.Module, objective: Any, count: int = COUNT, **setup: Any) -> None:
    reader = open_tape(folder, count=count)
    training.train([student], objective, tiny.split(count), tiny.FACTS, tiny.setup(**setup), seed=SEED, reader=reader)


def beside(
    student: nn.Module, objective: at_aka.Student, count: int = COUNT, n: int = 2, **generator: Any
) -> list[nn.Module]:
    """Train teachers and student together; the teachers."""
    networks = [*teachers(n), student]
    online = at_aka.Online(Teachers(tiny.generator(channels=ALL, **generator)), objective)
    training.train(networks, online, tiny.split(count), tiny.FACTS, tiny.setup(), seed=SEED)
    return networks[:-1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one tape of all tests, which none may change."""
    made = tmp_path_factory.mktemp("tape")
    record(made)
    return made


@pytest.fixture
def own(folder: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(folder, tmp_path / "own"))


# ---- the same student, bit for bit


@pytest.mark.parametrize("arch", tiny.ARCHITECTURES)
@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("psi", PSI)
def test_one_tape_gives_every_student_that_stood_beside_the_teachers(
    folder: Path, psi: str, alpha: float, arch: str
) -> None:
    objective = at_aka.Student(options(psi), alpha=alpha)
    joint, replayed = tiny.ARCHITECTURES[arch](7), tiny.ARCHITECTURES[arch](7)
    before = tiny.state(replayed)
    beside(joint, objective)
    replay(folder, replayed, objective)
    assert tiny.same(tiny.state(joint), tiny.state(replayed))
    assert not tiny.same(before, tiny.state(replayed))


@pytest.mark.parametrize("channel", ALL[1:])
@pytest.mark.parametrize("psi", PSI)
def test_the_other_channels_give_the_same_student_too(folder: Path, psi: str, channel: str) -> None:
    objective = at_aka.Student(options(psi, logits=channel), alpha=0.5)
    joint, replayed, default = (tiny.dense(7) for _ in range(3))
    beside(joint, objective)
    replay(folder, replayed, objective)
    replay(folder, default, at_aka.Student(options(psi), alpha=0.5))
    assert tiny.same(tiny.state(joint), tiny.state(replayed))
    assert not tiny.same(tiny.state(default), tiny.state(replayed))


def test_particles_that_are_dealt_out_anew_are_so_for_a_tape_too(folder: Path, tmp_path: Path) -> None:
    """G10; and the teachers are others than where each keeps its own."""
    alone = record(tmp_path, assignment="shuffled")
    joint, replayed = tiny.dense(7), tiny.dense(7)
    objective = at_aka.Student(options("soft"), alpha=0.5)
    accompanied = beside(joint, objective, assignment="shuffled")
    replay(tmp_path, replayed, objective)
    assert tiny.same(tiny.state(joint), tiny.state(replayed))
    fixed = beside(tiny.dense(7), objective)
    for one, other, without in zip(alone, accompanied, fixed, strict=True):
        assert tiny.same(tiny.state(one), tiny.state(other))
        assert not tiny.same(tiny.state(one), tiny.state(without))


def test_amalgamation_alpha_and_readings_matter(folder: Path) -> None:
    """Else the equalities above would say nothing."""
    students = []
    for choice, alpha in [
        *((options(psi), 0.5) for psi in PSI),
        (options("soft"), 0.3),
        (options("soft", mse="mean"), 0.5),
        (options("naive", psi={"follow": "easiest"}), 0.5),
        (options("pareto", psi={"weights_per": "batch"}), 0.5),
        *((options("soft", logits=channel), 0.5) for channel in ALL[1:]),
    ]:
        student = tiny.dense(7)
        replay(folder, student, at_aka.Student(choice, alpha=alpha))
        students.append(tiny.state(student))
    for index, first in enumerate(students):
        assert not any(tiny.same(first, second) for second in students[index + 1 :])


@pytest.mark.parametrize("arch", tiny.ARCHITECTURES)
def test_a_student_leaves_no_trace_in_the_teachers(tmp_path: Path, arch: str) -> None:
    alone = record(tmp_path)
    student = tiny.ARCHITECTURES[arch](7)
    accompanied = beside(student, at_aka.Student(options("pareto"), alpha=0.9))
    for first, second in zip(alone, accompanied, strict=True):
        assert tiny.same(tiny.state(first), tiny.state(second))


def test_where_the_kernel_is_the_identity_a_teacher_knows_nothing_of_the_others(tmp_path: Path) -> None:
    two, three = record(tmp_path / "2", n=2), record(tmp_path / "3", n=3)
    for first, second in zip(two, three, strict=False):
        assert tiny.same(tiny.state(first), tiny.state(second))
    logits = [open_tape(tmp_path / name).epoch(0, view(), CPU)["train_adv"] for name in "23"]
    assert torch.equal(logits[0], logits[1][:2])


def test_with_a_wide_kernel_teachers_do_meet(tmp_path: Path) -> None:
    two, three = (record(tmp_path / str(n), n=n, bandwidth=10.0) for n in (2, 3))
    assert not tiny.same(tiny.state(two[0]), tiny.state(three[0]))


def test_equal_recordings_are_equal_bytes(folder: Path, tmp_path: Path) -> None:
    record(tmp_path)
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["epoch0000.safetensors", "epoch0001.safetensors", "manifest.json"]
    assert all((folder / name).read_bytes() == (tmp_path / name).read_bytes() for name in names)


def test_a_tape_stays_whole_until_the_one_that_takes_its_place_is(tmp_path: Path) -> None:
    first, second = "0" * 12, "1" * 12
    record(tmp_path, part=first)
    kept = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    writer = tape.Writer(tmp_path, ALL, count=COUNT, part=second)
    images = tiny.split(COUNT)
    training.train(
        teachers(), Teachers(tiny.generator(channels=ALL)), images, tiny.FACTS, tiny.setup(), seed=SEED, writer=writer
    )
    assert set(kept) < {*tmp_path.rglob("*")}
    assert open_tape(tmp_path).epoch(1, view(1), CPU).keys() == {*ALL}
    writer.finish({"settings_sha256": "settings", "data_sha256": images.digest()})
    assert {path.name for path in tmp_path.iterdir()} == {second, "manifest.json"}
    assert open_tape(tmp_path).epoch(1, view(1), CPU).keys() == {*ALL}


# ---- what is on the tape


def test_the_channels_are_what_the_teachers_said_of_each_image(tmp_path: Path) -> None:
    """Epoch 0's eval_adv of the first batch can be recomputed from the initial teachers."""
    record(tmp_path)
    said = open_tape(tmp_path).epoch(0, view(), CPU)
    assert {name: (tuple(logits.shape), logits.dtype) for name, logits in said.items()} == dict.fromkeys(
        ALL, ((2, COUNT, tiny.CLASSES), torch.float32)
    )
    seen: list[Batch] = []

    class Listener(Teachers):
        def losses(self, networks: Sequence[nn.Module], batch: Batch) -> Iterator[Tensor]:
            seen.append(batch)
            return super().losses(networks, batch)

    listener = Listener(tiny.generator(channels=ALL))
    training.train(teachers(), listener, tiny.split(COUNT), tiny.FACTS, tiny.setup(epochs=1), seed=SEED)
    first = seen[0]
    fresh = streams_of(SEED, 0, CPU)
    untouched = teachers()
    batch = Batch(first.x, first.y, first.index, fresh)
    particles = generate(tiny.generator(), [network.train() for network in untouched], batch)
    for i, network in enumerate(untouched):
        with torch.no_grad():
            assert torch.equal(said["eval_adv"][i, first.index], network.eval()(particles[i]))
            assert torch.equal(said["train_adv"][i, first.index], network.train()(particles[i]))


def test_updated_is_what_the_teachers_say_in_eval_mode_after_their_step(tmp_path: Path) -> None:
    """C11, of one step in all: it makes the teachers that are left, and a tape without the channel has the same.

    Their running statistics moved once, by the update's own forward.
    """
    left: list[list[nn.Module]] = []
    for channels in (ALL, ("train_adv",)):
        writer = tape.Writer(tmp_path / str(len(channels)), channels, count=COUNT)
        networks, setup = teachers(), tiny.setup(epochs=1, batch_size=COUNT)
        objective = Teachers(tiny.generator(channels=channels))
        training.train(networks, objective, tiny.split(COUNT), tiny.FACTS, setup, seed=SEED, writer=writer)
        left.append(networks)
    assert all(tiny.same(tiny.state(one), tiny.state(other)) for one, other in zip(*left, strict=True))
    assert all(network[0][1].num_batches_tracked == 1 for network in left[0])
    said = load_tensors(tape.epoch_file(tmp_path / "3", 0))
    epoch_view = view()
    images, order = epoch_view.apply(tiny.split(COUNT).images), epoch_view.order
    batch = Batch(to_unit(images), tiny.split(COUNT).labels[order], order, streams_of(SEED, 0, CPU))
    untouched = [network.train() for network in teachers()]
    for i, x_adv in enumerate(generate(tiny.generator(), untouched, batch)):
        with torch.no_grad():
            assert torch.equal(said["updated"][i, order], left[0][i].eval()(x_adv))
            assert torch.equal(said["eval_adv"][i, order], untouched[i].eval()(x_adv))
    assert not torch.equal(said["updated"], said["eval_adv"])


@pytest.mark.parametrize(("count", "left_out"), [(13, 1), (14, 0), (12, 0)])
def test_only_an_image_left_alone_is_left_out(tmp_path: Path, count: int, left_out: int) -> None:
    """Batches of four: 12 + 2 keeps the short batch, 12 + 1 drops it, and nobody reads its NaN."""
    record(tmp_path, count=count)
    for epoch in range(2):
        epoch_view = view(epoch, count=count)
        for logits in open_tape(tmp_path, count=count).epoch(epoch, epoch_view, CPU).values():
            silent = logits.isnan().all(-1).all(0)
            assert torch.equal(silent, logits.isnan().any(-1).any(0))
            assert silent.nonzero().flatten().tolist() == epoch_view.order[count - left_out :].tolist()
    read: list[int] = []

    class Watchful(at_aka.Student):
        def losses(self, networks: Sequence[nn.Module], batch: Batch) -> Iterator[Tensor]:
            assert all(bool(logits.isfinite().all()) for logits in batch.recorded.values())
            read.extend(batch.index.tolist())
            return super().losses(networks, batch)

    joint, replayed = tiny.dense(7), tiny.dense(7)
    objective = Watchful(options("linear"), alpha=0.5)
    replay(tmp_path, replayed, objective, count=count)
    assert len(read) == 2 * (count - left_out)
    beside(joint, objective, count=count)
    assert tiny.same(tiny.state(joint), tiny.state(replayed))


def test_a_student_may_stop_before_its_tape_ends(folder: Path) -> None:
    replay(folder, tiny.dense(7), at_aka.Student(options("soft"), alpha=0.5), epochs=1)


def test_a_writer_wants_every_channel_and_takes_no_other(tmp_path: Path) -> None:
    writer = tape.Writer(tmp_path, ["train_adv"], count=4)
    writer.record(torch.tensor([2]), "particles", torch.ones(2, 1, 3))
    with pytest.raises(RuntimeError, match="train_adv"):
        writer.end_epoch(0, view())
    writer.record(torch.tensor([2]), "train_adv", torch.ones(2, 1, 3))
    writer.end_epoch(0, view())
    assert torch.equal(writer_epoch(tmp_path)[:, 2], torch.ones(2, 3))
    assert not (tmp_path / "manifest.json").exists()


def writer_epoch(folder: Path) -> Tensor:
    (channel,) = load_tensors(tape.epoch_file(folder, 0)).values()
    return channel


# ---- what it refuses


def refused(action: Callable[[], object]) -> str:
    with pytest.raises(UserError) as caught:
        action()
    return str(caught.value)


def test_other_teachers_are_refused(folder: Path) -> None:
    message = refused(lambda: open_tape(folder, settings_sha256="other"))
    assert str(folder / "manifest.json") in message
    assert "other settings" in message
    assert message.endswith("; record it again")


@pytest.mark.parametrize("change", ["a pixel", "a label", "order", "fewer"])
def test_other_images_are_refused(folder: Path, change: str) -> None:
    images = tiny.split(COUNT)
    if change == "a pixel":
        images.images[3, 0, 2, 2] ^= 1
    elif change == "a label":
        images.labels[3] = (images.labels[3] + 1) % tiny.CLASSES
    elif change == "order":
        images = Split(images.images.flip(0), images.labels.flip(0))
    else:
        images = images.first(COUNT - 1)
    path = folder / "manifest.json"
    message = refused(lambda: tape.Reader(path, settings_sha256="settings", data_sha256=images.digest()))
    assert str(path) in message
    assert "other training images" in message


@pytest.mark.parametrize(
    "other",
    [view(seed=SEED + 1), view(epoch=1), view(shift=2), view(shift=0), view(flip=False), view(count=COUNT - 1)],
    ids=["seed", "epoch", "shift", "no shift", "no flip", "count"],
)
def test_another_view_is_refused(folder: Path, other: View) -> None:
    message = refused(lambda: open_tape(folder).epoch(0, other, CPU))
    assert str(folder / "epoch0000.safetensors") in message
    assert "another view" in message


def test_a_student_of_another_seed_is_refused(folder: Path) -> None:
    objective = at_aka.Student(options("soft"), alpha=0.5)
    reader, images = open_tape(folder), tiny.split(COUNT)
    assert "another view" in refused(
        lambda: training.train([tiny.dense()], objective, images, tiny.FACTS, tiny.setup(), seed=6, reader=reader)
    )


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(epoch=st.integers(0, 1), place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_one_flipped_bit_is_found(own: Path, epoch: int, place: float, bit: int) -> None:
    path = tape.epoch_file(own, epoch)
    whole = path.read_bytes()
    spoilt = bytearray(whole)
    spoilt[int(place * len(whole))] ^= 1 << bit
    path.write_bytes(spoilt)
    message = refused(lambda: open_tape(own).epoch(epoch, view(epoch), CPU))
    path.write_bytes(whole)
    assert str(path) in message
    assert "damaged" in message
    open_tape(own).epoch(epoch, view(epoch), CPU)


@pytest.mark.parametrize(
    ("damage", "word"), [("truncate", "damaged"), ("delete", "missing"), ("swap", "damaged"), ("empty", "damaged")]
)
def test_spoilt_epochs_are_named(own: Path, damage: str, word: str) -> None:
    first, second = (tape.epoch_file(own, epoch) for epoch in (0, 1))
    if damage == "delete":
        second.unlink()
    else:
        second.write_bytes({"truncate": second.read_bytes()[:-1], "swap": first.read_bytes(), "empty": b""}[damage])
    reader = open_tape(own)
    reader.epoch(0, view(), CPU)
    message = refused(lambda: reader.epoch(1, view(1), CPU))
    assert str(second) in message
    assert word in message


def test_a_student_that_wants_more_epochs_is_refused(folder: Path) -> None:
    objective = at_aka.Student(options("soft"), alpha=0.5)
    message = refused(lambda: replay(folder, tiny.dense(), objective, epochs=3))
    assert f"{folder / 'manifest.json'} has 2 epochs" in message


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"format": 2}', '{"format": "1"}', "null"])
def test_another_manifest_is_refused(own: Path, content: str) -> None:
    path = own / "manifest.json"
    path.write_text(content)
    assert str(path) in refused(lambda: open_tape(own))


@pytest.mark.parametrize("key", ["epochs", "settings_sha256", "data_sha256", "format"])
def test_a_manifest_without_a_key_is_refused(own: Path, key: str) -> None:
    path = own / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest[key]
    path.write_text(json.dumps(manifest))
    assert str(path) in refused(lambda: open_tape(own).epoch(0, view(), CPU))


def test_an_unfinished_tape_is_no_tape(own: Path) -> None:
    (own / "manifest.json").unlink()
    assert f"{own / 'manifest.json'} is missing" in refused(lambda: open_tape(own))


def test_an_epochs_size_is_known_beforehand(folder: Path) -> None:
    """But for safetensors' header."""
    path = tape.epoch_file(folder, 0)
    logits = load_tensors(path)
    expected = sum(tape.size(1, *channel.shape) for channel in logits.values())
    assert expected < path.stat().st_size < expected + 500
