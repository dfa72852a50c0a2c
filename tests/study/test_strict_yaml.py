"""Does every word of a YAML mean what its writer sees, wherever we read one?"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ataka.errors import UserError
from ataka.study import strict_yaml
from report import catalogue
from report.claims import sentences

MISLEADING = {  # word: what YAML 1.1 and 1.2 take it for
    "24:00:00": (86400, "the text '24:00:00'"),
    "12:30": (750, "the text '12:30'"),
    "-12:30": (-750, "the text '-12:30'"),
    "1:30.5": (90.5, "the text '1:30.5'"),
    "017": (15, "17"),
    "-010": (-8, "-10"),
    "0b11": (3, "the text '0b11'"),
    "0x10": (16, "the text '0x10'"),
    "1_000": (1000, "the text '1_000'"),
    "1_0.5": (10.5, "the text '1_0.5'"),
    "yes": (True, "the text 'yes'"),
    "no": (False, "the text 'no'"),
    "On": (True, "the text 'On'"),
    "off": (False, "the text 'off'"),
}
MEANT = {  # word: what it is
    "1e-3": 1e-3,
    "1E5": 1e5,
    "1.5e3": 1500.0,
    "+.5": 0.5,
    "1.0e-3": 1e-3,
    "08": 8,
    "07": 7,
    "5.": 5.0,
    "-3": -3,
    "true": True,
    "False": False,
    "null": None,
    "~": None,
    "": None,
    "8/255": "8/255",
    "2026-01-01": "2026-01-01",
    "2026-01-01T12:00:00Z": "2026-01-01T12:00:00Z",
    "=": "=",
    "y": "y",
    "'017'": "017",
    '"no"': "no",
    "!!str 1e-3": "1e-3",
}


@pytest.mark.parametrize("word", MISLEADING)
@pytest.mark.parametrize("form", ["key: {}", "list: [1, {}]", "{}: value"])
def test_a_word_with_two_readings_is_refused_with_both_and_its_place(tmp_path: Path, word: str, form: str) -> None:
    path, (old, new) = tmp_path / "mine.yaml", MISLEADING[word]
    assert yaml.safe_load(word) == old
    path.write_text("first: 1\n" + form.format(word))
    with pytest.raises(UserError) as caught:
        strict_yaml.read_mapping(path)
    assert f"{word} is {json.dumps(old)} in YAML 1.1 and {new} in YAML 1.2: write what is meant" in str(caught.value)
    assert "mine.yaml" in str(caught.value)
    assert "line 2" in str(caught.value)


@pytest.mark.parametrize("word", MEANT)
def test_a_word_with_one_meaning_is_read_so(tmp_path: Path, word: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"key: {word}")
    content = strict_yaml.read_mapping(path)
    assert content == {"key": MEANT[word]}
    assert isinstance(content["key"], type(MEANT[word])) or word == "08"


def test_merged_mappings_are_read_and_may_be_overridden(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\n")
    assert strict_yaml.read_mapping(path)["b"] == {"x": 1, "y": 3}


def test_a_key_of_json_stands_once() -> None:
    assert json.loads('{"a": {"b": 1}, "b": 1}', object_pairs_hook=strict_yaml.once_each) == {"a": {"b": 1}, "b": 1}
    with pytest.raises(ValueError, match="'b' stands twice"):
        json.loads('{"a": {"b": 1, "b": 2}}', object_pairs_hook=strict_yaml.once_each)


def _table(path: Path) -> Any:
    return catalogue.load(path.stem, (path.parent,))


@pytest.mark.parametrize("read", [strict_yaml.read_mapping, _table, sentences.load])
def test_whatever_reads_yaml_refuses_what_misleads(read: Callable[[Path], Any], tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("number: 010\n")
    with pytest.raises(UserError, match=r"010 is 8 in YAML 1\.1 and 10 in YAML 1\.2"):
        read(path)


def test_nothing_else_parses_yaml() -> None:
    home = Path(strict_yaml.__file__).parents[2]
    files = [file for room in ("ataka", "report", "rules", "baselines") for file in (home / room).rglob("*.py")]
    parses = re.compile(r"\byaml\.(\w*load|\w*Loader|parse|compose)")
    parsers = {file.name for file in files if parses.search(file.read_text("utf-8"))}
    assert parsers == {"strict_yaml.py"}
