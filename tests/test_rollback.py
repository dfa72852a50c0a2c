"""Does what is about to be made again stay, whatever the file system can do and however far the jobs come?"""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rules.rollback import Rollback

NAMES = ("pgd.csv", "pgd.bits.npy")


class Persistence:
    """What Snakemake knows of each file: the record of its making, and whether it has begun and not ended."""

    def __init__(self, records: dict[str, str]) -> None:
        self.records, self.incomplete = dict(records), set[str]()

    def metadata(self, path: str) -> str | None:
        return self.records.get(path)

    def _filter_incomplete_keys(self, keys: Iterable[str]) -> set[str]:
        return self.incomplete & {*keys}

    def cleanup_metadata(self, path: str) -> None:
        self.records.pop(path, None)
        self.incomplete.discard(path)

    def _write_record(self, key: str, record: str) -> None:
        self.records[key] = record

    def started(self, job: Any) -> None:
        self.incomplete |= {*job.output}


@pytest.fixture(params=["hard links", "copies", "another file system"])
def root(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A results folder on a file system with hard links, on one without, or with a room that links to another."""
    folder = tmp_path / "results/smoke"
    folder.mkdir(parents=True)
    if request.param == "another file system":
        memory = Path("/dev/shm")
        if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
            pytest.skip("there is no other file system here")
        with tempfile.TemporaryDirectory(dir=memory) as elsewhere:
            (folder / "cells").symlink_to(elsewhere)
            yield folder
        return
    (folder / "cells").mkdir()
    if request.param == "copies":

        def refuse(*paths: object) -> None:
            raise OSError(errno.EPERM, "no hard links here")

        monkeypatch.setattr(os, "link", refuse)
    yield folder


@pytest.fixture
def snakemake(root: Path) -> Any:
    outputs = [str(root / "cells" / name) for name in NAMES]
    job = SimpleNamespace(output=outputs, temp_output=set(), wildcards=SimpleNamespace(root=str(root)))
    persistence = Persistence(dict.fromkeys(outputs, "as first made"))
    dag = SimpleNamespace(needrun_jobs=lambda: [job])
    return SimpleNamespace(dag=dag, persistence=persistence, is_main_process=True)


def test_jobs_of_an_outer_workflow_are_left_to_it(root: Path, snakemake: Any) -> None:
    outer = root / "outer.txt"
    outer.write_text("theirs")
    elsewhere = root / "outer"
    elsewhere.mkdir()
    theirs = [SimpleNamespace(), SimpleNamespace(root="out"), SimpleNamespace(root=str(root))]
    paths = [str(outer), "out/x.txt", f"out/{root}/x.txt"]
    jobs = [
        *(
            SimpleNamespace(output=[path], temp_output=set(), wildcards=wildcards)
            for path, wildcards in zip(paths, theirs, strict=True)
        ),
        SimpleNamespace(output=[str(elsewhere)], temp_output=set(), wildcards=SimpleNamespace(root=str(root))),
        *snakemake.dag.needrun_jobs(),
    ]
    snakemake.dag.needrun_jobs = lambda: jobs
    write(root, "before")
    rollback = Rollback([str(root)])
    rollback.begin(snakemake)
    (root / "cells" / NAMES[0]).unlink()
    rollback.settle(snakemake)
    assert (root / "cells" / NAMES[0]).read_text() == "before"
    assert outer.read_text() == "theirs"
    assert not Path("out").exists()


def write(root: Path, text: str, *names: str) -> None:
    for name in names or NAMES:
        path = root / "cells" / name
        path.unlink(missing_ok=True)
        path.write_text(text)


def read(root: Path) -> dict[str, str]:
    files = (Path(folder, name) for folder, _, names in os.walk(root, followlinks=True) for name in names)
    return {str(path.relative_to(root)): path.read_text() for path in files}


def whole(text: str) -> dict[str, str]:
    return {f"cells/{name}": text for name in NAMES}


@pytest.mark.parametrize("half", [(), NAMES[:1]], ids=["nothing", "one of two files"])
def test_a_job_that_fails_is_undone(half: tuple[str, ...], root: Path, snakemake: Any) -> None:
    write(root, "old")
    time = (root / "cells/pgd.csv").stat().st_mtime_ns
    rollback = Rollback([str(root)])
    rollback.begin(snakemake)
    for name in NAMES:
        (root / "cells" / name).unlink()
    if half:
        write(root, "new", *half)
    snakemake.persistence.records = dict.fromkeys(snakemake.persistence.records, "as the failed job")
    rollback.settle(snakemake)
    assert read(root) == whole("old")
    assert (root / "cells/pgd.csv").stat().st_mtime_ns == time
    assert {*snakemake.persistence.records.values()} == {"as first made"}
    assert not snakemake.persistence.incomplete


def test_what_is_made_stays(root: Path, snakemake: Any) -> None:
    write(root, "old")
    rollback = Rollback([str(root)])
    rollback.begin(snakemake)
    write(root, "new")
    snakemake.persistence.records = dict.fromkeys(snakemake.persistence.records, "anew")
    rollback.settle(snakemake)
    assert read(root) == whole("new")
    assert {*snakemake.persistence.records.values()} == {"anew"}
    assert not (root / ".before").exists()


@pytest.mark.parametrize("there", [NAMES, NAMES[:1], ()], ids=["whole", "half", "nothing"])
def test_a_job_that_never_began_leaves_things_as_they_are(there: tuple[str, ...], root: Path, snakemake: Any) -> None:
    if there:
        write(root, "old", *there)
    rollback = Rollback([str(root)])
    rollback.begin(snakemake)
    rollback.settle(snakemake)
    assert read(root) == {f"cells/{name}": "old" for name in there}
    assert not (root / ".before").exists()
    assert not snakemake.persistence.incomplete


def test_what_a_dead_process_kept_is_not_replaced_by_its_half_made_files(root: Path, snakemake: Any) -> None:
    write(root, "old")
    Rollback([str(root)]).begin(snakemake)
    (root / "cells/pgd.csv").unlink()
    write(root, "half", "pgd.bits.npy")
    for _ in range(2):  # a failure more or less
        alive = Rollback([str(root)])
        alive.begin(snakemake)
        (root / "cells/pgd.bits.npy").unlink()
        alive.settle(snakemake)
        assert read(root) == whole("old")
        assert snakemake.persistence.incomplete == {str(root / "cells" / name) for name in NAMES}


def test_the_next_process_puts_back_what_a_dead_one_kept(root: Path, snakemake: Any) -> None:
    write(root, "old")
    dead = Rollback([str(root)])
    dead.begin(snakemake)
    (root / "cells/pgd.csv").unlink()
    alive = Rollback([str(root), str(root / "none")])
    alive.recover(snakemake)
    assert not (root / "cells/pgd.csv").exists()  # the other may still be at it
    for descriptor in dead._live.values():
        assert descriptor is not None
        os.close(descriptor)
    snakemake.is_main_process = False
    alive.recover(snakemake)
    assert not (root / "cells/pgd.csv").exists()  # a job of a cluster can't know
    snakemake.is_main_process = True
    alive.recover(snakemake)
    assert read(root) == whole("old")
    assert (root / "cells/pgd.csv").stat().st_mtime == 0  # so that Snakemake makes it again
    assert (root / "cells/pgd.bits.npy").stat().st_mtime > 0
    assert not (root / ".before").exists()


def test_a_disk_that_can_keep_nothing_stops_before_any_job(
    root: Path, snakemake: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*paths: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    write(root, "old")
    monkeypatch.setattr(os, "link", full)
    monkeypatch.setattr(shutil, "copy2", full)
    with pytest.raises(SystemExit, match="2"):
        Rollback([str(root)]).begin(snakemake)
    said = capsys.readouterr().err
    assert f"error: {root}/cells/pgd.csv is about to be made again and can't be kept meanwhile" in said
    assert "No space left on device" in said
    assert whole("old").items() <= read(root).items()


@pytest.fixture
def two(root: Path, snakemake: Any) -> Path:
    """Another results folder, of which a dead process kept something that can't be put back: a file is in its way."""
    other = root.parent / "demo"
    (other / ".before/cells").mkdir(parents=True)
    (other / ".before/cells/pgd.csv").write_text("old")
    (other / "cells").write_text("no folder")
    return other


def test_what_can_not_be_put_back_stops_its_own_results_folder_only(
    root: Path, two: Path, snakemake: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    write(root, "old")
    dead = Rollback([str(root)])
    dead.begin(snakemake)
    (root / "cells/pgd.csv").unlink()
    for descriptor in dead._live.values():
        assert descriptor is not None
        os.close(descriptor)
    rollback = Rollback([str(two), str(root)])
    rollback.recover(snakemake)
    said = capsys.readouterr().err
    assert f"can't put back what {two}/.before keeps: " in said
    assert f"put back as it was before: {root}/cells/pgd.csv" in said
    rollback.begin(snakemake)
    rollback.settle(snakemake)
    assert read(root) == whole("old")
    (job,) = snakemake.dag.needrun_jobs()
    job.wildcards.root, job.output = str(two), [str(two / "cells" / name) for name in NAMES]
    with pytest.raises(SystemExit, match="2"):
        rollback.begin(snakemake)
    assert f"error: can't put back what {two}/.before keeps: " in capsys.readouterr().err
    assert (two / ".before/cells/pgd.csv").read_text() == "old"


def test_one_file_that_can_not_be_put_back_costs_no_other(
    root: Path, snakemake: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "runs").mkdir()
    (root / "runs/choice.json").write_text("old")
    write(root, "old")
    wildcards = SimpleNamespace(root=str(root))
    other = SimpleNamespace(output=[str(root / "runs/choice.json")], temp_output=set(), wildcards=wildcards)
    jobs = [other, *snakemake.dag.needrun_jobs()]
    snakemake.dag.needrun_jobs = lambda: jobs
    snakemake.persistence.records[other.output[0]] = "as first made"
    rollback = Rollback([str(root)])
    rollback.begin(snakemake)
    shutil.rmtree(root / "runs")
    (root / "runs").write_text("in the way")
    for name in NAMES:
        (root / "cells" / name).unlink()
    rollback.settle(snakemake)
    assert f"can't put back what was there before {root}/runs/choice.json: " in capsys.readouterr().err
    assert read(root) == whole("old") | {"runs": "in the way", ".before/runs/choice.json": "old"}
    (root / "runs").unlink()
    Rollback([str(root)]).recover(snakemake)
    assert read(root) == whole("old") | {"runs/choice.json": "old"}


def test_a_temporary_output_is_not_restored(root: Path, snakemake: Any) -> None:
    """A shard: after a good end it is gone, though its job made it."""
    write(root, "old")
    (job,) = snakemake.dag.needrun_jobs()
    job.temp_output = {*job.output}
    rollback = Rollback([str(root)])
    rollback.begin(snakemake)
    for name in NAMES:
        (root / "cells" / name).unlink()
    rollback.settle(snakemake)
    assert read(root) == {}
