"""Data sets and a network of one's own, as CONTRIBUTING.md has them, with their files outside the checkout."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy
import pytest

from tests.workflow.driver import Answer, Checkout, ask_all
from tests.workflow.recipe import Own, Recipe, follow, write

SHORT = "results/smoke/short"
TITLES = {
    "mine": "A data set of your own",
    "scans": "A data set with a loader of its own",
    "tiny": "A network of your own",
}


class Lab:
    """A checkout that has Table 2, beside a user's folder of modules and tables, and the recipe ``name``."""

    def __init__(self, name: str, checkout: Checkout, elsewhere: Path) -> None:
        self.recipe, self.checkout = Recipe.read(TITLES[name]), Own(checkout.folder, elsewhere)
        self.data = checkout.folder / "data"
        self.table = Path(self.checkout.environment["HOME"], "tables/short.yaml")

    def follow(self) -> Answer:
        """The recipe's steps."""
        for module in self.recipe.blocks("python"):
            (path,) = self.recipe.quoted(r"\*\*One file\*\*, say `(.+?)`")
            write(self.checkout.modules / Path(path).name, module)
        for entry in self.recipe.blocks("yaml"):
            (path,) = self.recipe.quoted(r"\*\*One entry\*\* in a scale's file, say `(.+?)`")
            scale = self.checkout.folder / path.replace("demo", "smoke")
            scale.write_text(f"{scale.read_text(encoding='utf-8')}\n{entry}", encoding="utf-8")
        (table,) = Recipe.read("A table of your own").blocks("yaml")
        word, path = self.recipe.quoted(r"\*\*One word\*\* in a table of your own: `(.+?)`, say in `~/(.+?)` below")
        assert Path(self.checkout.environment["HOME"], path) == self.table
        key = word.partition(":")[0]
        write(self.table, re.sub(rf"^{key}: .*$", word, table, flags=re.MULTILINE))
        self.command = self.recipe.commands()[-1]
        return follow(self.checkout, self.command)

    def ask(self) -> Answer:
        """What the same command would do now."""
        return follow(self.checkout, [*self.command[:3], "-n", *self.command[3:]])

    def page(self) -> str:
        return (self.checkout.folder / f"{SHORT}.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def labs(copy_of_built: Callable[[], Checkout], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Lab]:
    labs = {name: Lab(name, copy_of_built(), tmp_path_factory.mktemp(name)) for name in TITLES}
    for lab in labs.values():
        lab.data.mkdir()
    source = numpy.random.default_rng(0)
    numpy.savez(labs["mine"].data / "mine.npz", **images(0))
    scans = {"images": source.integers(0, 256, (2000, 12, 12), dtype=numpy.uint8), "labels": numpy.arange(2000) % 4}
    numpy.savez(labs["scans"].data / "scans.npz", **scans)
    return labs


def images(seed: int) -> dict[str, numpy.ndarray]:
    """Colour images of 3 classes, channels last."""
    source = numpy.random.default_rng(seed)
    x_train, x_test = (source.integers(0, 256, (count, 8, 8, 3), dtype=numpy.uint8) for count in (200, 40))
    return {"x_train": x_train, "y_train": numpy.arange(200) % 3, "x_test": x_test, "y_test": numpy.arange(40) % 3}


@pytest.fixture(scope="module")
def done(labs: dict[str, Lab]) -> dict[str, Answer]:
    return ask_all({name: lab.follow for name, lab in labs.items()})


def jobs(dataset: str, arch: str) -> list[str]:
    """All that a table of natural training and one student needs where nothing is made."""
    runs = ["natural", "s-at-aka", "s-at-aka/alpha0.1", "s-at-aka/alpha0.5"]
    return [
        *(f"train {dataset} {arch} {run} seed 0" for run in runs),
        f"select alpha for {dataset} {arch} s-at-aka",
        *(
            f"evaluate {dataset} {arch} {run} seed 0 under {attack}"
            for run in ("natural", "s-at-aka")
            for attack in ("clean", "pgd")
        ),
        "collect short",
        "render short",
    ]


def first(dataset: str) -> list[str]:
    """What comes before any student of a data set."""
    images = [f"prepare {dataset} {split} images" for split in ("train", "test")]
    return [*images, f"record {dataset} wrn10-1-x3-svgd seed 0"]


MADE = {
    "mine": first("mine") + jobs("mine", "resnet10-w8"),
    "scans": first("scans") + jobs("scans", "resnet10-w8"),
    "tiny": jobs("digits", "tiny"),
}


@pytest.mark.parametrize("name", TITLES)
def test_one_command_makes_its_results_and_nothing_else(done: dict[str, Answer], name: str) -> None:
    assert done[name].code == 0, done[name].text
    assert sorted(done[name].jobs) == sorted(MADE[name])


@pytest.mark.parametrize(("name", "label"), [("mine", "Mine"), ("scans", "Scans"), ("tiny", "Tiny")])
def test_the_table_prints_its_label_and_its_numbers(
    labs: dict[str, Lab], done: dict[str, Answer], name: str, label: str
) -> None:
    assert done[name].code == 0
    page = labs[name].page()
    assert label in page
    for row in ("Natural", "Ours"):
        (numbers,) = re.findall(rf"^\| {row} \|(.*)\|$", page, re.MULTILINE)
        assert len(re.findall(r"\d\.\d\d", numbers)) == 3


@pytest.fixture(scope="module")
def edited(labs: dict[str, Lab], done: dict[str, Answer]) -> dict[str, Answer]:
    """What would run again after an edit, each in the place of the one before."""
    answers = {f"{name}: nothing": lab.ask() for name, lab in labs.items()}
    mine, scans, tiny = labs.values()

    def edit(lab: Lab, path: Path, before: str, after: str) -> Answer:
        text = path.read_text(encoding="utf-8")
        assert before in text
        path.write_text(text.replace(before, after), encoding="utf-8")
        answer = lab.ask()
        path.write_text(text, encoding="utf-8")
        return answer

    entry = mine.checkout.folder / "config/smoke.yaml"
    answers["mine: label"] = edit(mine, entry, "label: Mine", "label: My own")
    answers["mine: shift"] = edit(mine, entry, "shift: 1", "shift: 2")
    numpy.savez(mine.data / "mine.npz", **images(1))
    answers["mine: bytes"] = mine.ask()
    (mine.data / "mine.npz").unlink()
    answers["mine: missing"] = mine.ask()
    loader = scans.checkout.modules / "scans.py"
    answers["scans: label"] = edit(scans, loader, '"Scans"', '"Our scans"')
    answers["scans: loader"] = edit(scans, loader, 'file["labels"]', '(file["labels"] + 1) % 4')
    answers["scans: flip"] = edit(scans, loader, "flip=False", "flip=True")
    network = tiny.checkout.modules / "tiny.py"
    answers["tiny: label"] = edit(tiny, network, '"Tiny"', '"Smallest"')
    answers["tiny: formula"] = edit(tiny, network, "nn.ReLU()", "nn.SiLU()")
    return answers


@pytest.mark.parametrize("name", TITLES)
def test_afterwards_there_is_nothing_to_do(edited: dict[str, Answer], name: str) -> None:
    assert edited[f"{name}: nothing"].idle, edited[f"{name}: nothing"].text


@pytest.mark.parametrize("name", TITLES)
def test_another_label_is_a_matter_of_the_page(edited: dict[str, Answer], name: str) -> None:
    assert edited[f"{name}: label"].jobs == ["render short"], edited[f"{name}: label"].text


@pytest.mark.parametrize(
    ("edit", "again"),
    [
        ("mine: shift", set(MADE["mine"]) - set(first("mine")[:2])),
        ("mine: bytes", set(MADE["mine"])),
        ("scans: loader", set(MADE["scans"])),
        ("scans: flip", set(MADE["scans"])),
        ("tiny: formula", set(MADE["tiny"])),
    ],
)
def test_another_fact_or_formula_makes_its_own_results_again(
    edited: dict[str, Answer], edit: str, again: set[str]
) -> None:
    assert edited[edit].code == 0, edited[edit].text
    assert set(edited[edit].jobs) == again


def test_a_file_that_is_gone_is_said_before_any_job(edited: dict[str, Answer]) -> None:
    answer = edited["mine: missing"]
    assert answer.code == 2, answer.text
    assert "error: data set 'mine': there is no file data/mine.npz (datasets.mine.file below data.folder" in answer.text
    assert not answer.jobs
