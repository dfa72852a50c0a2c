"""Do settings on Snakemake's command line mean what they mean in a scale's file?"""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake.cli import parse_config
from snakemake.settings.types import ConfigSettings

from ataka.study import config
from rules.overrides import settings_for, settings_of


def given(*files: Path, **settings: str) -> dict[str, Any]:
    """The settings of a command line with these --configfile, and with KEY=TEXT after --config."""
    words = parse_config([f"{key}={text}" for key, text in settings.items()])
    return settings_of(ConfigSettings(config=words, configfiles=list(files)))


@pytest.mark.parametrize("null", ["null", "~", "Null"])
def test_a_null_leaves_out_as_in_a_file(null: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(f"stand_ins: {{cifar100: {null}, mobilenetv2: resnet10-w8}}\nattacks: {{fog: {null}}}\n")
    settings = given(stand_ins=f'{{"cifar100": {null}, "mobilenetv2": "resnet10-w8"}}', attacks=f"{{fog: {null}}}")
    assert settings == given(file)
    study = config.load("smoke", settings)
    assert study.stand_in("cifar100") is None
    assert study.attacks["fog"] is None
    assert study.stand_in("mobilenetv2") == "resnet10-w8"


def test_a_quoted_null_of_a_file_is_a_word(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("about: 'null'")
    assert given(tmp_path / "mine.yaml") == {"about": "null"}


def test_later_files_lie_over_earlier_ones_and_config_over_all(tmp_path: Path) -> None:
    first, second = tmp_path / "first.yaml", tmp_path / "second.json"
    first.write_text("seeds: [1]\nsetups: {table2: {epochs: 3, batch_size: 8}}\nthreads: 2\n")
    second.write_text('{"seeds": [2], "setups": {"table2": {"epochs": 4}}}')
    expected = {"seeds": [2], "setups": {"table2": {"epochs": 4, "batch_size": 8}}, "threads": 3}
    assert given(first, second, threads="3") == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "resources: {train: {runtime: 24:00:00}}",
            "24:00:00 is 86400 in YAML 1.1 and the text '24:00:00' in YAML 1.2",
        ),
        ("setups: {table2: {epochs: 017}}", "017 is 15 in YAML 1.1 and 17 in YAML 1.2"),
        ("warm_start: on", "on is true in YAML 1.1"),
        ("seeds: [1]\nseeds: [2]", "'seeds' stands twice"),
        ('{"seeds": [1], "seeds": [2]}', "'seeds' stands twice"),
    ],
)
def test_a_configfile_is_read_as_strictly_as_a_scales(
    text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(SystemExit) as stopped:
        given(path)
    assert stopped.value.code == 2
    told = capsys.readouterr().err
    assert said in told
    assert str(path) in told


def test_a_module_is_set_by_its_config_and_not_by_the_command_line() -> None:
    command_line = ConfigSettings(config={"seeds": [1]})
    for is_main, expected in ((True, {"seeds": [1]}), (False, {"seeds": [7], "attacks": {"fog": None}})):
        workflow: Any = SimpleNamespace(
            modifier=SimpleNamespace(is_main_snakefile=lambda is_main=is_main: is_main), config_settings=command_line
        )
        assert settings_for(workflow, {"seeds": [7], "attacks": {"fog": None}}) == expected


def test_a_template_of_snakemakes_is_read_by_it(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("__use_yte__: true\nseeds:\n  ?for seed in range(2):\n    - ?seed\n")
    assert given(path)["seeds"] == [0, 1]


def test_texts_and_dates_of_a_file_stay_texts(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("about: 2026-01-01\nsetups: {table2: {weight_decay: 1e-3}}\n")
    study = config.load("smoke", given(path))
    assert (study.about, study.setups["table2"].weight_decay) == ("2026-01-01", 1e-3)
