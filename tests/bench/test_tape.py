"""Is what the bench of the tape says of the block of Table 2, and of memory, what was measured?"""

import json
from pathlib import Path
from typing import Any

import numpy
import pytest

from bench import page, precision, tape, timing


def test_a_written_tape_is_replayed_and_its_memory_stated(tmp_path: Path) -> None:
    """A process that writes 40 epochs of 4.8 MB holds no 40 of them."""
    written, replayed = tape.size(tmp_path, images=4000, epochs=40)
    assert (tmp_path / "tape/epoch0039.safetensors").stat().st_size > 4 * 3 * 4000 * 100
    assert [written.contestant, replayed.contestant] == ["written", "replayed"]
    assert "0.2 GB: 40 epochs, 3 x 4,000 x 100 logits" in written.task
    for row in (written, replayed):
        above = int(row.note.partition(" ")[0])
        assert 0 <= above < 100
        assert float(row.memory_mb) > above


def test_the_block_is_one_recording_and_a_student_for_each_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def make(checkout: Any, targets: list[str], _settings: dict[str, Any]) -> None:
        recorded = checkout.folder / "results/pocket/tapes/cifar10/wrn10-2-x3-svgd/seed0/manifest.json"
        for path, seconds in ((recorded, 100.0), (targets[0], 2.0), (targets[1], 101.0)):
            path = checkout.folder / path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"weights")
            path.with_name("run.json").write_text(json.dumps({"cpu_seconds": seconds, "memory_mb": 900.4}))

    monkeypatch.setattr(tape, "make", make)
    rows = [*tape.block(tmp_path)]
    assert [row.cpu_seconds for row in rows] == ["100.0", "2.0", "101.0", "180", "4040"]
    assert rows[2].note == "the same weights to the bit"
    assert rows[4].note == "22.4 times as much"
    timing.write("tape", rows, tmp_path / "performance")
    page.write(tmp_path / "performance")
    assert "| a student on the tape | 2.0 | 900 MB |  |" in (tmp_path / "performance.md").read_text()


def test_precisions_are_compared_with_the_first_verdict_by_verdict(tmp_path: Path) -> None:
    cells = []
    for attack, accuracy in (("clean", 50.04), ("pgd", 25.0)):
        cells.append(tmp_path / f"{attack}.csv")
        cells[-1].write_text(f"accuracy,ci_low,ci_high\n{accuracy},20.06,60\n")
    (tmp_path / "run.json").write_text(json.dumps({"cpu_seconds": 12.4}))
    one, other = numpy.array([1, 0, 1]), numpy.array([0, 0, 1])
    verdicts = {"float32": [one, one], "bfloat16": [one, other]}
    line = precision.row("bfloat16", cells, tmp_path / "model.safetensors", verdicts)
    assert (line.clean, line.pgd, line.cpu_seconds) == ("50.0 (20.1 to 60.0)", "25.0 (20.1 to 60.0)", "12")
    assert line.note == "verdicts that differ from the first: 0 on clean images, 1 under PGD"
    assert not precision.row("float32", cells, tmp_path / "model.safetensors", verdicts).note
    timing.write("precision", [line], tmp_path / "performance")
    page.write(tmp_path / "performance")
    assert "| bfloat16 | 50.0 (20.1 to 60.0) |" in (tmp_path / "performance.md").read_text()
