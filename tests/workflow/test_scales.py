"""What would each scale do? Counted from its configuration, without the code that plans it."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.workflow.driver import HOME, Answer, Checkout, ask_all

SCALES = {"smoke": "results/smoke", "demo": "results/demo", "pocket": "results/pocket", "paper": "results"}


@pytest.fixture(scope="module")
def planned(fresh: Checkout) -> dict[str, Answer]:
    return ask_all(
        {scale: lambda root=root: fresh.snakemake("-n", f"{root}/table2.tex") for scale, root in SCALES.items()}
    )


def overlaid(base: Any, upper: Any) -> Any:
    if isinstance(base, dict) and isinstance(upper, dict):
        return {key: overlaid(base.get(key), upper.get(key, base.get(key))) for key in base | upper}
    return upper


def configuration(scale: str) -> dict[str, Any]:
    def read(name: str) -> Any:
        return yaml.safe_load((HOME / f"config/{name}.yaml").read_text(encoding="utf-8"))

    base = read("paper") | {"methods": read("methods")}
    return base if scale == "paper" else overlaid(base, read(scale))


def expected(scale: str) -> dict[str, int]:
    settings = configuration(scale)
    table = yaml.safe_load((HOME / "report/paper/tables/table2.yaml").read_text(encoding="utf-8"))
    stand_in = {name: settings.get("stand_ins", {}).get(name, name) for name in table["datasets"] + table["archs"]}
    datasets = {stand_in[name] for name in table["datasets"]} - {None}
    blocks = len(datasets) * len({stand_in[name] for name in table["archs"]} - {None})

    def resolved(name: str) -> dict[str, Any]:
        own = settings["methods"][name]
        return overlaid(resolved(own["like"]), own) if "like" in own else own

    rows = [resolved(name) for group in table["rows"] for name in group]
    methods = [method for method in rows if method.get("objective") is not None]
    frozen = {teacher for method in methods for teacher in method.get("teachers", {}).values()}
    students = [method for method in methods if method.get("alpha") == "tuned"]
    seeds, attacks, alphas = len(settings["seeds"]), len(table["columns"]), len(settings["selection"]["alphas"])

    def trainings() -> Iterator[int]:
        for method in methods:
            members = method.get("members", 1)
            yield seeds * (members + 1 if members > 1 else 1)  # an average is one more job
            yield alphas if method in students else 0  # candidates of the first seed alone

    teachers = sum(resolved(name)["members"] + 1 for name in frozen) * seeds  # on the teachers' network, for all

    return {
        "prepare": 2 * len(datasets),
        "record": len(datasets) * seeds if students else 0,
        "train": blocks * sum(trainings()) + len(datasets) * teachers,
        "select": blocks * len(students),
        "evaluate": blocks * len(methods) * seeds * attacks,
        "collect": 1,
        "render": 1,
    }


def counted(answer: Answer) -> dict[str, int]:
    """Jobs of each rule, as the first word of their messages."""
    verbs = [job.split()[0] for job in answer.jobs]
    return {verb: verbs.count(verb) for verb in dict.fromkeys(verbs)}


@pytest.mark.parametrize("scale", SCALES)
def test_a_scale_plans_as_many_jobs_as_its_configuration_says(planned: dict[str, Answer], scale: str) -> None:
    assert planned[scale].code == 0, planned[scale].text
    assert counted(planned[scale]) == expected(scale)


def test_the_paper_records_each_ensemble_once_a_seed_for_all_its_students(planned: dict[str, Answer]) -> None:
    records = [job for job in planned["paper"].jobs if job.startswith("record")]
    assert sorted(records) == sorted(
        f"record {dataset} {ensemble} seed {seed}"
        for dataset, ensemble in (("cifar10", "wrn34-10-x3-svgd"), ("cifar100", "wrn70-16-x3-svgd"))
        for seed in (0, 1, 2)
    )


@pytest.mark.parametrize("scale", SCALES)
def test_no_job_is_planned_twice(planned: dict[str, Answer], scale: str) -> None:
    assert len(planned[scale].jobs) == len(set(planned[scale].jobs))
