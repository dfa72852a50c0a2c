"""report.html: does it show what was measured, behind every number its provenance, whatever labels hold, on its own?"""

import base64
import csv
import json
import re
import shutil
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml

from ataka import plan
from ataka.errors import UserError
from ataka.files.disk import sha256
from ataka.files.records import read_json, write_json, write_rows
from ataka.plan import Cell, commands
from ataka.study import Study
from report import catalogue, collect, pictures
from report.accuracies.accuracy_table import AccuracyTable
from report.html import build, provenance, sheets
from report.page import of as page_of
from report.paper import published
from report.study import pages, take
from report.verify import concluded
from report.verify.inspection import Inspection
from tests import browser
from tests.report import studies
from tests.report.test_study import train

VOID = {"meta", "link", "input", "img", "br", "path", "option"}
"""Elements without an end tag here; an option's end is optional."""
CELL = Cell("digits", "resnet10-w8", "s-at-aka", 0, "pgd")
HISTORY = [
    {"epoch": 1, "loss": "nan", "train_accuracy": 20.04, "validation_accuracy": 18, "probe": 9.5},
    {"epoch": 2, "loss": 1.25, "train_accuracy": 40.06, "validation_accuracy": 30, "probe": ""},
]


class Page(HTMLParser):
    """A page's elements; an end tag that doesn't match fails."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text: dict[str, str] = {}
        self.cells: list[dict[str, str]] = []
        self._text = text
        self.feed(text)
        self.close()
        assert self.stack == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        assert len(given) == len(attrs), f"{tag} has an attribute twice"
        self.elements.append((tag, given))
        if tag == "td" and "data-ours" in given:
            self.cells.append(given)
        if "data-key" in given:
            self.cells[-1]["key"] = given["data-key"]
        if tag not in VOID:
            self.stack.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.stack.pop() == tag, self.getpos()

    def handle_data(self, data: str) -> None:
        if self.stack:
            self.text[self.stack[-1]] = self.text.get(self.stack[-1], "") + data

    @property
    def data(self) -> dict[str, Any]:
        (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', self._text, re.DOTALL)
        content: dict[str, Any] = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
        return content


def make(folder: Path, study: Study, *tables: str) -> Path:
    """A results folder with these tables, or with all and every picture, and the records of their trainings."""
    root = studies.root(folder)
    for name in tables or [table.name for table in catalogue.every(study)[0]]:
        studies.write(root, study, name)
    train(root, study)
    for path in root.rglob("history.csv"):
        write_rows(path, HISTORY)
        record = path.with_name("run.json")
        write_json(record, read_json(record) | {"history_sha256": sha256(path)})
    for name in [] if tables else pictures.every(study)[0]:
        draw(root, name)
    return root


def draw(root: Path, name: str) -> None:
    svg, caption = (pictures.path(str(root), name, suffix) for suffix in (".svg", ".txt"))
    svg.parent.mkdir(exist_ok=True)
    svg.write_text(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 2 1"><title>{name}</title></svg>')
    caption.write_text(f"What {name} shows: ±1 & <more>.\n", encoding="utf-8")


def facts_of(study: Study, one: Any) -> dict[str, str]:
    return dict(zip(provenance.FACTS, provenance._facts(study, one), strict=True))


def built(root: Path, study: Study, **options: Any) -> str:
    path, _ = build.write(study, str(root), **options)
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def whole() -> Study:
    return studies.study(studies.WHOLE)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, whole: Study) -> Path:
    """Every table."""
    return make(tmp_path_factory.mktemp("whole"), whole)


@pytest.fixture(scope="module")
def text(root: Path, whole: Study) -> str:
    return built(root, whole)


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


# ---- the page by itself


def test_the_page_is_well_formed_and_its_names_are_there_once(page: Page) -> None:
    ids = Counter(given["id"] for _, given in page.elements if "id" in given)
    assert set(ids.values()) == {1}
    for _, given in page.elements:
        for name in ("aria-labelledby", "for"):
            assert given.get(name, "claims") in ids
    links = [given["href"] for tag, given in page.elements if tag == "a"]
    assert {link.removeprefix("#") for link in links} <= set(ids)
    assert {f"table{number}" for number in range(1, 6)} <= set(ids)


def test_the_page_asks_for_no_other_file(page: Page, text: str) -> None:
    without = re.sub(r'"data:image/svg\+xml;base64,[\w+/=]*"', "", text)
    assert not re.search(r"https?:|//[a-z]|@import|url\(|\bfetch\b|XMLHttpRequest|import\(", without)
    assert not [given for _, given in page.elements if given.keys() & {"srcset", "action", "data"}]
    assert {tag for tag, given in page.elements if "src" in given} == {"img"}
    assert "src=" not in without.replace("<img src=", "")
    assert [given["href"] for tag, given in page.elements if tag == "link"] == ["data:,"]
    (policy,) = (given["content"] for _, given in page.elements if given.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none';")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_is_readable_on_every_colour(theme: str) -> None:
    css = (build.FOLDER / "report.css").read_text(encoding="utf-8")
    light, dark = (
        dict(re.findall(r"--(\w+): (#\w{6})", block)) for block in re.findall(r":root \{.*?\}", css, re.S)[:2]
    )
    colours = light | (dark if theme == "dark" else {})

    def luminance(colour: str) -> float:
        shares = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in shares]
        return sum(weight * one for weight, one in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    def contrast(one: str, other: str) -> float:
        low, high = sorted(luminance(colours[name]) for name in (one, other))
        return (high + 0.05) / (low + 0.05)

    shades = ["near", *(f"{side}{depth}" for side in ("above", "below") for depth in range(1, len(build.STEPS) + 1))]
    for ground in ("page", "raised", *shades):
        assert contrast("text", ground) >= 4.5, ground
    for name in ("quiet", "link", "good", "bad"):
        assert contrast(name, "page") >= 4.5, name
    for curve in range(1, 5):
        assert contrast(f"curve{curve}", "page") >= 3


# ---- the numbers


def test_every_number_is_the_cells_and_the_papers(root: Path, whole: Study, page: Page) -> None:
    numbers = {cell["key"]: cell for cell in page.cells if "key" in cell}
    assert len(numbers) == sum("key" in cell for cell in page.cells)
    compared = 0
    for key, number in page.data["numbers"].items():
        name = key.rpartition("-")[0]
        if name == "table1" or len(number["sources"]) != 1:
            continue
        path = page.data["sources"][number["sources"][0]]["file"]
        with (root.parents[1] / path).open(encoding="utf-8") as file:
            (row,) = csv.DictReader(file)
        assert numbers[key]["data-ours"] == f"{float(row['accuracy']):.2f}"
        table = catalogue.load(name)
        printed = published.lookup(
            table.number if table.of_the_paper else None, "cifar10", "resnet18", row["method"], row["attack"]
        )
        if printed and row["arch"] == "resnet10-w8":
            assert float(numbers[key]["data-published"]) == printed.value
            difference = float(f"{float(row['accuracy']):.2f}") - printed.value
            assert float(numbers[key]["data-difference"]) == pytest.approx(difference, abs=0.005)
            assert numbers[key]["class"] == shade(difference)
            compared += 1
    assert compared > 60


def shade(difference: float) -> str:
    depth = sum(abs(round(difference, 2)) >= step for step in (1, 3, 10, 30))
    return f"{'above' if difference > 0 else 'below'}{depth}" if depth else "near"


def test_a_number_sorts_by_what_it_shows(page: Page) -> None:
    for cell in page.cells:
        for kind in ("ours", "published", "difference"):
            assert cell[f"data-{kind}"] == "" or float(cell[f"data-{kind}"]) == float(cell[f"data-{kind}"])
        both = cell["data-ours"] and cell["data-published"]
        assert bool(cell["data-difference"]) == bool(both)
        assert cell.get("class", "") == (shade(float(cell["data-difference"])) if both else "")


def test_particles_are_not_compared_number_by_number(page: Page) -> None:
    of_particles = [cell for cell in page.cells if cell.get("key", "").startswith("table1-")]
    assert of_particles
    assert {cell["data-published"] for cell in of_particles} == {""}


def test_a_table_without_published_numbers_says_why(page: Page, whole: Study) -> None:
    of_the_paper = {table.name: table.of_the_paper for table in catalogue.every(whole)[0]}
    assert not all(of_the_paper.values())
    said = page.text["strong"]
    assert said.count("the paper names neither their image nor their network") == 1
    assert said.count("the paper printed no such numbers") == sum(not one for one in of_the_paper.values())


def test_several_seeds_are_a_mean_with_its_spread(tmp_path: Path) -> None:
    study = studies.study(studies.SMALL, seeds=[0, 1, 2])
    root = make(tmp_path, study, "table2")
    page = Page(built(root, study, partial=True))
    number = next(one for one in page.data["numbers"].values() if one["title"] == "(S)AT-AKA, PGD (n = 360)")
    assert len(number["sources"]) == len(number["runs"]) == 3
    values = []
    for seed in range(3):
        with Cell("digits", "resnet10-w8", "s-at-aka", seed, "pgd").csv(root).open(encoding="utf-8") as file:
            values.append(float(next(csv.DictReader(file))["accuracy"]))
    assert f"{sum(values) / 3:.2f} ± " in page.text["span"]
    assert command(page.data, number).count("pgd.csv") == 3
    single = make(tmp_path / "one seed", studies.study(), "table2")
    elements = Page(built(single, studies.study(), partial=True)).elements
    assert len(page.elements) <= len(elements)  # of more seeds the provenance alone is larger, which waits for a click


# ---- provenance


def command(data: dict[str, Any], number: dict[str, Any]) -> str:
    """The command as the page's script puts it together."""
    before, after = data["command"]
    return f"{before}{' '.join(data['sources'][source]['file'] for source in number['sources'])}{after}"


def facts(data: dict[str, Any], source: int) -> dict[str, str]:
    texts = [data["texts"][place] for place in data["sources"][source]["facts"]]
    return dict(zip(data["facts"], texts, strict=True))


def yaml_of(data: dict[str, Any], place: int) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load("\n".join(data["texts"][line] for line in data["settings"][place]))
    return content


def number_of(data: dict[str, Any], table: str, cell: Cell) -> dict[str, Any]:
    """The number of ``table`` behind which ``cell`` lies alone."""
    file = cell.csv("results/demo").as_posix()
    (number,) = (
        number
        for key, number in data["numbers"].items()
        if key.startswith(f"{table}-") and [data["sources"][source]["file"] for source in number["sources"]] == [file]
    )
    return dict(number)


def test_every_number_has_its_provenance(root: Path, page: Page, whole: Study) -> None:
    data = page.data
    keys = [cell["key"] for cell in page.cells if "key" in cell]
    assert sorted(keys) == sorted(data["numbers"])
    measured = 0
    for number in data["numbers"].values():
        assert number["title"]
        files = [data["sources"][source]["file"] for source in number["sources"]]
        assert command(data, number) == commands.snakemake(whole, *files, force=True)
        for source, file in zip(number["sources"], files, strict=True):
            assert (root.parents[1] / file).exists()
            stated = facts(data, source)
            assert all(stated[name] for name in ("seed", "images", "health checks", "git commit", "settings (SHA-256)"))
            measured += 1
        folders = {Path(file).relative_to("results/demo") for file in files}
        for run in (data["runs"][place] for place in number["runs"]):
            assert run["settings"] in range(len(data["settings"]))
            first = data["curves"][run["curves"][0]]
            assert Path(first["file"]).parent.relative_to("runs") in {
                Path(*folder.parts[1:]).parent for folder in folders
            }
            assert first["networks"]
        assert number["settings"]
    assert measured > 150


def test_a_cells_provenance_says_how_it_was_measured(page: Page, whole: Study) -> None:
    data = page.data
    number = number_of(data, "table2", CELL)
    stated = facts(data, number["sources"][0])
    assert re.fullmatch(r"\d\d\.\d\d to \d\d\.\d\d", stated["95 % interval (Wilson)"])
    assert re.fullmatch(r"\d+ of 360 right", stated["images"])
    assert stated["health checks"].startswith("none raised of ")
    run = data["runs"][number["runs"][0]]
    assert "A5 generator.repulsion away" in [data["texts"][place] for place in run["readings"]]
    assert yaml_of(data, run["settings"]) == as_json(plan.run_settings(whole, CELL.run))
    (settings,) = (yaml_of(data, place) for place in number["settings"])
    every = as_json(plan.cell_settings(whole, CELL))
    assert settings == {name: value for name, value in every.items() if name != "run"}


def as_json(settings: dict[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(json.dumps(settings))
    return content


def test_whatever_numbers_share_is_there_once(page: Page, text: str) -> None:
    for shared in ("sources", "runs", "curves", "epochs", "settings", "texts"):
        stated = [json.dumps(one) for one in page.data[shared]]
        twice = [one for one, count in Counter(stated).items() if count > 1]
        assert shared == "sources" or twice == []
    assert text.count("step_size: 2/255") == 1


def test_curves_are_the_history(page: Page) -> None:
    by_file = {curve["file"]: curve["networks"] for curve in page.data["curves"]}
    (curve,) = by_file[CELL.run.model("").as_posix()]
    assert page.data["epochs"][curve["epochs"]] == [1, 2]
    assert curve["accuracy"] == {
        "training images": [20.0, 40.1],
        "validation images": [18.0, 30.0],
        "validation images under PGD (probe)": [9.5, None],
    }
    assert curve["loss"] == {"loss": [None, 1.25]}
    assert not [file for file in by_file if "/alpha" in file]


def test_several_networks_of_a_training_have_curves_of_their_own(root: Path, whole: Study) -> None:
    from report.html.provenance import _curves

    tape = {"epoch": "1", "loss0": "2.5", "loss1": "2.25", "validation_accuracy1": "10", "kernel_offdiagonal_max": "0"}
    assert [(one["network"], one["accuracy"], one["loss"]) for one in _curves([tape])] == [
        ("0", {}, {"loss": [2.5]}),
        ("1", {"validation images": [10.0]}, {"loss": [2.25]}),
    ]
    average = [{"member": str(member), "epoch": "1", "loss": str(member)} for member in range(2)]
    assert [(one["network"], one["loss"]) for one in _curves(average)] == [("0", {"loss": [0]}), ("1", {"loss": [1]})]


def test_claims_costs_readings_and_versions_are_there(page: Page, text: str) -> None:
    assert page.text["code"].count("generator.repulsion") == 1
    assert re.search(r"of \d+ claims: \d+ supported", text)
    assert '<th scope="row">evaluate</th>' in text
    assert "numpy 2" in text
    assert "0123456789ab" in text


def test_pictures_are_in_the_page_with_their_captions(root: Path, page: Page, whole: Study) -> None:
    images = [given for tag, given in page.elements if tag == "img"]
    drawn, _ = pictures.every(whole)
    assert [given["alt"] for given in images] == [pictures.find(name).TITLE for name in drawn]
    for name, given in zip(drawn, images, strict=True):
        kind, _, content = given["src"].partition(",")
        assert kind == "data:image/svg+xml;base64"
        assert base64.b64decode(content, validate=True) == pictures.path(str(root), name).read_bytes()
        assert f"What {name} shows: ±1 & <more>." in page.text["p"]


def test_a_table_says_the_same_here_as_in_its_own_files(root: Path, whole: Study) -> None:
    """Other tables measure more of the same networks: Table 4 has the clean images that Fog can be compared with."""
    kept, _ = take.gather(whole, str(root), catalogue.every(whole)[0])
    for table in kept.tables.values():
        sheet = sheets.of(table, whole, str(root), pages.rows_of(kept, whole, table))
        own = page_of(table, whole, str(root), collect.gather(table, whole, str(root)).measurements)
        if isinstance(table, AccuracyTable):
            assert (sheet.layout, sheet.caption) == (own.layout, own.caption)
        if table.name == "table4-fog":
            assert "Health checks: none could be made." in sheet.caption.notes
            (fog, *_) = [row for row in sheet.rows if row.cell.attack == "fog"]
            assert facts_of(whole, fog)["health checks"] == "none could be made"


# ---- what isn't there, and what is hostile


def test_a_picture_that_is_not_drawn_is_asked_for_or_left_out_with_a_sentence(
    root: Path, whole: Study, tmp_path: Path
) -> None:
    folder = studies.root(tmp_path)
    shutil.copytree(root, folder)
    pictures.path(str(folder), "fog_strengths").unlink()
    with pytest.raises(UserError, match=r"fog_strengths\.svg is missing\n.*results/demo/report\.html"):
        build.write(whole, str(folder))
    page = Page(built(folder, whole, partial=True))
    assert "The picture 'fog_strengths' is left out: it is not drawn yet." in page.text["p"]
    assert len([tag for tag, _ in page.elements if tag == "img"]) == len(pictures.every(whole)[0]) - 1


def test_a_table_that_is_not_measured_is_left_out_with_a_sentence(tmp_path: Path, study: Study) -> None:
    root = make(tmp_path, study, "table2")
    with pytest.raises(UserError, match=r"report\.html --config|--partial"):
        build.write(study, str(root))
    assert not (root / "report.html").exists()
    path, notes = build.write(study, str(root), partial=True)
    assert path.name == "report.partial.html"
    assert any(note.startswith("missing: ") for note in notes)
    page = Page(path.read_text(encoding="utf-8"))
    assert "Table 4 is left out: nothing of it is measured yet." in page.text["p"]
    assert "table2" in {given.get("id") for _, given in page.elements}
    assert "table4" not in {given.get("id") for _, given in page.elements}


HOSTILE = "</script><script>alert(1)</script> \"'&amp;"


def test_a_label_like_a_script_is_only_text(tmp_path: Path) -> None:
    methods = studies.SMALL["methods"] | {"s-at-aka": {"label": HOSTILE}}
    study = studies.study(studies.SMALL, methods=methods, about=HOSTILE)
    text = built(make(tmp_path, study, "table2"), study, partial=True)
    page = Page(text)
    assert [given.get("type") for tag, given in page.elements if tag == "script"] == ["application/json", None]
    assert HOSTILE in page.text["th"]
    assert HOSTILE in page.text["p"]
    assert any(number["title"].startswith(HOSTILE) for number in page.data["numbers"].values())
    assert "alert(1)" not in page.text["script"].replace(page.text["script"].split("\n", 1)[0], "")


# ---- verify, and a browser


def problems(root: Path, study: Study, name: str = "report.html") -> tuple[list[str], list[str]]:
    at = Inspection(study, root)
    return list(concluded.whole_page(at, root / name)), at.findings.notes


def test_verify_makes_the_page_again_and_compares(tmp_path: Path, study: Study) -> None:
    root = make(tmp_path, study, "table2")
    text = built(root, study, partial=True)
    assert problems(root, study.under({"without_gpu": "go-on"}), "report.partial.html") == ([], [])
    number = re.search(r'data-ours="(\d+\.\d+)"', text)
    assert number
    (root / "report.partial.html").write_text(text.replace(number[1], "99.99", 1))
    noted = problems(root, study, "report.partial.html")[1]
    assert "python -m report html --partial --root" in noted[0]


def test_verify_finds_an_edited_page(root: Path, whole: Study, text: str, tmp_path: Path) -> None:
    assert problems(root, whole) == ([], [])
    try:
        (root / "report.html").write_text(text.replace("inconclusive", "supported", 1), encoding="utf-8")
        assert "is not what the measurements give" in problems(root, whole)[0][0]
    finally:
        (root / "report.html").write_text(text, encoding="utf-8")


STEPS = """
const answers = {};
answers.elements = document.getElementsByTagName("*").length;
answers.parsed = data !== undefined;
const shown = () => [...document.querySelectorAll("#table2 td button")].map((one) => one.innerText.trim());
answers.ours = shown();
document.querySelector("input[value=difference]").click();
answers.difference = shown();
document.querySelector("input[value=published]").click();
answers.published = shown();
document.querySelector("input[value=ours]").click();
const column = () => [...document.querySelectorAll("#table2 tbody tr")].map((row) => row.cells[2].dataset.ours);
const head = document.querySelectorAll("#table2 .sortable button")[2];
answers.printed = column();
head.click(); answers.descending = column(); answers.aria = head.parentElement.getAttribute("aria-sort");
head.click(); answers.ascending = column();
head.click(); answers.again = column();
const method = document.querySelector("select[name=method]");
method.value = "en-SAT";
method.dispatchEvent(new Event("change", { bubbles: true }));
answers.rows = [...document.querySelectorAll("#table2 tbody tr")].filter((row) => row.offsetParent).length;
const rows = [...document.querySelectorAll("#table1 tbody tr")].filter((row) => row.offsetParent);
answers.generators = rows.map((row) => row.dataset.method);
answers.status = document.getElementById("status").textContent;
method.value = "(S)AT-AKA";
method.dispatchEvent(new Event("change", { bubbles: true }));
answers.sheets = ["table1", "table2"].filter((name) => document.getElementById(name).offsetParent);
method.value = "";
method.dispatchEvent(new Event("change", { bubbles: true }));
const first = document.querySelector("#table2 td button");
first.focus();
first.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowDown", bubbles: true }));
answers.moved = document.activeElement.closest("tr").rowIndex - first.closest("tr").rowIndex;
answers.tabbed = document.querySelectorAll('#table2 td button[tabindex="0"]').length;
const moved = document.activeElement;
moved.click();
const dialog = document.getElementById("provenance");
answers.open = dialog.open;
answers.dialog = dialog.innerText;
answers.curves = dialog.querySelectorAll("polyline").length;
answers.command = dialog.querySelector("pre").textContent;
answers.key = document.activeElement.closest("dialog") ? moved.dataset.key : "";
answers.details = [...dialog.querySelectorAll("details pre")].map((one) => one.textContent);
answers.pictures = [...document.images].map((image) => image.complete && image.naturalWidth > 0);
answers.wide = document.documentElement.scrollWidth <= window.innerWidth;
return answers;
"""


@browser.needs_browser
@pytest.mark.parametrize("width", [500, 1200])
def test_the_page_works_in_a_browser(page: Page, whole: Study, text: str, width: int, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(text, encoding="utf-8")
    answer = browser.run(path, STEPS, width)
    assert answer["complaints"] == []
    assert answer["requests"] == []
    result = answer["result"]
    assert result["elements"] <= len(page.elements) + 2  # the driver's scripts: that of the page makes none by itself
    assert not result["parsed"]
    numbers = [float(one) for one in result["printed"]]
    assert [float(one) for one in result["descending"]] == sorted(numbers, reverse=True)
    assert [float(one) for one in result["ascending"]] == sorted(numbers)
    assert result["again"] == result["printed"]
    assert result["aria"] == "descending"
    assert len({tuple(result[kind]) for kind in ("ours", "published", "difference")}) == 3
    assert all(one[0] in "+−–" for one in result["difference"])
    assert result["rows"] == 1
    assert set(result["generators"]) == {"en-SAT"}  # the network's; published particles are of no method
    assert result["sheets"] == ["table2"]
    assert result["status"].endswith("rows, ours")
    assert (result["moved"], result["tabbed"], result["open"], result["wide"]) == (1, 1, True, True)
    assert "Command to measure it again" in result["dialog"]
    assert "95 % interval (Wilson)" in result["dialog"]
    assert result["curves"] >= 4
    number = page.data["numbers"][result["key"]]
    assert result["command"] == command(page.data, number)
    stated = [*number["settings"], *(page.data["runs"][run]["settings"] for run in number["runs"])]
    assert [yaml.safe_load(one) for one in result["details"]] == [yaml_of(page.data, place) for place in stated]
    assert result["pictures"] == [True] * len(pictures.every(whole)[0])
