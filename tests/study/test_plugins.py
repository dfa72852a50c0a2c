"""Are settings read without torch, and are the facts kept of a plug-in always those that its module would give?"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from ataka.files.records import seal
from ataka.study import config, plugins
from ataka.study.config import HOME
from ataka.study.fields import readings_of

BASE = "class Options:\n    beta = 1.0\n"
METHOD = "from theirs_base import Options\n\ndef answer(times):\n    return {'beta': Options.beta * times}\n"
ASK = """
import importlib, json, sys
from ataka.study import plugins
times = json.loads(sys.argv[1])
answer = plugins.facts("theirs", times, lambda: importlib.import_module("theirs").answer(times))
print(json.dumps([answer, "theirs" in sys.modules]))
"""
TWICE = f"""
import os, shutil, sys
from ataka.study import plugins
_, _, store, *spoilt = sys.argv
for content in spoilt:
    shutil.copyfile(content, store)
    for _ in range(2):
        process = os.fork()  # as good as a new one: this one asks nothing
        if not process:
            exec({ASK!r})
            sys.exit()
        assert os.waitpid(process, 0)[1] == 0, content
"""
LOAD = """
import dataclasses, json, sys
from ataka.study import config
studies = [config.load(scale, json.loads(sys.argv[1])) for scale in config.scales()]
facts = [config.facts(study, name) for study in studies for name, method in study.methods.items() if method.objective]
print(json.dumps(["torch" in sys.modules, *map(dataclasses.asdict, facts)]))
"""


class Folder:
    """A folder with results and with somebody's method; each question is asked of a new process."""

    def __init__(self, path: Path) -> None:
        self.path, self.store = path, path / "results/.facts.json"
        self.store.parent.mkdir()
        self.write("theirs_base", BASE)
        self.write("theirs", METHOD)

    def write(self, module: str, text: str) -> None:
        (self.path / f"{module}.py").write_text(text)

    def start(self, script: str, argument: object, *paths: object) -> "subprocess.Popen[str]":
        environment = os.environ | {"PYTHONPATH": f"{HOME}{os.pathsep}{self.path}", "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-c", script, json.dumps(argument), *map(str, paths)]
        return subprocess.Popen(
            command, cwd=self.path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def ask(self, times: object = 1, script: str = ASK) -> list:
        """The answer, and whether the module (of LOAD: torch) was loaded for it."""
        return json.loads(self.run(script, times))

    def run(self, script: str, *arguments: object) -> str:
        process = self.start(script, *arguments)
        output, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        return output


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


# ---- our methods


def test_settings_are_read_without_torch_once_the_facts_are_kept(folder: Folder) -> None:
    other = {"methods": {"s-at-aka": {"options": {"mse": "mean"}}}}
    loaded, *computed = folder.ask({}, LOAD)
    assert loaded
    loaded, *differing = folder.ask(other, LOAD)
    assert loaded
    assert differing != computed
    assert folder.ask(other, LOAD) == [False, *differing]
    assert folder.ask({}, LOAD) == [False, *computed]


@pytest.mark.parametrize("scale", config.scales())
def test_facts_are_those_of_the_options_themselves(scale: str) -> None:
    study = config.load(scale)
    for name, method in study.methods.items():
        if method.objective is not None:
            facts, options = config.facts(study, name), config.options(study, name)
            assert facts.options == json.loads(json.dumps(asdict(options)))
            assert [tuple(reading) for reading in facts.readings] == [
                (path, question, str(value)) for path, question, value in readings_of(options)
            ]


# ---- anybody's


def test_facts_are_kept_for_each_question(folder: Folder) -> None:
    assert folder.ask() == [{"beta": 1.0}, True]
    assert folder.ask() == [{"beta": 1.0}, False]
    assert folder.ask(2) == [{"beta": 2.0}, True]
    assert folder.ask(2) == [{"beta": 2.0}, False]
    assert folder.ask() == [{"beta": 1.0}, False]


def test_a_module_of_a_users_network_does_not_count_but_what_it_loads_of_ours_does(folder: Folder) -> None:
    """An audit loads them; an edit between two audits is daily work."""
    folder.write("mynet", "import ataka.streams\n")
    brought = (
        "import sys\nfrom ataka.study import plugins\nbefore = set(sys.modules)\nimport mynet\n"
        "plugins.leave_out(set(sys.modules) - before)\n"
    )
    folder.ask(2, brought + ASK)
    sources = json.loads(folder.store.read_text())["sources"]
    assert "mynet" not in sources
    assert {"theirs", "ataka.streams"} <= {*sources}
    folder.write("mynet", "import ataka.streams\nedited = True\n")
    assert folder.ask(2) == [{"beta": 2.0}, False]


def test_a_base_class_in_another_module_counts(folder: Folder) -> None:
    folder.ask()
    folder.write("theirs_base", BASE.replace("1.0", "3.0"))
    assert folder.ask() == [{"beta": 3.0}, True]
    assert folder.ask() == [{"beta": 3.0}, False]


def test_a_module_of_the_same_name_elsewhere_counts(folder: Folder) -> None:
    folder.ask()
    shutil.move(folder.path / "theirs.py", folder.path / "results/theirs.py")
    with pytest.raises(AssertionError, match="No module named 'theirs'"):
        folder.ask()
    package = folder.path / "theirs"
    package.mkdir()
    (package / "__init__.py").write_text(METHOD.replace("* times", "+ times"))
    assert folder.ask() == [{"beta": 2.0}, True]


def test_another_version_of_pydantic_counts(folder: Folder) -> None:
    folder.ask()
    content = json.loads(folder.store.read_text())
    assert plugins.pydantic.VERSION in content["environment"]
    content["environment"] = content["environment"].replace(plugins.pydantic.VERSION, "1.0")
    folder.store.write_text(json.dumps(content | {"seal": seal(content)}))
    assert folder.ask() == [{"beta": 1.0}, True]


def test_an_error_is_not_kept(folder: Folder) -> None:
    folder.write("theirs", METHOD.replace("Options.beta", "undefined"))
    for _ in range(2):
        with pytest.raises(AssertionError, match="NameError: name 'undefined'"):
            folder.ask()
    folder.write("theirs", METHOD)
    assert folder.ask() == [{"beta": 1.0}, True]


def test_what_is_no_json_is_answered_and_not_kept(folder: Folder) -> None:
    script = ASK.replace(".answer(times)", ".__name__.encode()").replace("[answer,", "[answer.decode(),")
    assert folder.ask(1, script) == ["theirs", True]
    assert folder.ask(1, script) == ["theirs", True]


def damaged(text: str) -> Iterator[bytes]:
    yield b""
    yield text[: len(text) // 2].encode()
    yield b"\xff\x00" + text.encode()
    yield text.replace("1.0", "4.0").encode()
    yield b"[1, 2]"
    yield b'{"environment": null}'
    content = json.loads(text)
    for spoilt in ({"facts": 3}, {"sources": 3}, {"sources": {"theirs": []}}, {"sources": {"theirs": ["/none", "0"]}}):
        yield json.dumps(content | spoilt).encode()
        unsealed = {name: value for name, value in (content | spoilt).items() if name != "seal"}
        yield json.dumps(unsealed | {"seal": seal(unsealed)}).encode()


def test_a_damaged_store_is_made_again(folder: Folder) -> None:
    folder.ask()
    spoilt = []
    for number, content in enumerate(damaged(folder.store.read_text())):
        spoilt.append(folder.path / f"spoilt{number}")
        spoilt[-1].write_bytes(content)
    answers = map(json.loads, folder.run(TWICE, 1, folder.store, *spoilt).splitlines())
    for path, first, again in zip(spoilt, answers, answers, strict=True):
        assert (first, again) == ([{"beta": 1.0}, True], [{"beta": 1.0}, False]), path.read_bytes()[:200]


def test_a_store_that_cannot_be_written_or_read_costs_nothing_else(folder: Folder) -> None:
    folder.store.mkdir()
    assert folder.ask() == [{"beta": 1.0}, True]
    assert [path.name for path in folder.store.parent.iterdir()] == [folder.store.name]


def test_reading_settings_makes_no_folder(folder: Folder) -> None:
    folder.store.parent.rmdir()
    assert folder.ask() == [{"beta": 1.0}, True]
    assert not folder.store.parent.exists()


def test_processes_that_write_at_once_leave_facts_that_hold(folder: Folder) -> None:
    folder.ask()
    processes = [folder.start(ASK, times) for times in range(2, 8)]
    for times, process in enumerate(processes, start=2):
        assert json.loads(process.communicate(timeout=120)[0]) == [{"beta": float(times)}, True]
    assert [path.name for path in folder.store.parent.iterdir()] == [folder.store.name]
    assert folder.ask() == [{"beta": 1.0}, False]
    assert any(folder.ask(times) == [{"beta": float(times)}, False] for times in range(2, 8))


def test_a_source_that_was_edited_after_the_start_is_not_kept(folder: Folder) -> None:
    script = ASK.replace("times = json", "__import__('pathlib').Path('theirs_base.py').touch(); times = json")
    assert folder.ask(1, script) == [{"beta": 1.0}, True]
    assert not folder.store.exists()


def test_an_edited_source_stands_in_the_way_only_while_it_is_loaded(folder: Folder) -> None:
    script = ASK.replace("times = json", "__import__('pathlib').Path('other.py').touch(); import other; times = json")
    assert folder.ask(1, script) == [{"beta": 1.0}, True]
    assert not folder.store.exists()
    again = "del sys.modules['other']\nplugins.facts('theirs', times, lambda: answer)\n"
    assert folder.ask(1, script + again) == [{"beta": 1.0}, True]
    assert folder.ask() == [{"beta": 1.0}, False]
