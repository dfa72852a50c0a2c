"""Is a folder of images in classes read in a fixed order and pixel by pixel, and is each mistake in it said?"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from PIL import Image

from ataka import plan
from ataka.datasets import folders
from ataka.errors import UserError
from ataka.study import Study, config
from ataka.study.config import HOME

ENTRY = {"folder": "mine", "label": "Mine", "shift": 1, "flip": True}
CLASSES = ("Zebra", "ant", "bee")  # in the order of their characters
SIZE = 9


@pytest.fixture(autouse=True)
def no_other_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real data's folder would take precedence over that of a test."""
    monkeypatch.delenv("ATAKA_DATA", raising=False)


def pixels(number: int, channels: int = 3) -> Any:
    """An image (SIZE, SIZE, channels) of its own."""
    return numpy.random.default_rng(number).integers(0, 256, (SIZE, SIZE, channels), dtype=numpy.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data set of 3 classes: 60 training and 9 test images, PNG files whose pixels are those of their number."""
    number = 0
    for split, count in (("train", 20), ("test", 3)):
        for name in CLASSES:
            (tmp_path / "mine" / split / name).mkdir(parents=True)
            for index in range(count):
                Image.fromarray(pixels(number)).save(tmp_path / "mine" / split / name / f"{index:02}.png")
                number += 1
    return tmp_path / "mine"


def study(place: Path, **entry: Any) -> Study:
    sizes = {"train": 30, "validation": 9, "test": 6, "folder": str(place.parent)}
    without_images = {name: {"images": None} for name in ("aa",)}
    changes = {"data": sizes, "datasets": {"mine": ENTRY | entry}, "teachers": {"mine": "wrn10-1"}}
    return config.load("smoke", changes | {"attacks": without_images, "selection": {"attack": {"images": None}}})


def test_every_image_has_the_label_of_its_folder(folder: Path) -> None:
    (images, labels), (test_images, test_labels) = study(folder).dataset("mine").load(Path("nowhere"))
    assert (images.dtype, labels.dtype, images.shape) == (torch.uint8, torch.int64, (60, 3, SIZE, SIZE))
    assert labels.bincount().tolist() == [20] * 3
    assert test_labels.bincount().tolist() == [3] * 3
    known = {pixels(number).transpose(2, 0, 1).tobytes(): number for number in range(69)}
    numbers = [known.pop(image.numpy().tobytes()) for image in [*images, *test_images]]
    assert not known
    assert labels.tolist() == [number // 20 for number in numbers[:60]]
    assert test_labels.tolist() == [(number - 60) // 3 for number in numbers[60:]]


def test_the_first_images_are_of_all_classes(folder: Path) -> None:
    """A scale tests on the first so many: class by class they would be of one."""
    (_, labels), (_, test_labels) = folders.load(folder, 3)
    assert set(labels[:12].tolist()) == set(test_labels[:6].tolist()) == {0, 1, 2}
    order = sorted(folder.glob("test/*/*"), key=lambda file: hashlib.sha256(name_of(file).encode()).hexdigest())
    assert test_labels.tolist() == [CLASSES.index(file.parent.name) for file in order]


def name_of(file: Path) -> str:
    return f"{file.parent.name}/{file.name}"


def test_the_order_is_not_that_in_which_files_were_written(folder: Path) -> None:
    before = folders.load(folder, 3)
    other = folder.parent / "other"
    for file in sorted(folder.rglob("*.png"), reverse=True):
        (other / file.relative_to(folder)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, other / file.relative_to(folder))
    for (images, labels), (others, their_labels) in zip(before, folders.load(other, 3), strict=True):
        assert torch.equal(images, others)
        assert torch.equal(labels, their_labels)
    assert folders.digest(other) == folders.digest(folder)


def test_its_facts_are_those_of_entry_and_folder(folder: Path) -> None:
    facts = study(folder).dataset("mine").specification
    assert (facts.label, facts.shift, facts.flip, facts.mean) == ("Mine", 1, True, None)
    assert (facts.classes, facts.channels, facts.size, facts.images) == (3, 3, SIZE, (60, 9))
    for one in (1, "1"):  # --config makes text of it
        assert study(folder, channels=one).dataset("mine").specification.channels == 1


def test_reading_them_needs_no_torch(folder: Path) -> None:
    code = "import sys\nfrom pathlib import Path\nfrom ataka.datasets import folders\npath = Path(sys.argv[1])\n"
    code += "print(folders.form(path, 3).classes, len(folders.digest(path)), 'torch' in sys.modules)"
    command = [sys.executable, "-c", code, str(folder)]
    process = subprocess.run(command, cwd=HOME, capture_output=True, text=True, check=True)
    assert process.stdout.split() == ["3", "64", "False"]


def replaced(folder: Path, image: Image.Image, name: str = "05.png", **options: Any) -> Path:
    """Put ``image`` in place of a training image of the second class."""
    (folder / "train/ant/05.png").unlink()
    image.save(folder / "train/ant" / name, **options)
    return folder / "train/ant" / name


def read(folder: Path, channels: int = 3) -> Any:
    """The pixels (channels, H, W) of the image that was replaced."""
    names = sorted(map(name_of, folder.glob("train/*/*")), key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    (place,) = (at for at, name in enumerate(names) if name.startswith("ant/05."))
    return folders.load(folder, channels)[0][0][place].numpy()


GREY, COLOUR = pixels(100, 1)[..., 0], pixels(101)
OPAQUE = numpy.full((SIZE, SIZE, 1), 255, dtype=numpy.uint8)


@pytest.mark.parametrize("name", ["05.png", "05.bmp", "05.tif", "05.webp"])
def test_colour_is_itself_in_every_format(folder: Path, name: str) -> None:
    lossless = {"lossless": True} if name.endswith("webp") else {}
    replaced(folder, Image.fromarray(COLOUR), name, **lossless)
    assert numpy.array_equal(read(folder), COLOUR.transpose(2, 0, 1))


def test_a_jpeg_is_as_pillow_decodes_it(folder: Path) -> None:
    file = replaced(folder, Image.fromarray(COLOUR), "05.jpg", quality=90)
    assert numpy.array_equal(read(folder), numpy.asarray(Image.open(file)).transpose(2, 0, 1))


def test_grey_is_in_each_channel(folder: Path) -> None:
    replaced(folder, Image.fromarray(GREY))
    assert numpy.array_equal(read(folder), numpy.stack([GREY] * 3))
    assert numpy.array_equal(read(folder, channels=1), GREY[None])


def test_black_and_white_is_0_and_255(folder: Path) -> None:
    replaced(folder, Image.fromarray(GREY > 99))
    assert numpy.array_equal(read(folder, channels=1)[0], numpy.where(GREY > 99, 255, 0))


def test_a_palette_is_its_colours(folder: Path) -> None:
    palette = Image.fromarray(COLOUR).quantize(16)
    replaced(folder, palette)
    colours = numpy.array(palette.getpalette(), dtype=numpy.uint8).reshape(-1, 3)
    assert numpy.array_equal(read(folder), colours[numpy.asarray(palette)].transpose(2, 0, 1))


def test_colour_becomes_grey_by_its_weights(folder: Path) -> None:
    replaced(folder, Image.fromarray(COLOUR))
    weighted = COLOUR.astype(float) @ [0.299, 0.587, 0.114]
    assert numpy.abs(read(folder, channels=1)[0] - weighted).max() < 0.51


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("base", [GREY[..., None], COLOUR], ids=["grey", "colour"])
def test_an_opaque_alpha_is_dropped(folder: Path, base: Any, channels: int) -> None:
    replaced(folder, Image.fromarray(base.squeeze()))
    without = read(folder, channels)
    Image.fromarray(numpy.concatenate([base, OPAQUE], 2)).save(folder / "train/ant/05.png")
    assert numpy.array_equal(read(folder, channels), without)


def test_hidden_files_are_left_out(folder: Path) -> None:
    before = folders.digest(folder)
    (folder / "train/ant/.DS_Store").write_bytes(b"x")
    (folder / "train/.cache").mkdir()
    assert folders.form(folder, 3).images == (60, 9)
    assert folders.digest(folder) == before


def test_a_name_may_have_any_bytes(folder: Path) -> None:
    (folder / "train/ant/05.png").rename(folder / "train/ant" / os.fsdecode(b"\xff.png"))
    assert folders.load(folder, 3)[0][0].shape == (60, 3, SIZE, SIZE)
    assert len(folders.digest(folder)) == 64


def test_names_and_bytes_decide_what_is_made_again(folder: Path) -> None:
    def digests(**entry: Any) -> str:
        return plan.digest(plan.data_settings(study(folder, **entry), "mine", "train"))

    images = digests()
    assert digests(label="Ours", shift=2) == images
    assert digests(channels=1) != images
    (folder / "test/bee/02.png").rename(folder / "test/bee/03.png")
    renamed = digests()
    assert renamed != images
    (folder / "test/bee/03.png").unlink()
    Image.fromarray(COLOUR).save(folder / "test/bee/03.png")
    assert digests() not in (images, renamed)
    assert plan.data_code(study(folder), "mine") == ("ataka.datasets.splits", "ataka.datasets.folders")


def spoil(folder: Path, case: str) -> None:
    """Make one mistake in the data set."""
    file = folder / "train/ant/05.png"
    match case:
        case "no test":
            shutil.rmtree(folder / "test")
        case "no class":
            shutil.rmtree(folder / "train")
            (folder / "train").mkdir()
        case "empty class":
            (folder / "train/cat").mkdir()
        case "other class":
            (folder / "test/bee").rename(folder / "test/wasp")
        case "unequal":
            Image.fromarray(COLOUR[:8, :8]).save(file)
        case "oblong":
            Image.fromarray(COLOUR[:8]).save(folder / "train/Zebra/00.png")
        case "tiny":
            Image.fromarray(COLOUR[:7, :7]).save(folder / "train/Zebra/00.png")
        case "cut short":
            file.write_bytes(file.read_bytes()[:-60])
        case "text":
            file.write_text("hello")
        case "empty file":
            file.write_bytes(b"")
        case "folder":
            (folder / "train/ant/more").mkdir()
        case "transparent":
            Image.fromarray(numpy.concatenate([COLOUR, OPAQUE - 1], 2)).save(file)
        case "deep":
            Image.fromarray(GREY.astype(numpy.uint16) * 257).save(file)
        case "frames":
            frames = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
            file.unlink()
            frames[0].save(file.with_suffix(".gif"), save_all=True, append_images=frames[1:])


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("no test", r"there is no folder .*mine/test: a data set's folder has train/CLASS/ and test/CLASS/ in it"),
        ("no class", r"mine/train has no folders of classes"),
        ("empty class", r"mine/train/cat is empty: each class has an image"),
        ("other class", r"mine: train/ and test/ have other classes: only one of them has .*bee.*wasp"),
        ("unequal", r"ant/05.png has 8 x 8 pixels, but the first image has 9 x 9: scale them"),
        ("oblong", r"Zebra/00.png has 9 x 8 pixels, but networks take square images of at least 8 x 8"),
        ("tiny", r"Zebra/00.png has 7 x 7 pixels, but networks take square images of at least 8 x 8"),
        ("cut short", r"ant/05.png is damaged: "),
        ("text", r"ant/05.png is no image that Pillow can read; remove it, or mend it"),
        ("empty file", r"ant/05.png is no image that Pillow can read"),
        ("folder", r"ant/more is a folder, but a class's folder holds images alone"),
        ("transparent", r"ant/05.png has transparent pixels: put it on a background"),
        ("deep", r"ant/05.png has pixels of mode I;16, but 8 bits a channel are needed: convert it"),
        ("frames", r"ant/05.gif has several frames; an image has one"),
    ],
)
def test_what_is_wrong_is_said(folder: Path, case: str, message: str) -> None:
    spoil(folder, case)
    with pytest.raises(UserError, match=message):
        folders.load(folder, 3)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"folder": "nowhere"}, r"data set 'mine': there is no folder .*/nowhere \(datasets.mine.folder below data"),
        ({"file": "mine.npz"}, r"datasets.mine: give a file of arrays or a folder of images, one of both"),
        ({"folder": None}, r"datasets.mine: give a file of arrays or a folder of images, one of both"),
        ({"folder": None, "file": "mine.npz", "channels": 1}, r"datasets.mine: channels is for a folder of images"),
        ({"channels": 2}, r"datasets.mine: channels is 1 for grey images, or 3, not 2"),
        ({"mean": [0.5], "std": [0.2]}, r"datasets.mine.mean: 1 numbers, but the images have 3 channels"),
    ],
)
def test_a_mistaken_entry_is_refused(folder: Path, entry: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        study(folder, **entry).dataset("mine")
