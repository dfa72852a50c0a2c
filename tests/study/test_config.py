"""Is every mistake refused before any job runs, with the key's path and what would be right?"""

import hashlib
import itertools
import json
import math
import shutil
import sys
import types
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any
from unittest import mock

import jsonschema
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ataka import plan
from ataka.errors import UserError
from ataka.objectives import at_aka
from ataka.study import Study, config, layers

SCALES = ("demo", "paper", "pocket", "smoke")


def complaint(overrides: dict[str, Any], scale: str = "smoke") -> str:
    with pytest.raises(UserError) as caught:
        config.load(scale, overrides)
    return str(caught.value)


# ---- what is shipped


def test_the_shipped_scales_are_known() -> None:
    assert config.scales() == SCALES


@pytest.mark.parametrize("scale", SCALES)
def test_shipped_scales_load(scale: str) -> None:
    study = config.load(scale)
    assert study.scale == scale
    assert {"natural", "en-sat", "n-at-aka", "l-at-aka", "s-at-aka", "p-at-aka"} <= set(study.methods)
    for name, method in study.methods.items():
        assert method.objective is None or config.options(study, name) is not None


def test_the_paper_scale_is_the_papers_appendix() -> None:
    study = config.load()
    table2, generator = study.setups["table2"], study.generators["svgd"]
    assert (table2.epochs, table2.milestones, table2.learning_rate) == (300, (200, 250, 270), 0.1)
    assert (table2.batch_size, table2.momentum, table2.weight_decay, table2.decay) == (128, 0.9, 2e-4, 0.1)
    assert (study.setups["natural"].epochs, study.setups["natural"].milestones) == (100, (75, 90))
    assert (generator.steps, generator.step_size, generator.bandwidth, generator.eps) == (20, "0.003", 1e-3, "8/255")
    pgd = study.attack("pgd")
    assert (pgd.options["steps"], pgd.options["step_size"]) == (20, "0.003")
    assert study.attack("aa").options["version"] == "standard"
    assert (study.teacher("cifar10"), study.teacher("cifar100")) == ("wrn34-10", "wrn70-16")
    assert study.methods["s-at-aka"].ensemble.n == 3
    assert study.methods["en-sat"].members == 3
    assert config.options(study, "s-at-aka") == at_aka.Options(
        amalgamation="soft", psi={"beta": 1.0}, mse="sum", kl="teacher_to_student"
    )
    assert study.selection.split == "validation"
    assert study.seeds == (0, 1, 2)


def test_the_schema_beside_the_scales_is_current() -> None:
    assert (config.HOME / "config/schema.json").read_text() == config.schema(), "run: python -m ataka schema"


def test_like_inherits_all_but_what_is_stated() -> None:
    study = config.load("smoke")
    naive, soft = study.methods["n-at-aka"], study.methods["s-at-aka"]
    assert (soft.label, soft.options) == ("(S)AT-AKA", {"amalgamation": "soft"})
    assert naive.model_copy(update={"label": soft.label, "options": soft.options, "like": "n-at-aka"}) == soft
    overrides = {
        "methods": {"s2": {"like": "s-at-aka", "options": {"psi": {"beta": 2.0}}}, "s3": {"like": "s2", "alpha": 0.5}}
    }
    chained = config.load("smoke", overrides)
    assert chained.methods["s3"].options == {"amalgamation": "soft", "psi": {"beta": 2.0}}
    assert chained.methods["s3"].alpha == 0.5
    assert chained.methods["s2"].alpha == "tuned"


def test_the_readings_in_force_are_listed() -> None:
    readings = plan.all_readings(config.load("paper"))
    assert readings["generators.*.update"] == "sign [A7]"
    assert readings["generators.svgd-raw.update"] == "raw [A7]"
    assert readings["at_aka.mse"] == "sum [C2]"
    assert readings["at_aka.input"] == "clean [C3]"
    assert readings["sat.batchnorm"] == "train [A12]"
    assert readings["sat.average"] == "probabilities [E1]"
    assert readings["selection.split"] == "validation [C1]"
    assert readings["seeds"] == "(0, 1, 2) [G5]"
    assert "natural.average" not in readings


def test_a_group_that_is_none_is_refused_as_such() -> None:
    for base in ({}, {"attacks": None}, {"attacks": 3}):
        assert layers.unlike(base, {"attacks": {"pgd": {}}}) == {}
    assert layers.unlike({"attacks": {"pgd": {}}}, {"attacks": {"pgd": {}, "pdg": {}}}) == {("attacks", "pdg"): ["pgd"]}


def test_a_variants_own_reading_is_listed_beside_the_others() -> None:
    overrides = {"methods": {"s-at-aka.mean": {"like": "s-at-aka", "options": {"mse": "mean"}}}}
    readings = plan.all_readings(config.load("paper", overrides))
    assert readings["at_aka.mse"] == "sum [C2]"
    assert readings["s-at-aka.mean.mse"] == "mean [C2]"
    assert readings["s-at-aka.alpha-test.chosen_on"] == "test [C1]"


# ---- overlays


def test_one_eps_reaches_every_attack_that_states_none() -> None:
    study = config.load("demo", {"eps": "4/255", "attacks": {"fgsm": {"eps": "1/255"}}})
    assert study.attacks["fgsm"].eps == "1/255"
    others = [study.attacks["pgd"], study.attacks["aa"], study.selection.attack, study.generators["svgd"]]
    assert [given.eps for given in others] == ["4/255"] * 4
    assert config.options(study, "en-sat").eps == "4/255"


def test_one_scales_eps_never_leaks_into_another() -> None:
    """The workflow loads every scale with the same overrides."""
    overrides = {"attacks": {"new": {"kind": "fgsm"}}, "generators": {"g": {"step_size": "1/255", "steps": 1}}}
    given_before = deepcopy(overrides)
    assert config.load("demo", overrides).attacks["new"].eps == "26/255"
    assert config.load("paper", overrides).attacks["new"].eps == "8/255"
    assert overrides == given_before


def test_snakemake_passes_strings() -> None:
    overrides = {"seeds": ["0", "1"], "threads": "2", "eps": "4/255", "setups": {"table2": {"learning_rate": "0.05"}}}
    study = config.load("smoke", overrides)
    assert (study.seeds, study.threads, study.setups["table2"].learning_rate) == ((0, 1), 2, 0.05)
    numbers = {"seeds": [0, 1], "threads": 2, "eps": "4/255", "setups": {"table2": {"learning_rate": 0.05}}}
    assert study.model_dump() == config.load("smoke", numbers).model_dump()


def test_lists_are_replaced_and_mappings_are_merged() -> None:
    study = config.load("smoke", {"selection": {"alphas": [0.7]}})
    assert study.selection.alphas == (0.7,)
    assert study.selection.attack.options["steps"] == 2


# ---- refusals


NEW_SETUP = {"epochs": 1, "batch_size": 4, "learning_rate": 0.1, "momentum": 0, "weight_decay": 0, "milestones": []}
REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "key": ({"sedes": [0]}, "config (smoke): sedes: unknown key; did you mean 'seeds'?"),
    "shards of an attack without chunks": (
        {"shards": {"pgd": 3}},
        "shards.pgd: an attack of kind pgd has no canonical chunks for several jobs to share; attacks with such "
        "chunks: aa, fog",
    ),
    "shards of no attack": ({"shards": {"aaa": 3}}, "shards: 'aaa' is not defined; did you mean 'aa'?"),
    "shards of all attacks": ({"shards": 3}, "shards: give the number by an attack's name, as {aa: 3}"),
    "a boolean among numbers": ({"shards": {"aa": True}}, "shards: True is no number"),
    "no shards": ({"shards": {"aa": 0}}, "shards.aa: "),
    "deep key": ({"setups": {"table2": {"epoch": 3}}}, "setups.table2.epoch: unknown key; did you mean 'epochs'?"),
    "attack's key": ({"attacks": {"pgd": {"stpes": 3}}}, "attacks.pgd.stpes: unknown key; did you mean 'steps'?"),
    "selection's attack's": (
        {"selection": {"attack": {"stpes": 3}}},
        "selection.attack.stpes: unknown key; did you mean 'steps'?",
    ),
    "method's key": (
        {"methods": {"natural": {"setpu": "x"}}},
        "methods.natural.setpu: unknown key; did you mean 'setup'?",
    ),
    "ensemble's key": ({"methods": {"s-at-aka": {"ensemble": {"m": 3}}}}, "methods.s-at-aka.ensemble.m: unknown key"),
    "option": (
        {"methods": {"en-sat": {"options": {"stpes": 3}}}},
        "methods.en-sat.options.stpes: unknown key; did you mean 'steps'?",
    ),
    "option's value": (
        {"methods": {"s-at-aka": {"options": {"amalgamation": "sfot"}}}},
        "methods.s-at-aka.options.amalgamation: no psi 'sfot'; did you mean 'soft'?",
    ),
    "psi's option": (
        {"methods": {"s-at-aka": {"options": {"psi": {"betta": 2}}}}},
        "methods.s-at-aka.options.psi.betta: unknown key; did you mean 'beta'?",
    ),
    "psi's option's value": (
        {"methods": {"l-at-aka": {"options": {"psi": {"floor": 0}}}}},
        "methods.l-at-aka.options.psi.floor: Input should be greater than 0",
    ),
    "another psi's option": (
        {"methods": {"s-at-aka": {"options": {"psi": {"ridge": 1}}}}},
        "methods.s-at-aka.options.psi.ridge: unknown key; known: beta",
    ),
    "no psi's option": (
        {"methods": {"en-rslad": {"options": {"psi": {"beta": 2}}}}},
        "methods.en-rslad.options.psi: options of a psi, but amalgamation names none",
    ),
    "idle option": (
        {"methods": {"s-at-aka": {"options": {"kl": "student_to_teacher"}}}},
        "methods.s-at-aka.options.kl: decides nothing beside the other options; leave it out",
    ),
    "psi that needs the student": (
        {"methods": {"s-cat-aka": {"options": {"amalgamation": "pareto"}}}},
        "methods.s-cat-aka.options.amalgamation: psi 'pareto' needs the student's own probabilities",
    ),
    "option missing": (
        {"methods": {"x": {"label": "x", "objective": "baselines.sat"}}},
        "methods.x.options.step_size: is missing",
    ),
    "stage": ({"resources": {"trian": {}}}, "resources.trian"),
    "type": ({"setups": {"table2": {"epochs": "many"}}}, "setups.table2.epochs: Input should be a valid integer"),
    "half an epoch": ({"setups": {"table2": {"epochs": 1.5}}}, "setups.table2.epochs"),
    "no mapping": ({"setups": {"table2": 3}}, "setups.table2: Input should be a valid dictionary"),
    "missing": (
        {"setups": {"new": {"epochs": 1}}},
        "setups.new is new and lacks its batch_size, learning_rate, momentum",
    ),
    "a digest": (
        {
            "methods": {
                "mine": {"label": "M", "checkpoints": [{"dataset": "digits", "arch": "resnet10-w8", "path": "x"}]}
            }
        },
        "config (smoke): methods.mine.checkpoints.0: sha256 is missing, and there is no file x",
    ),
    "a path": (
        {"methods": {"mine": {"label": "M", "checkpoints": [{"dataset": "digits", "arch": "resnet10-w8"}]}}},
        "config (smoke): methods.mine.checkpoints.0.path: is missing",
    ),
    "channels": (
        {
            "methods": {
                "mine": {
                    "label": "M",
                    "checkpoints": [
                        {
                            "dataset": "digits",
                            "arch": "resnet10-w8",
                            "path": "x",
                            "sha256": "0" * 64,
                            "normalise": {"mean": [0.5, 0.5, 0.5], "std": [0.2]},
                        }
                    ],
                }
            }
        },
        "methods.mine.checkpoints.0.normalise.mean: [0.5, 0.5, 0.5], but images of digits have 1 channels",
    ),
    "eps by zero": ({"eps": "8/0"}, "config (smoke): eps: '8/0' divides by zero"),
    "eps in words": ({"eps": "8/abc"}, "eps: '8/abc' is no number; write it like '8/255' or 0.003"),
    "eps too large": ({"eps": "300/255"}, "eps: '300/255' is out of range: it must be at least 0 and at most 1"),
    "attack's eps": ({"attacks": {"pgd": {"eps": 2}}}, "attacks.pgd.eps: '2' is out of range"),
    "option's eps": (
        {"methods": {"en-sat": {"options": {"eps": "8/0"}}}},
        "methods.en-sat.options.eps: '8/0' divides by zero",
    ),
    "eps in 255ths": (
        {"eps": 8},
        "eps: '8' is out of range: it must be at least 0 and at most 1; did you mean '8/255'?",
    ),
    "step in 255ths": (
        {"attacks": {"pgd": {"step_size": 2}}},
        "attacks.pgd.step_size: '2' is out of range: it must be above 0 and at most 1; did you mean '2/255'?",
    ),
    "method's step": (
        {"methods": {"en-sat": {"options": {"step_size": 2}}}},
        "en-sat.options.step_size: '2' is out of",
    ),
    "generator's step": (
        {"generators": {"svgd": {"step_size": 2}}},
        "generators.svgd.step_size: '2' is out of range: it must be above 0 and at most 1; did you mean '2/255'?",
    ),
    "pgd's step": ({"generators": {"pgd": {"update": "raw", "step_size": 2}}}, "generators.pgd.step_size: '2' is out"),
    "a share in percent": ({"methods": {"en-iad": {"options": {"begin": 30}}}}, "begin: '30' is out of range"),
    "alpha in percent": (
        {"methods": {"s-at-aka": {"alpha": 50}}},
        "s-at-aka.alpha: Input should be less than or equal",
    ),
    "no images": (
        {"attacks": {"pgd": {"images": 0}}},
        "attacks.pgd.images: Input should be greater than or equal to 1",
    ),
    "a boolean for a number": ({"setups": {"table2": {"epochs": True}}}, "setups.table2.epochs: True is no number"),
    "booleans for seeds": ({"seeds": [0, True]}, "seeds: True is no number"),
    "a boolean for alpha": ({"methods": {"s-at-aka": {"alpha": True}}}, "methods.s-at-aka.alpha: True is no number"),
    "an attack's boolean": ({"attacks": {"pgd": {"steps": True}}}, "attacks.pgd.steps: True is no number"),
    "an option's boolean": (
        {"methods": {"en-trades": {"options": {"beta": False}}}},
        "methods.en-trades.options.beta: False is no number",
    ),
    "a psi's boolean": (
        {"methods": {"s-at-aka": {"options": {"psi": {"beta": True}}}}},
        "methods.s-at-aka.options.psi.beta: True is no number",
    ),
    "a boolean somewhere": (
        {"setups": {"mart": {"where": {"wrn34-10": {"epochs": True}}}}},
        "setups.mart: where.wrn34-10.epochs: True is no number",
    ),
    "half a seed": ({"seeds": [0.5]}, "seeds.0: Input should be a valid integer"),
    "seeds as texts": ({"seeds": ["0", "0"]}, "seeds: a seed is listed twice"),
    "seconds for minutes": (
        {"resources": {"train": {"runtime": 86400}}},
        "resources.train.runtime: 86400 minutes are more than 30 days; a day is 1440",
    ),
    "fewer epochs": (
        {"setups": {"natural": {"epochs": 50, "milestones": [49, 75, 90]}}},
        "setups.natural: the learning rate would never drop at 75, 90, as training ends after epoch 50: "
        "give milestones below that, or [] for a rate that stays",
    ),
    "a drop after the end": (
        {"setups": {"table2": {"milestones": [1]}}},
        "would never drop at 1, as training ends after epoch 1",
    ),
    "fewer epochs somewhere": (
        {"setups": {"sat": {"epochs": 9, "milestones": [5], "where": {"cifar100": {"epochs": 5}}}}},
        "setups.sat: where.cifar100: the learning rate would never drop at 5",
    ),
    "fewer epochs for a data set's network": (
        {
            "setups": {
                "sat": {"epochs": 9, "where": {"cifar100": {"epochs": 5}, "resnet18": {"milestones": [7]}}},
            }
        },
        "setups.sat: where.cifar100 and resnet18: the learning rate would never drop at 7",
    ),
    "a negative milestone": (
        {"setups": {"table2": {"milestones": [-1]}}},
        "setups.table2.milestones.0: Input should be",
    ),
    "step": ({"attacks": {"pgd": {"step_size": 0}}}, "attacks.pgd.step_size: '0' is out of range: it must be above 0"),
    "alpha": (
        {"methods": {"s-at-aka": {"alpha": 1.5}}},
        "methods.s-at-aka.alpha: Input should be less than or equal to 1",
    ),
    "alphas": ({"selection": {"alphas": [0.1, 1.5]}}, "selection.alphas.1: Input should be less than or equal to 1"),
    "no alphas": ({"selection": {"alphas": []}}, "selection.alphas"),
    "alpha twice": (
        {"selection": {"alphas": [0.1, 0.5, 0.1]}},
        "selection.alphas: a candidate is listed twice: [0.1, 0.5, 0.1]",
    ),
    "alpha's folder": ({"selection": {"alphas": [0.12345678]}}, "0.12345678 names a folder"),
    "tiny alpha": ({"selection": {"alphas": [1e-5]}}, "1e-05 names a folder"),
    "seed twice": ({"seeds": [0, 0]}, "seeds: a seed is listed twice: [0, 0]"),
    "no seeds": ({"seeds": []}, "seeds"),
    "negative seed": ({"seeds": [-1]}, "seeds.0"),
    "teacher": (
        {"teachers": {"cifar10": "wrn-34-10"}},
        "teachers.cifar10: unknown architecture 'wrn-34-10'; did you mean 'wrn34-10'?",
    ),
    "stand-in teacher": ({"stand_ins": {"wrn34-10": "wrn11-1"}}, "'wrn11-1': a wide ResNet's depth is 10, 16, 22"),
    "stand-in student": (
        {"stand_ins": {"resnet18": "resnet81"}},
        "stand_ins.resnet18: unknown architecture 'resnet81'; did you mean 'resnet18'?",
    ),
    "set-up": (
        {"methods": {"natural": {"setup": "natrual"}}},
        "methods.natural.setup: 'natrual' is not defined; did you mean 'natural'?",
    ),
    "generator": (
        {"methods": {"s-at-aka": {"ensemble": {"generator": "svdg"}}}},
        "methods.s-at-aka.ensemble.generator: 'svdg' is not defined; did you mean 'svgd'?",
    ),
    "teachers' set-up": (
        {"methods": {"s-at-aka": {"ensemble": {"setup": "tabel2"}}}},
        "methods.s-at-aka.ensemble.setup: 'tabel2' is not defined; did you mean 'table2'?",
    ),
    "circle": (
        {"methods": {"a": {"like": "b"}, "b": {"like": "a"}}},
        "like goes in a circle: a -> b -> a",
    ),
    "like itself": (
        {"methods": {"natural": {"like": "natural"}}},
        "methods.natural.like goes in a circle: natural -> natural",
    ),
    "like nobody": (
        {"methods": {"x": {"like": "s-at-ak"}}},
        "methods.x.like: no method 's-at-ak'; did you mean 's-at-aka'?",
    ),
    "like a list": ({"methods": {"x": {"like": ["natural"]}}}, "methods.x.like: no method '['natural']'"),
    "milestones": (
        {"setups": {"table2": {"milestones": [3, 2]}}},
        "setups.table2.milestones: milestones must ascend, in completed epochs: [3, 2]",
    ),
    "milestone twice": ({"setups": {"table2": {"milestones": [3, 3]}}}, "milestones must ascend"),
    "milestone 0": ({"setups": {"table2": {"milestones": [0]}}}, "setups.table2.milestones.0"),
    "milestones of a cosine": (
        {"setups": {"table2": {"schedule": "cosine", "milestones": [1]}}},
        "setups.table2: milestones: no rate drops there under schedule: cosine; write milestones: []",
    ),
    "warm-up of a cycle": (
        {"setups": {"table2": {"schedule": "cyclic", "warmup": "1/20"}}},
        "setups.table2: warmup: schedule: cyclic rises by itself",
    ),
    "peak of no cycle": (
        {"setups": {"table2": {"peak": "1/2"}}},
        "setups.table2: peak: schedule: steps has no peak; leave it out",
    ),
    "schedule for one network": (
        {"setups": {"table2": {"where": {"wrn34-10": {"schedule": "cyclic", "warmup": "1/20"}}}}},
        "setups.table2: where.wrn34-10: warmup: schedule: cyclic rises by itself",
    ),
    "infinite rate": (
        {"setups": {"table2": {"learning_rate": math.inf}}},
        "setups.table2.learning_rate: Input should be a finite number",
    ),
    "no rate": (
        {"setups": {"table2": {"learning_rate": 0}}},
        "setups.table2.learning_rate: Input should be greater than 0",
    ),
    "batch of one": ({"setups": {"table2": {"batch_size": 1}}}, "setups.table2.batch_size"),
    "standard, cut": (
        {"attacks": {"aa": {"version": "standard"}}},
        "attacks.aa: iterations is for version: shortened; the standard version has no such setting",
    ),
    "shortened, uncut": (
        {"attacks": {"aa": {"queries": None}}},
        "attacks.aa: version: shortened needs iterations, target_classes and queries",
    ),
    "kind": ({"attacks": {"pgd": {"kind": "pdg"}}}, "attacks.pgd: no attack of kind 'pdg'; did you mean 'pgd'?"),
    "longer than its tape": (
        {"setups": {"long": {**NEW_SETUP, "epochs": 2}}, "methods": {"s-at-aka": {"setup": "long"}}},
        "methods.s-at-aka: the student trains 2 epochs (set-up long) but its tape has only 1 (set-up table2)",
    ),
    "best without a probe": (
        {"setups": {"table2": {"checkpoint": "best", "probe": None}}},
        "setups.table2: checkpoint: best is chosen by the probe, which is null here",
    ),
    "a stand-in of nothing": (
        {"stand_ins": {"cifar11": "digits"}},
        "stand_ins: 'cifar11' is neither a data set of the tables nor a network; did you mean 'cifar10'",
    ),
    "an attack of nothing": (
        {"attacks": {"pdg": {"steps": 3}}},
        "attacks.pdg is new and lacks its kind; did you mean 'pgd'?",
    ),
    "a misspelt method": (
        {"methods": {"s-at-akaa": {"setup": "sat"}}},
        "methods.s-at-akaa is new and lacks its label; did you mean 's-at-aka'?",
    ),
    "one seed": ({"seeds": 3}, "seeds: should be a list, such as [3]"),
    "no seed": ({"seeds": []}, "seeds: must not be empty"),
    "like nothing": ({"setups": {"mine": {"like": "tabel2"}}}, "setups.mine.like: no setup 'tabel2'; did you mean"),
    "other images than its tape": (
        {"setups": {"plain": {**NEW_SETUP, "augmentation": "none"}}, "methods": {"s-at-aka": {"setup": "plain"}}},
        "augmentation is none (set-up plain) and crop-flip (set-up table2)",
    ),
    "online alone": (
        {"methods": {"natural": {"online": True}}},
        "methods.natural.online needs an ensemble to train beside",
    ),
    "several students": (
        {"methods": {"s-at-aka": {"members": 2}}},
        "methods.s-at-aka.members: a student of an ensemble is one network",
    ),
    "tuned average": (
        {"methods": {"en-sat": {"alpha": "tuned"}}},
        "methods.en-sat.members: alpha is tuned for one network",
    ),
    "no alpha": ({"methods": {"l-at-aka": {"alpha": None}}}, "methods.l-at-aka.alpha is missing"),
    "useless alpha": (
        {"methods": {"natural": {"alpha": 0.5}}},
        "methods.natural.alpha: baselines.natural has no alpha",
    ),
    "no ensemble": ({"methods": {"l-at-aka": {"ensemble": None}}}, "methods.l-at-aka.ensemble is missing"),
    "channel": (
        {"methods": {"s-at-aka": {"options": {"logits": "eval_adv"}}}},
        "methods.s-at-aka.options.logits: the teachers' tape has no channel 'eval_adv'; add it to generators.svgd",
    ),
    "particles from a tape": (
        {"methods": {"s-at-aka": {"options": {"input": "adversarial"}}}},
        "methods.s-at-aka.options.input: adversarial needs online: true",
    ),
    "live from a tape": (
        {"methods": {"s-at-aka": {"options": {"target": "live"}}}},
        "methods.s-at-aka.options.target: live needs online: true",
    ),
    "live in eval mode": (
        {
            "methods": {"s-at-aka.live": {"options": {"logits": "eval_adv"}}},
            "generators": {"svgd": {"channels": ["train_adv", "eval_adv"]}},
        },
        "methods.s-at-aka.live.options.target: live is of the teachers' own update, logits: train_adv",
    ),
    "method's name": ({"methods": {"S AT": {"label": "SAT", "objective": None}}}, "methods.S AT: a name is lower case"),
    "attack's name": (
        {"attacks": {"50%": {"kind": "clean"}}},
        "attacks.50%: a name is letters, digits, '.', '-' and '_'",
    ),
    "generator's name": ({"generators": {"a#b": {"like": "pgd"}}}, "generators.a#b: a name is letters, digits"),
    "name with a slash": ({"methods": {"a/b": {"label": "A", "objective": None}}}, "methods.a/b: a name is lower case"),
    "module": (
        {"methods": {"natural": {"objective": "baselines.naturl"}}},
        "methods.natural.objective: no objective 'baselines.naturl', and no such module is on the Python path",
    ),
    "no module": ({"methods": {"natural": {"objective": ""}}}, "methods.natural.objective: can't import ''"),
    "relative module": (
        {"methods": {"natural": {"objective": ".sat"}}},
        "methods.natural.objective: can't import '.sat'",
    ),
    "no objective": (
        {"methods": {"natural": {"objective": "json"}}},
        "methods.natural.objective: 'json' has no class Options",
    ),
    "selection": ({"selection": "x"}, "selection: Input should be a valid dictionary"),
    "methods": ({"methods": []}, "methods must be a mapping"),
    "device": ({"device": "gpu"}, "device: Input should be 'auto', 'cpu' or 'cuda'"),
    "bandwidth": (
        {"generators": {"svgd": {"bandwidth": -1}}},
        "generators.svgd.bandwidth: Input should be greater than 0",
    ),
    "number as key": ({1: 2}, "1"),
}


def test_fewer_epochs_need_milestones_of_their_own_at_every_scale() -> None:
    """The paper's stay otherwise, and the rate never drops; a variant's line is not repeated."""
    for scale in SCALES:
        message = complaint({"setups": {"table2": {"epochs": 1, "milestones": [200, 250, 270]}}}, scale)
        assert message.count("would never drop at 200, 250, 270, as training ends after epoch 1") == 1
    assert (
        config.load("paper", {"setups": {"table2": {"epochs": 50, "milestones": [30]}}}).setups["table2-best"].epochs
        == 50
    )


@pytest.mark.parametrize("scale", SCALES)
def test_every_drop_of_a_shipped_scale_is_reached(scale: str) -> None:
    study = config.load(scale)
    for name, setup in study.setups.items():
        for names in itertools.product(study.teachers, ("resnet18", "mobilenetv2", "wrn34-10")):
            found = setup.at(names)
            assert all(milestone < found.epochs for milestone in found.milestones), name


@pytest.mark.parametrize(
    ("overrides", "read"),
    [
        ({"eps": "0.03"}, lambda study: study.eps == "0.03"),
        ({"eps": " 8 / 255 "}, lambda study: study.eps == "8/255"),
        ({"setups": {"table2": {"weight_decay": "5e-4"}}}, lambda study: study.setups["table2"].weight_decay == 5e-4),
        ({"generators": {"svgd": {"bandwidth": "1e-3"}}}, lambda study: study.generators["svgd"].bandwidth == 1e-3),
        ({"methods": {"s-at-aka.n4": {"alpha": "0.3"}}}, lambda study: study.methods["s-at-aka.n4"].alpha == 0.3),
        ({"setups": {"table2": {"epochs": 2.0}}}, lambda study: study.setups["table2"].epochs == 2),
        ({"generators": {"svgd-raw": {"step_size": 20}}}, lambda study: study.generators["svgd-raw"].step_size == "20"),
        ({"generators": {"svgd-normalised": {"step_size": 2}}}, lambda study: True),
        ({"resources": {"train": {"runtime": 43200}}}, lambda study: study.resources["train"].runtime == 43200),
        (
            {"attacks": {"pgd": {"clamp_start": True}}},
            lambda study: study.attacks["pgd"].options["clamp_start"] is True,
        ),
    ],
    ids=lambda value: None if callable(value) else str(value),  # a function's name is its place in memory
)
def test_what_can_be_meant_in_one_way_is_read_so(overrides: dict[str, Any], read: Callable[[Study], bool]) -> None:
    assert read(config.load("smoke", overrides))


def test_a_key_of_the_command_lines_json_stands_once() -> None:
    assert config.overrides('{"seeds": [1], "eps": "4/255"}') == {"seeds": [1], "eps": "4/255"}
    with pytest.raises(UserError, match="--config is no JSON: 'seeds' stands twice"):
        config.overrides('{"seeds": [1], "seeds": [2]}')


@pytest.mark.parametrize("name", REFUSALS)
def test_mistakes_are_refused_by_name(name: str) -> None:
    overrides, message = REFUSALS[name]
    assert message in complaint(overrides)


def test_one_mistake_is_one_line() -> None:
    """Though eps is spread over all attacks."""
    assert len(complaint({"eps": "8/0"}).splitlines()) == 1
    assert len(complaint({"eps": "8/0", "attacks": {"pgd": {"eps": "9/0"}}}).splitlines()) == 2


def test_unknown_scales_get_a_hint() -> None:
    with pytest.raises(UserError, match=r"no scale 'dmeo' in config/; did you mean 'demo'\?"):
        config.load("dmeo")


@pytest.mark.parametrize("name", ["en-sta", "natural "])
def test_unknown_methods_get_a_hint(name: str) -> None:
    with pytest.raises(UserError, match=r"no method '.*' in config/methods.yaml; did you mean '"):
        config.load("smoke").method(name)


def test_planned_methods_say_so() -> None:
    study = config.load("smoke", {"methods": {"later": {"label": "Later"}}})
    assert study.method("later").planned
    with pytest.raises(UserError, match=r"'later' is planned, not implemented: methods\.later\.objective is null"):
        config.options(study, "later")


def test_a_teacher_that_is_left_out_is_named() -> None:
    study = config.load("smoke", {"stand_ins": {"wrn34-10": None}})
    with pytest.raises(UserError, match=r"stand_ins\.wrn34-10 is null, but it teaches digits"):
        study.teacher("digits")
    with pytest.raises(UserError, match="no architecture is given for 'cifar10'"):
        study.teacher("cifar10")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """A checkout whose config/ may be spoilt."""
    folder = tmp_path / "config"
    folder.mkdir()
    for path in (config.HOME / "config").glob("*.yaml"):
        (folder / path.name).write_text(path.read_text())
    monkeypatch.setattr(config, "HOME", tmp_path)
    return folder


@pytest.mark.parametrize("content", ["a: [1, 2", "a: b: c", "\tx: 1", "- a\n- b", "", "42"])
@pytest.mark.parametrize("name", ["smoke.yaml", "paper.yaml", "methods.yaml"])
def test_a_file_that_is_no_mapping_is_named(home: Path, name: str, content: str) -> None:
    (home / name).write_text(content)
    with pytest.raises(UserError, match=f"config/{name} (is no valid YAML|must be a mapping)"):
        config.load("smoke")


def test_a_missing_file_is_named(home: Path) -> None:
    (home / "methods.yaml").unlink()
    with pytest.raises(UserError, match=r"config/methods\.yaml: No such file"):
        config.load("smoke")


def test_a_new_scale_is_a_new_file(home: Path) -> None:
    (home / "mine.yaml").write_text("about: mine\neps: 1/255\n")
    assert "mine" in config.scales()
    assert config.load("mine").attacks["pgd"].eps == "1/255"


def test_a_third_partys_objective_needs_only_options_and_create(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = types.ModuleType("theirs")
    monkeypatch.setitem(sys.modules, "theirs", theirs)
    overrides = {"methods": {"ours": {"label": "Ours", "objective": "theirs"}}}
    assert "'theirs' has no class Options" in complaint(overrides)
    from baselines import natural

    theirs.Options = natural.Options
    assert "'theirs' has no function create" in complaint(overrides)
    theirs.create = natural.create
    assert config.load("smoke", overrides).methods["ours"].label == "Ours"


# ---- whatever is done to the files, it loads or is refused


def raw() -> dict[str, Any]:
    """Everything that the smoke scale says, in one mapping."""
    read = {
        name: yaml.safe_load((config.HOME / f"config/{name}.yaml").read_text())
        for name in ("paper", "methods", "smoke")
    }
    return layers.overlay(read["paper"] | {"methods": read["methods"]}, read["smoke"])


RAW = raw()


def places(node: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    pairs = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in pairs:
        yield (*above, key)
        yield from places(value, (*above, key))


STRANGE = [
    None,
    True,
    -1,
    0,
    1.5,
    10**30,
    math.nan,
    math.inf,
    "",
    "x",
    "8/0",
    "1e5",
    "ü",
    [],
    {},
    [[]],
    ["x"],
    {"a": 1},
    {1: {}},
]
MUTATIONS = st.tuples(
    st.sampled_from(list(places(RAW))),
    st.one_of(st.just(("delete", None)), st.tuples(st.just("rename"), st.sampled_from(["x", "stpes", "a.b", ""])))
    | st.tuples(st.just("replace"), st.sampled_from(STRANGE)),
)


def mutate(tree: Any, place: tuple[Any, ...], how: str, value: Any) -> None:
    *above, last = place
    for step in above:
        if not isinstance(tree, dict | list) or (isinstance(tree, dict) and step not in tree):
            return
        if isinstance(tree, list) and (not isinstance(step, int) or step >= len(tree)):
            return
        tree = tree[step]
    if isinstance(tree, dict) and last in tree:
        content = tree.pop(last)
        if how != "delete":
            tree[value if how == "rename" else last] = content if how == "rename" else value
    elif isinstance(tree, list) and isinstance(last, int) and last < len(tree) and how != "rename":
        tree[last : last + 1] = [] if how == "delete" else [value]


def load(tree: dict[str, Any]) -> Study:
    def read(path: Path) -> Any:
        part = tree.get("methods") if path.stem == "methods" else {key: tree[key] for key in tree if key != "methods"}
        return deepcopy(part)

    with mock.patch.object(config, "read_mapping", read):
        return config.load("paper")


def test_the_unspoilt_files_load() -> None:
    assert load(RAW).model_copy(update={"scale": "smoke"}) == config.load("smoke")


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(MUTATIONS, min_size=1, max_size=3))
def test_a_spoilt_file_loads_or_is_refused(mutations: list[tuple[tuple[Any, ...], tuple[str, Any]]]) -> None:
    tree = deepcopy(RAW)
    for place, (how, value) in mutations:
        mutate(tree, place, how, value)
    try:
        study = load(tree)
    except UserError as error:
        told = str(error).splitlines()
    else:
        told = [json.dumps(study.model_dump(mode="json"), allow_nan=False), *plan.all_readings(study)]
    assert all(told)
    assert told


RENAMED = [
    place for place in places(RAW) if len(place) in (1, 3) and place[0] in ("setups", "data", "generators", "eps")
]


@pytest.mark.parametrize("above", dict.fromkeys(place[:-1] for place in RENAMED), ids=str)
def test_renamed_keys_are_refused_under_their_new_names(above: tuple[Any, ...]) -> None:
    tree, renamed = deepcopy(RAW), [place for place in RENAMED if place[:-1] == above]
    for number, place in enumerate(renamed):
        mutate(tree, place, "rename", f"zzz{number}")
    with pytest.raises(UserError) as caught:
        load(tree)
    for number in range(len(renamed)):
        assert ".".join([*map(str, above), f"zzz{number}"]) + ": unknown key" in str(caught.value)


@pytest.mark.parametrize("scale", config.scales())
def test_an_editor_finds_nothing_wrong_with_a_shipped_scale(scale: str) -> None:
    schema = json.loads((config.HOME / "config/schema.json").read_text(encoding="utf-8"))
    content = yaml.safe_load((config.HOME / f"config/{scale}.yaml").read_text(encoding="utf-8"))
    jsonschema.validate(content, schema)
    with pytest.raises(jsonschema.ValidationError, match="epochss"):
        jsonschema.validate({"setups": {"table2": {"epochss": 3}}}, schema)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"data": {"test": 361}}, r"data\.test: 361 images are asked for, but digits has 360"),
        ({"data": {"train": 1374}}, "data: 1374 training and 64 validation images .* digits has 1437 training images"),
        ({"attacks": {"aa": {"images": 17}}}, r"attacks\.aa\.images: 17 images .* the split of digits has 16"),
        ({"selection": {"attack": {"images": 65}}}, r"selection\.attack\.images: 65 images .* has 64"),
    ],
)
def test_more_images_than_there_are_are_refused_before_any_job(overrides: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        config.load("smoke", overrides)


def test_a_key_that_stands_twice_is_refused_with_file_and_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "config"
    shutil.copytree(config.HOME / "config", folder)
    with (folder / "smoke.yaml").open("a") as file:
        file.write("seeds: [1]\n")
    monkeypatch.setattr(config, "HOME", tmp_path)
    with pytest.raises(UserError, match=r"'seeds' stands twice(.|\n)*smoke\.yaml\", line"):
        config.load("smoke")


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("objective_typo", "def f(:\n", "SyntaxError: invalid syntax (objective_typo.py, line 1)"),
        ("objective_gone", "import math\n\nmath.sine\n", "'sine' (objective_gone.py, line 3)"),
        ("objective_lacks", "\nimport torhc\n", "No module named 'torhc' (objective_lacks.py, line 2)"),
    ],
)
def test_an_objective_that_breaks_on_import_is_named_with_the_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str, reason: str
) -> None:
    (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError) as caught:
        config.load("smoke", {"methods": {"natural": {"objective": name}}})
    assert f"methods.natural.objective: can't import '{name}': " in str(caught.value)
    assert reason in str(caught.value)


def test_a_missing_digest_is_offered(tmp_path: Path) -> None:
    file = tmp_path / "weights.pt"
    file.write_bytes(b"weights")
    entry = {"dataset": "digits", "arch": "resnet10-w8", "path": str(file)}
    with pytest.raises(UserError) as caught:
        config.load("smoke", {"methods": {"mine": {"label": "Mine", "checkpoints": [entry]}}})
    assert hashlib.sha256(b"weights").hexdigest() in str(caught.value)
    assert len(str(caught.value)) < 250


def test_a_scale_is_like_another_but_for_what_it_states(home: Path) -> None:
    (home / "mine.yaml").write_text("like: pocket\nseeds: [7]\nattacks: {pgd: {steps: 3}}\n")
    (home / "yours.yaml").write_text("like: mine\neps: 4/255\n")
    pocket, mine, yours = (config.load(scale) for scale in ("pocket", "mine", "yours"))
    same = pocket.model_dump()
    assert mine.model_dump() == same | {
        "scale": "mine",
        "seeds": (7,),
        "attacks": same["attacks"] | {"pgd": mine.model_dump()["attacks"]["pgd"]},
    }
    assert mine.attack("pgd").options["steps"] == yours.attack("pgd").options["steps"] == 3
    assert (yours.eps, yours.seeds, mine.eps) == ("4/255", (7,), pocket.eps)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("like: pockets", r"config/mine.yaml: like: no scale 'pockets'; did you mean 'pocket'\?"),
        ("like: mine", r"config/mine.yaml: like goes in a circle: mine -> mine"),
        ("like: [pocket]", r"config/mine.yaml: like: no scale"),
    ],
)
def test_a_scale_is_like_one_that_is_there(text: str, message: str, home: Path) -> None:
    (home / "mine.yaml").write_text(text)
    with pytest.raises(UserError, match=message):
        config.load("mine")


def test_a_scale_has_a_name_that_latex_takes(home: Path) -> None:
    (home / "50%.yaml").write_text("like: pocket")
    with pytest.raises(UserError, match=r"config/50%.yaml: a scale's name is letters, .* and '_': rename the file"):
        config.load("50%")


def test_particles_ask_for_no_more_images_than_there_are_only_where_they_are_measured() -> None:
    study = config.load("smoke", {"particles": {"images": 100}})
    plan.require_known(study, plan.Run("digits", "resnet10-w8", "natural", 0))
    with pytest.raises(UserError, match=r"particles.images: 100 images are asked for, but the split of digits has 16"):
        plan.require_known(study, plan.Particles("digits", "resnet10-w8", "natural", 0, "pgd"))


@pytest.mark.parametrize("scale", ["smoke", "paper"])
def test_a_set_up_without_a_probe_leaves_its_other_readings_alone(scale: str) -> None:
    """The best epoch is chosen by a probe: the readings that ask for it have one in any case."""
    probed, unprobed = (
        config.load(scale),
        config.load(scale, {"setups": {"sat": {"probe": None}, "table2": {"probe": None}}}),
    )
    assert unprobed.setups["sat"].probe is None
    for name in ("sat-best", "table2-best"):
        assert probed.setups[name].probe == probed.setups[name.removesuffix("-best")].probe
        assert unprobed.setups[name].probe is not None
