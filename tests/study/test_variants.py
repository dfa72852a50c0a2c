"""Does a usual ablation of a method work, whatever its variants are, and is it said what becomes of these?"""

from typing import Any

import pytest

from ataka import plan
from ataka.errors import UserError
from ataka.plan import Run
from ataka.study import config, variants
from ataka.study.notes import notes
from report import catalogue

ABLATIONS: dict[str, tuple[dict[str, Any], dict[str, str]]] = {  # what is changed, and what that rules out
    "alpha": ({"s-at-aka": {"alpha": 0.3}}, {"s-at-aka.alpha-test": "nothing is chosen, alpha is 0.3"}),
    "the base's alpha": ({"n-at-aka": {"alpha": 0.3}}, {"s-at-aka.alpha-test": "nothing is chosen, alpha is 0.3"}),
    "one member": (
        {"en-sat": {"members": 1}},
        {"en-sat.logits": "en-sat has no 1 members", "en-sat.member": "en-sat has no 1 members"},
    ),
    "two students": ({"s-cat-aka": {"members": 2}}, {"s-cat-aka.s3": "say 'chosen', or 0 to 1"}),
    "five teachers": ({"s-at-aka": {"ensemble": {"n": 5}}}, {"s-at-aka.pgd": "3 are fewer than 5"}),
    "another psi": (
        {"p-at-aka": {"options": {"amalgamation": "soft"}}},
        {
            "p-at-aka.per-batch": "weights_per: unknown key",
            "p-at-aka.mean-distance": "weights_per: unknown key",
            "p-at-aka.kl-printed": "kl: decides nothing",
        },
    ),
    "a mean over classes, which Pareto has not": ({"n-at-aka": {"options": {"mse": "mean"}}}, {}),
    "an option of one psi": ({"n-at-aka": {"options": {"psi": {"follow": "easiest"}}}}, {}),
    "other teachers": ({"s-at-aka": {"ensemble": {"generator": "svgd-median"}}}, {}),
    "alpha of the joint students": ({"s-cat-aka": {"alpha": 0.3}}, {}),
    "fewer teachers of the baselines": ({"en-trades": {"members": 1}}, {}),
}


@pytest.mark.parametrize("scale", config.scales())
def test_a_shipped_scale_leaves_nothing_out_and_needs_no_note(scale: str) -> None:
    study = config.load(scale)
    assert not study.left_out
    assert not list(notes(study))


@pytest.mark.parametrize("name", ABLATIONS)
def test_an_ablation_works_and_leaves_out_what_it_rules_out(name: str) -> None:
    methods, ruled_out = ABLATIONS[name]
    study = config.load("smoke", {"methods": methods})
    assert study.left_out.keys() == ruled_out.keys()
    for variant, reason in ruled_out.items():
        assert reason in study.left_out[variant]
        assert study.method(variant).planned
        assert any(reason in note for note in notes(study))
        run = Run("digits", "resnet10-w8", variant, 0)
        with pytest.raises(UserError, match=f"method '{variant}' is left out, as the settings of its method"):
            plan.run_settings(study, run)
    tables, reasons = catalogue.every(study)
    assert not reasons
    assert {table.name for table in tables} == {table.name for table in catalogue.every(config.load("smoke"))[0]}


def test_inherited_options_are_those_that_mean_something() -> None:
    changed = {"n-at-aka": {"options": {"mse": "mean", "psi": {"follow": "easiest"}}}}
    study = config.load("smoke", {"methods": changed})
    assert config.options(study, "n-at-aka").psi.follow == "easiest"
    assert config.options(study, "s-at-aka").mse == "mean"
    assert config.options(study, "s-at-aka").psi.beta == 1
    assert "mse" not in config.facts(study, "p-at-aka").settings


@pytest.mark.parametrize(
    ("methods", "said"),
    [
        ({"s-at-aka": {"alpha": 0.3}, "s-at-aka.alpha-test": {"chosen_on": "test"}}, "s-at-aka.alpha-test.chosen_on"),
        ({"x": {"like": "s-at-aka", "alpha": 0.3, "chosen_on": "test"}}, "methods.x.chosen_on: nothing is chosen"),
        ({"x": {"like": "p-at-aka", "options": {"mse": "mean"}}}, "methods.x.options.mse: decides nothing"),
    ],
)
def test_what_the_user_names_is_refused(methods: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as caught:
        config.load("smoke", {"methods": methods})
    assert said in str(caught.value)


def test_variants_of_variants_derive_too() -> None:
    methods = {"a": {}, "b": {"like": "a"}, "c": {"member_of": "b"}, "d": {"average_of": "c"}, "e": {"like": "f"}}
    assert variants.of_changed(methods, {"a": {}}) == {"b", "c", "d"}
    assert variants.of_changed(methods, {"a": {}, "c": {}}) == {"b", "d"}
    assert variants.of_changed(methods, {"b": {}}, {"b", "e"}) == {"c", "d", "e"}
    assert variants.of_changed(None, ["a"]) == variants.of_changed(methods, None) == set()


def test_steps_beyond_the_ball_are_said_on_start() -> None:
    settings = {
        "eps": "8/255",
        "attacks": {"pgd": {"step_size": "17/255"}, "fgsm": {"eps": "1/255"}, "cw": {"step_size": "16/255"}},
        "generators": {"svgd": {"step_size": "8/255"}, "svgd-raw": {"step_size": 3}},
        "methods": {"en-trades": {"options": {"step_size": 0.9}}},
    }
    said = list(notes(config.load("paper", settings)))
    assert said[0] == (
        "attacks.pgd.step_size: a step of 17/255 is more than 2 eps (eps 8/255), from border to border of the ball"
    )
    assert said[1].startswith(
        "methods.en-trades.options.step_size, methods.trades.options.step_size, methods.en-trades.t4.options.step_size"
    )
    assert all("a step of 0.9 is more than 2 eps" in note for note in said[1:])
