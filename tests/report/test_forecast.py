"""Does the plan count what will run, and is its time one that devices could take?"""

import argparse
import dataclasses
import itertools
import json
import math
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ataka import plan
from ataka.errors import UserError
from ataka.files.records import write_json
from ataka.models import build
from ataka.models.operations import multiply_accumulates
from ataka.plan import Cell, Exchange, Run, Tape, Work
from ataka.study import config
from report import growth, scale
from report.forecast import devices, jobs, page, progress
from report.forecast.devices import Device
from report.forecast.jobs import Job
from report.forecast.schedule import longest_chain, wall_seconds
from report.targets import root_of

D, A = "digits", "resnet10-w8"
SMOKE, PAPER = config.load("smoke"), config.load()


def behind(*targets: str) -> dict[str, Job]:
    return jobs.behind(SMOKE, "results/smoke", targets)


# ---- jobs


def test_a_cells_jobs_are_those_of_its_chain() -> None:
    found = behind(f"results/smoke/cells/{D}/{A}/s-at-aka/seed0/pgd.csv")
    assert Counter(job.rule for job in found.values()) == {
        "evaluate": 1,
        "train": 3,  # two candidates, and the chosen one
        "select": 1,
        "record": 1,
        "prepare": 2,
    }
    cell = found[f"results/smoke/cells/{D}/{A}/s-at-aka/seed0/pgd.csv"]
    assert set(cell.needs) == {
        f"results/smoke/runs/{D}/{A}/s-at-aka/seed0/model.safetensors",
        f"results/smoke/data/{D}/test.safetensors",
    }


def test_a_cell_waits_for_its_shards_which_are_done_once_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cell = Cell(D, A, "natural", 0, "aa")
    name = str(cell.csv("results/smoke"))
    overrides: dict[str, Any] = {"attacks": {"aa": {"chunk": 4}}}
    alone = jobs.behind(config.load("smoke", overrides), "results/smoke", [name])
    shared = jobs.behind(config.load("smoke", {**overrides, "shards": {"aa": 4}}), "results/smoke", [name])
    shards = [job for job in shared.values() if job.rule == "shard"]
    assert len(shards) == 4
    assert {job.output for job in shards} < set(shared[name].needs)
    assert len(shared) == len(alone) + 4
    assert sum(map(ONE.job_seconds, shared.values())) == pytest.approx(
        sum(map(ONE.job_seconds, alone.values())) + 4 * ONE.start
    )
    seconds = {output: ONE.job_seconds(job) for output, job in shared.items()}
    way = longest_chain(shared, seconds)
    assert [shared[output].rule for output in way[-2:]] == ["shard", "evaluate"]
    assert seconds[way[-2]] < ONE.job_seconds(alone[name]) / 2
    Path(name).parent.mkdir(parents=True)
    Path(name).touch()
    assert progress.done(shared).keys() == {name, *(job.output for job in shards)}


def test_other_files_of_a_job_are_the_same_job() -> None:
    for name, other in (
        ("table2.tex", "table2.md"),
        ("table2.tex", "table2.standalone.tex"),
        ("table2.tex", "table2.numbers.tex"),
        ("table2.csv", "table2.choices.csv"),
        ("claims.csv", "claims.md"),
        ("claims.csv", "claims.standalone.tex"),
        (f"cells/{D}/{A}/natural/seed0/pgd.csv", f"cells/{D}/{A}/natural/seed0/pgd.bits.npy"),
        (f"runs/{D}/{A}/natural/seed0/model.safetensors", f"runs/{D}/{A}/natural/seed0/run.json"),
    ):
        assert behind(f"results/smoke/{name}") == behind(f"results/smoke/{other}"), name


def test_every_need_is_a_job_and_every_artifact_is_the_plans_own() -> None:
    found = behind("results/smoke/all", "results/smoke/union.csv")
    assert {need for job in found.values() for need in job.needs} <= set(found)
    assert all(plan.parse(name) == ("results/smoke", job.node) for name, job in found.items() if job.node)


def test_tables_share_jobs() -> None:
    found = behind("results/smoke/all")
    tables = jobs.by_table(SMOKE, found)
    assert set(tables) == {"table1", "table2", "table3", "table4", "table4-fog", "table5"}
    assert set().union(*tables.values()) == set(found) - {"results/smoke/all"}
    assert tables["table2"] == behind("results/smoke/table2.tex")


@pytest.mark.parametrize(
    ("target", "nearest"),
    [
        ("results/smoke/tabel2.tex", "did you mean 'results/smoke/table2.tex'"),
        ("results/smkoe/table2.tex", "did you mean 'smoke'"),
        ("results/smoke/cells/digits/resnet10-w8/natural/seed0/pdg.csv", "did you mean 'pgd'"),
        ("results/smoke/cells/digits/resnet10-w8/natrual/seed0/pgd.csv", "did you mean 'natural'"),
        ("results/smoke/runs/digits/resnet10-w8/natural/seed0/nothing", "such are results/smoke/tapes/"),
        ("results/smoke", "did you mean 'results/smoke/all'"),
        ("table2.tex", "known: results/all, results/demo/all"),
        ("results/smoke/data/digtis/train.safetensors", "did you mean 'digits'"),
        ("results/smoke/runs/digits/resnet10-w8/s-at-akka/choice.json", "did you mean 's-at-aka'"),
        ("results/smoke/runs/digits/resnet10-w8/natural/choice.json", "its alpha is None"),
    ],
)
def test_a_misspelt_target_is_refused_with_the_nearest(target: str, nearest: str) -> None:
    with pytest.raises(UserError) as caught:
        jobs.behind(config.load("smoke"), root_of(target), [target])
    assert nearest in str(caught.value)


# ---- the wall time


def chain(*needs: str) -> dict[str, Job]:
    """Jobs by name, as ``b:a`` for one that needs a."""
    split = [one.split(":") for one in needs]
    return {name: Job("train", name, tuple("".join(rest))) for name, *rest in split}


@pytest.mark.parametrize(
    ("needs", "seconds", "count", "expected"),
    [
        (["a", "b", "c"], [3, 2, 1], 1, 6),
        (["a", "b", "c"], [3, 2, 1], 2, 3),
        (["a", "b:a", "c:b"], [3, 2, 1], 2, 6),
        (["a", "b", "c:a", "d:a"], [2, 5, 3, 3], 2, 8),  # by hand: a 0-2, b 0-5, c 2-5, d 5-8
        (["a", "b", "c", "d:c"], [2, 2, 1, 4], 2, 5),  # c first, as d waits for it: 0-1, 1-5 and 0-2, 2-4
        (["a:x"], [4], 3, 4),  # x is there
        ([], [], 1, 0),
    ],
)
def test_wall_times_by_hand(needs: list[str], seconds: list[float], count: int, expected: float) -> None:
    every = chain(*needs)
    assert wall_seconds(every, dict(zip(every, seconds, strict=True)), count) == expected


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1, 9),  # one device takes the job of two processes, too
        (2, 7),  # a 0-4, alone, as it takes both; b 4-7, c 4-5, d 5-6
        (3, 5),  # a and b 0-4, c 3-4, d 4-5
        (4, 4),  # all but d at once, and d 1-2
    ],
)
def test_a_job_of_two_processes_takes_two_devices(count: int, expected: float) -> None:
    every = chain("a", "b", "c", "d:c")
    every["a"] = every["a"]._replace(processes=2)
    seconds = {"a": 4.0, "b": 3.0, "c": 1.0, "d": 1.0}
    assert wall_seconds(every, seconds, count) == expected


def test_devices_wait_for_a_job_that_needs_more_of_them() -> None:
    """b waits for both devices: c, which would fit beside a, comes after it."""
    every = chain("a", "b", "c")
    every["b"] = every["b"]._replace(processes=2)
    assert wall_seconds(every, {"a": 5.0, "b": 4.0, "c": 1.0}, 2) == 5 + 4 + 1


@given(st.lists(st.tuples(st.floats(0.1, 10), st.sets(st.integers(0, 9))), min_size=1, max_size=10), st.integers(1, 4))
def test_no_schedule_is_better_than_could_be_or_worse_than_grahams_bound(
    drawn: list[tuple[float, set[int]]], count: int
) -> None:
    names = [str(place) for place in range(len(drawn))]
    needs = {names[i]: tuple(names[j] for j in sorted(some) if j < i) for i, (_, some) in enumerate(drawn)}
    seconds = dict(zip(names, (one for one, _ in drawn), strict=True))
    longest: dict[str, float] = {}
    for name in names:
        longest[name] = seconds[name] + max((longest[need] for need in needs[name]), default=0.0)
    wall = wall_seconds({name: Job("train", name, needs[name]) for name in names}, seconds, count)
    chain, share = max(longest.values()), sum(seconds.values()) / count
    assert max(chain, share) <= wall * (1 + 1e-9)
    assert wall <= (share + (1 - 1 / count) * chain) * (1 + 1e-9)


# ---- devices


def evaluation(attack: dict[str, Any], images: int) -> float:
    """Seconds on an H100 of an evaluation of ResNet-18 on CIFAR-10."""
    study = config.load("paper", {"attacks": {"x": attack | {"images": images}}})
    (work,) = plan.work_of(study, Cell("cifar10", "resnet18", "natural", 0, "x"))
    return devices.card(study, "h100").seconds(work)


def measured(name: str, column: str = "plain") -> float:
    """Images a second of a line of gpu.csv; evaluations run as ``plain`` does now."""
    (line,) = [line for line in devices.lines() if line["name"].startswith(name)]
    return float(line[column])


def test_evaluations_take_what_the_card_took_though_their_rates_come_from_trainings() -> None:
    pgd = evaluation({"kind": "pgd", "step_size": "2/255", "steps": 20}, 1000)
    assert pgd == pytest.approx(1000 / measured("PGD, resnet18"), rel=0.3)


def test_autoattack_takes_what_the_card_took() -> None:
    """There all images stood: 10,000 forwards each."""
    work = Work("attack", "resnet18", "cifar10", 128 * 10_000.0, 10_000.0)
    seconds = devices.card(PAPER, "h100").seconds(work)
    assert seconds == pytest.approx(128 / measured("AutoAttack, resnet18"), rel=0.3)


@pytest.mark.parametrize(("precision", "column"), [("float32", "plain"), ("bfloat16", "value")])
@pytest.mark.parametrize(
    ("name", "arch", "forwards"),
    [("recording, wrn34-10 x 3, 128 images", "wrn34-10", 3 * 43), ("replay, mobilenetv2", "mobilenetv2", 3)],
)
def test_a_measured_networks_own_rate_is_kept(name: str, arch: str, forwards: int, precision: Any, column: str) -> None:
    work = Work("update", arch, "cifar10", float(forwards), 1.0, precision)
    (rate,) = {float(line[column]) for line in devices.lines() if line["name"] == name or name in line["name"][:19]}
    assert 1 / devices.card(PAPER, "h100").seconds(work) == pytest.approx(rate, rel=0.05)  # the share has two digits


def test_compiling_speeds_up_half_precision_alone() -> None:
    compiled = config.load("paper", {"speed": {"compile": True}})
    for precision, factor in (("bfloat16", 183.7 / 122.4), ("float32", 1.0)):
        work = Work("attack", "wrn34-10", "cifar10", 1.0, 1.0, precision)  # type: ignore[arg-type]
        before, after = (devices.card(study, "h100").seconds(work) for study in (PAPER, compiled))
        assert before / after == pytest.approx(factor, rel=0.01)


def test_another_kind_is_the_measured_one_times_the_ratio_of_peaks() -> None:
    for precision, a100, old in (("float32", 66.9 / 19.5, 66.9 / 13.4), ("bfloat16", 989.4 / 312, None)):
        work = Work("update", "resnet18", "cifar10", 1e6, 1.0, precision)  # type: ignore[arg-type]
        seconds = {name: devices.card(PAPER, name).seconds(work) for name in devices.KINDS}
        assert seconds["a100"] / seconds["h100"] == pytest.approx(a100)
        if old:
            assert seconds["rtx2080ti"] / seconds["h100"] == pytest.approx(old)
    half, whole = (Work("update", "resnet18", "cifar10", 1.0, 1.0, name) for name in ("bfloat16", "float32"))
    old_card = devices.card(PAPER, "rtx2080ti")
    assert old_card.seconds(half) == old_card.seconds(whole)  # it has no bfloat16


def test_seconds_grow_with_a_networks_operations() -> None:
    seconds = {
        arch: devices.card(PAPER, "h100").seconds(Work("update", arch, "cifar100", 1.0, 1.0))
        for arch in ("wrn34-10", "wrn70-16")
    }
    macs = {arch: multiply_accumulates(arch, classes=100, channels=3, size=32) for arch in seconds}
    assert seconds["wrn70-16"] / seconds["wrn34-10"] == pytest.approx(macs["wrn70-16"] / macs["wrn34-10"])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("h100", "H100"),
        ("NVIDIA A100", "A100"),
        ("2080 Ti", "RTX 2080 Ti"),
        ("NVIDIA GeForce RTX 2080 Ti", "RTX 2080 Ti"),
    ],
)
def test_a_card_may_be_called_as_people_do(name: str, expected: str) -> None:
    assert devices.card(PAPER, name).name == expected


def test_an_unknown_card_is_refused_with_the_nearest() -> None:
    with pytest.raises(UserError, match="no rates are known of 'h1000'; did you mean 'h100'"):
        devices.card(PAPER, "h1000")


def recording(processes: int) -> Job:
    """Of three teachers: 6 and 3 seconds of ONE's, the second shared out to none."""
    works = (Work("attack", A, D, 600.0, 1.0, networks=3), Work("attack", A, D, 300.0, 1.0))
    return Job("record", "x", work=works, processes=processes, exchange=Exchange(A, D, 3, 2.0, 5.0))


@pytest.mark.parametrize(
    ("processes", "count", "taken", "seconds"), [(1, 8, 1, 10), (2, 8, 2, 8), (3, 8, 3, 6), (3, 2, 2, 8), (3, 1, 1, 10)]
)
def test_processes_share_a_job_out_as_far_as_there_are_devices(
    processes: int, count: int, taken: int, seconds: float
) -> None:
    device, job = dataclasses.replace(ONE, count=count), recording(processes)
    assert (device.taken(job), device.job_seconds(job)) == (taken, seconds)
    assert device.device_seconds(job) == taken * seconds


def test_an_exchange_passes_over_the_cards_link() -> None:
    """Twice the weights of each network elsewhere, and five digits of 8 x 8."""
    weights = sum(tensor.nbytes for tensor in build(A, classes=10, channels=1, size=8).state_dict().values())
    for processes, elsewhere in ((2, 1), (3, 2)):
        device, job = devices.card(SMOKE, "h100", 8), recording(processes)
        assert device.exchange_seconds(job) == pytest.approx((elsewhere * 2 * weights + 5 * 64 * 4) / 64e9)
        old = devices.card(SMOKE, "rtx2080ti", 8)
        assert old.exchange_seconds(job) == pytest.approx(4 * device.exchange_seconds(job))
    assert devices.card(SMOKE, "h100", 8).exchange_seconds(recording(1)) == 0


def test_a_plan_heeds_the_processes_of_a_recording(capsys: pytest.CaptureFixture[str]) -> None:
    tape = "results/tapes/cifar10/wrn34-10-x3-svgd/seed0/manifest.json"
    hours = {}
    for processes in (1, 3):
        page.plan_target(given_as(target=tape, on="h100", devices=8, config=json.dumps({"processes": processes})))
        text = capsys.readouterr().out
        (wall,) = [line.split("|")[2] for line in text.splitlines() if line.startswith("| 8 x H100")]
        (held,) = [line.split("|")[4] for line in text.splitlines() if line.startswith("| record")]
        hours[processes] = wall.strip(), float(held.replace(",", ""))
    assert (hours[1][0], hours[3][0]) == ("15 days", "5.1 days")
    assert hours[1][1] < hours[3][1] < 1.01 * hours[1][1]


def test_this_machines_time_is_that_of_calls_and_images(monkeypatch: pytest.MonkeyPatch) -> None:
    timed = {"attack": (0.5, 0.25), "update": (0.0, 1.0)}
    answers = {"device_name": "", "forward_seconds": timed}
    monkeypatch.setattr(devices, "_asked", lambda name, *rest: answers[name])
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    study = config.load("smoke", {"threads": 3})
    here = devices.here(study)
    assert here.count == 2
    assert here.seconds(Work("attack", A, D, 8.0, 4.0)) == devices.UNCOUNTED * (4 * 0.5 + 8 * 0.25)
    assert here.seconds(Work("update", A, D, 8.0, 4.0)) == devices.UNCOUNTED * 8
    assert devices.here(study, 5).count == 5
    assert devices.here(study, cores=12).count == 4


def test_a_large_network_takes_the_time_of_a_smaller_one_by_its_operations(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def answer(name: str, question: tuple[object, ...], _answer: object) -> object:
        asked.append(question[0])
        return "" if name == "device_name" else {"attack": (0.5, 0.25), "update": (0.0, 1.0)}

    monkeypatch.setattr(devices, "_asked", answer)
    here = devices.here(PAPER)
    ratio = 6.67 / 0.556  # billions of multiply-accumulates, as papers print them: WRN-34-10, ResNet-18
    seconds = here.seconds(Work("attack", "wrn34-10", "cifar10", 8.0, 4.0))
    assert seconds == pytest.approx(devices.UNCOUNTED * (4 * 0.5 + 8 * 0.25 * ratio), rel=0.01)
    assert {"wrn34-10", "wrn70-16"}.isdisjoint(asked)


@pytest.mark.parametrize(
    ("name", "expected"), [("NVIDIA H100 80GB HBM3", "counted, not measured"), ("Tesla T4", "timed here in float32")]
)
def test_a_machines_gpu_is_planned_for(name: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_asked", lambda *_: name)
    here = devices.here(PAPER)
    assert (here.count, here.basis) == (1, expected)


def test_without_torch_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_module: str) -> None:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr(devices, "_answers", {})
    monkeypatch.setattr(devices.plugins, "facts", lambda module, question, answer: answer())
    monkeypatch.setattr(devices.importlib, "import_module", missing)
    with pytest.raises(devices.Unknown, match="torch isn't installed here"):
        devices.gpu(PAPER)


# ---- progress and the page


def usage(seconds: float) -> dict[str, Any]:
    return {"seconds": seconds, "cpu_seconds": seconds, "memory_mb": 1.0, "gpu_memory_mb": None}


ONE = Device("thing", 2, "made up", lambda work: work.forwards / 100, 1.0)


@pytest.fixture
def half_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Job]:
    """Both splits are prepared, and the natural network is trained; its record says 6 seconds."""
    monkeypatch.chdir(tmp_path)
    found = behind(f"results/smoke/cells/{D}/{A}/natural/seed0/pgd.csv")
    for name in found:
        if "cells" not in name:
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).touch()
    write_json(Path(f"results/smoke/runs/{D}/{A}/natural/seed0/run.json"), usage(6.0))
    write_json(Path(f"results/smoke/data/{D}/test.cost.json"), usage(0.5))
    Path(f"results/smoke/data/{D}/train.cost.json").write_text("{")  # damaged: its time isn't known
    return found


def test_done_is_what_exists_with_the_time_of_its_record(half_done: dict[str, Job]) -> None:
    assert progress.done(half_done) == {
        f"results/smoke/data/{D}/train.safetensors": 0.0,
        f"results/smoke/data/{D}/test.safetensors": 0.5,
        f"results/smoke/runs/{D}/{A}/natural/seed0/model.safetensors": 6.0,
    }


def test_the_page_adds_up(half_done: dict[str, Job]) -> None:
    text = "\n".join(page.page(SMOKE, "x", half_done, ONE))
    # natural: 192 forwards of updates and 128 of watching; the cell: 80; a second for each of four jobs
    total = (192 + 128 + 80) / 100 + 4
    assert f"x: 4 jobs, {total / 3600:.3g} device-hours on thing (made up), 0 bytes of tape" in text
    assert "done: 3 of 4 jobs" in text
    assert "they took 6 s, and were planned at 3 s: 1.88 times that" in text  # the training: 6.0 of 3.2
    assert "left: 2 s on 2 x thing" in text  # the cell's 1.8
    rules = [line.split("|")[1:4] for line in text.splitlines() if line.startswith("|")][2:6]
    assert [[cell.strip() for cell in row] for row in rules] == [
        ["prepare", "2", "2"],
        ["train", "1", "1"],
        ["evaluate", "1", "0"],
        ["together", "4", "3"],
    ]


def test_a_tape_that_is_being_recorded_says_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tape = Tape(D, "wrn10-1-x3-svgd", 0)
    manifest = tape.manifest("results/smoke")
    for place, name in enumerate(("old/epoch0000", "new/epoch0000", "new/epoch0001", "new/teacher0")):
        file = manifest.parent / f"{name}.safetensors"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
        os.utime(file, (place, place))
    assert progress.recorded(str(manifest)) == 2
    text = "\n".join(page.page(SMOKE, "x", behind(str(manifest)), ONE))
    assert "recording" not in text  # nothing is done, so nothing is said of progress
    assert math.isclose(page.wall_seconds({}, ONE), 0.0)


def given_as(**changes: Any) -> argparse.Namespace:
    usual = {"target": "results/smoke/table2.tex", "on": None, "devices": None, "config": "{}"}
    return argparse.Namespace(**usual | changes)


def test_a_plan_for_a_named_kind(capsys: pytest.CaptureFixture[str]) -> None:
    page.plan_target(given_as(on="a100", devices=4))
    text = capsys.readouterr().out
    assert "4 x A100" in text
    assert "counted, not measured" in text
    assert "H100" not in text


def test_settings_of_the_command_line_count(capsys: pytest.CaptureFixture[str]) -> None:
    page.plan_target(given_as(on="h100", config=json.dumps({"seeds": [0, 1, 2]})))
    three = capsys.readouterr().out
    page.plan_target(given_as(on="h100"))
    assert _jobs_of(three) > 2 * _jobs_of(capsys.readouterr().out)


def _jobs_of(text: str) -> int:
    return int(text.split(": ")[1].split(" jobs")[0])


def test_no_device_can_do_nothing() -> None:
    with pytest.raises(UserError, match="--devices: 0"):
        page.plan_target(given_as(devices=0))


# ---- readings


def test_a_target_lists_the_readings_that_its_artifacts_are_made_under_and_no_others() -> None:
    found = jobs.behind(PAPER, "results", ["results/table2.tex"])
    nodes = [job.node for job in found.values() if job.node]
    listed, every = plan.all_readings(PAPER, nodes), plan.all_readings(PAPER)
    assert len(listed) < len(every) / 2
    assert listed.items() <= every.items()
    for node in nodes:
        if isinstance(node, Run | Tape):
            for setting, text in plan.readings_in(PAPER, node).items():
                last = setting.rpartition(".")[2]
                assert any(name.rpartition(".")[2] == last and value == text for name, value in listed.items()), setting
    unused = ("fog", "mart", "cat_aka", "median", "particles.", "table4", "-best")
    assert not [name for name in listed if any(word in name for word in unused)]


def test_a_natural_network_needs_no_reading_of_the_method() -> None:
    listed = plan.all_readings(PAPER, [Run("cifar10", "resnet18", "natural", 0)])
    assert not [name for name in listed if name.startswith(("generators", "attacks", "selection", "at_aka"))]
    assert listed["setups.*.milestones"] == "(75, 90) [G1]"


# ---- growth


def test_the_work_is_linear_in_images_and_teachers_and_the_tape_pays() -> None:
    def recorded(**overrides: Any) -> float:
        study = config.load("paper", overrides)
        return growth.work(study, [growth.tape(study)])

    one = 6.67e9 * 300 * (45_000 * (20 * 2 + 3) + 1000 + 1000 + 128 * (10 * 2 + 2))  # by hand, WRN-34-10
    for n in (1, 2, 4):
        assert recorded(methods={"s-at-aka": {"ensemble": {"n": n}}}) == pytest.approx(n * one, rel=0.002)
    assert recorded(data={"train": 9000}) == pytest.approx(recorded() / 5, rel=0.01)
    every = growth.students(PAPER, growth.AMALGAMATIONS, 5, growth.STUDENTS)
    assert len(set(every)) == 40
    tape, students = recorded(), growth.work(PAPER, every)
    assert (40 * tape + students) / (tape + students) > 20


def test_the_page_of_growth_is_current() -> None:
    assert growth.PAGE.read_text(encoding="utf-8") == growth.page()


# ---- the paper's protocol on real hardware


def test_the_page_of_the_papers_scale_is_current() -> None:
    assert scale.PAGE.read_text(encoding="utf-8") == scale.page()


def test_a_recording_shares_its_teachers_out_as_the_page_says() -> None:
    rows = [row for row in scale._recordings() if row[0] == "cifar10/wrn34-10-x3-svgd/seed0"]
    assert [row[1:3] for row in rows] == [["1", "1"], ["2", "2"], ["4", "3"], ["8", "3"]]
    assert [float(row[4]) for row in rows] == pytest.approx([1, 3 / 2, 3, 3], rel=0.02)


def test_the_longest_chain_is_the_wall_time_on_endless_devices() -> None:
    every = scale.jobs_of("table2.tex", seeds=1)
    seconds = scale.seconds_of(every, devices.card(scale.study_of(seeds=1), "h100"))
    chain = longest_chain(every, seconds)
    assert all(before in every[after].needs for before, after in itertools.pairwise(chain))
    assert sum(seconds[name] for name in chain) == pytest.approx(wall_seconds(every, seconds, len(every)))
    assert every[chain[-1]].rule == "render"
