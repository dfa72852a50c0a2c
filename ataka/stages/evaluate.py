"""evaluate: attack a network; one number of a table."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from statistics import NormalDist

import numpy
import torch

from ataka import plan
from ataka.attacks import aa_warnings, diagnostics
from ataka.datasets.images import to_unit
from ataka.evaluation import Verdicts
from ataka.evaluation import evaluate as run_attack
from ataka.files import provenance
from ataka.files.disk import replacing, sha256
from ataka.files.records import read_json, sealed, write_rows
from ataka.models.mixture import Mixture
from ataka.plan import Cell, digests
from ataka.stages.common import as_text, device_name, device_of, exact, load, load_images, progress_of, states_of
from ataka.study import Study


def evaluate(study: Study, root: str, node: Cell) -> None:
    """Attack a run's network on the test images; writes the cell, with what its health checks need, and its bits."""
    device = device_of(study)
    attack = study.attack(node.attack).model_dump()
    network = load(study, root, node.run, device)
    attacked = network
    if study.method(node.method).attacked == "member":
        assert isinstance(network, Mixture)
        attacked = network.members[0]
    split = load_images(study, root, node.dataset, "test").to(device)
    progress, model = progress_of(node), sha256(node.run.model(root))
    states = states_of(study, node, node.csv(root).parent, progress, data=split.digest(), model=model)
    states.folder /= node.attack
    with states:
        with aa_warnings.heard() as warnings:
            verdicts = run_attack(
                network, attack, split, seed=node.seed, progress=progress, states=states, attacked=attacked
            )
            if attack["kind"] == "aa":
                aa_warnings.check(attacked, to_unit(split.images[: attack["chunk"]]))
        health: Mapping[str, object] = {}
        if attack["kind"] == "pgd":
            health = diagnostics.of_pgd(attacked, attack, split, seed=node.seed)
        elif attack["kind"] == "aa":
            health = {"before_square": verdicts.before_square, "warnings": "; ".join(warnings)}
        _write_cell(study, root, node, verdicts, health, model_sha256=model, data_sha256=split.digest())


def _write_cell(
    study: Study,
    root: str,
    node: Cell,
    verdicts: Verdicts,
    health: Mapping[str, object],
    *,
    model_sha256: str,
    data_sha256: str,
) -> None:
    attack = study.attack(node.attack).model_dump()
    correct, count = int(verdicts.correct.sum()), len(verdicts.correct)
    low, high = wilson(correct, count)
    environment = provenance.environment()
    bits = node.bits(root)
    with replacing(bits) as part, part.open("wb") as file:
        numpy.save(file, verdicts.correct.numpy())
    row = {
        "scale": study.scale,
        **asdict(node),
        "n": count,
        "correct": correct,
        "accuracy": f"{100 * correct / count:.4f}",
        "ci_low": f"{low:.4f}",
        "ci_high": f"{high:.4f}",
        **{name: as_text(attack.get(name)) for name in ("eps", "steps", "step_size", "version", "chunk", "strength")},
        "model_sha256": model_sha256,
        "config_sha256": plan.digest(plan.cell_settings(study, node)),
        "git_commit": environment["git_commit"],
        "git_dirty": environment["git_dirty"],
        "device": device_name(device_of(study)),
        "torch": torch.__version__,
        "threads": study.threads,
        "seconds": f"{verdicts.seconds:.3f}",
        "finished_at": provenance.now(),
        **{name: exact(value) for name, value in health.items()},
        **read_json(node.run.folder(root) / "run.json").get("diagnostics", {}),
        "bits_sha256": sha256(bits),
        "data_sha256": data_sha256,
        "code_sha256": digests.code_digest(plan.code_of(study, node)),
    }
    write_rows(node.csv(root), [sealed(row)])
    progress_of(node).say(f"{correct} of {count} correct, {100 * correct / count:.2f} %")


def wilson(correct: int, count: int) -> tuple[float, float]:
    """The 95 % Wilson interval of ``correct`` out of ``count``, in per cent.

    As scipy.stats.binomtest(...).proportion_ci(method="wilson"), whose import would cost every cell a second.
    """
    z = NormalDist().inv_cdf(0.975)
    share, shrink = correct / count, 1 + z * z / count
    centre = (share + z * z / (2 * count)) / shrink
    reach = z / shrink * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return 100 * max(centre - reach, 0.0), 100 * min(centre + reach, 1.0)
