"""The command line: one verb a stage, each naming the artifact to make by its path below a results folder.

    python -m ataka train results/demo/runs/digits/resnet10-w8/natural/seed0/model.safetensors

The scale is the results folder's: ``results`` is the paper's, ``results/demo`` the demo's. Snakemake runs these same
commands, so any job can be run by hand. Mistakes that the user can mend end with exit code 2 and a message.
"""

import argparse
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from ataka import plan
from ataka.errors import UserError
from ataka.files import provenance
from ataka.machine import attempts, terminal, torchrun
from ataka.plan import digests
from ataka.study import Study, config


def main(arguments: list[str] | None = None) -> int:
    """Run the verb that ``arguments`` name (by default the command line's), and return the exit code."""
    terminal.print_what_is_read()
    try:
        given = _given(sys.argv[1:] if arguments is None else arguments)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return attempts.MISTAKE
    note = attempts.Note(_place(given))
    if note.given_up:
        print(f"error: {note.given_up}", file=sys.stderr)
        return attempts.MISTAKE
    try:
        code, words = _run(given)
    except Exception as error:
        note.end(1, f"{type(error).__name__}: {error}")
        if torchrun.is_rank():
            torchrun.leave(1, traceback.format_exc())
        raise
    if code != torchrun.KILLED:
        note.end(code, words.removeprefix("error: "))
    if code and torchrun.is_rank():
        torchrun.leave(code, words)
    if words:
        print(words, file=sys.stderr)
    return code


def killed(arguments: list[str]) -> None:
    """Note SIGTERM as the end of the process that did ``main``'s work, and that SIGKILL followed at once.

    A cluster may do that where the work is forked (machine/warm.py): its time limit is then no lack of memory.
    """
    words = "interrupted; it was killed before it wrote its last checkpoint"
    note = attempts.Note(_place(_given(arguments)))
    if note.given_up is None:
        note.end(128 + signal.SIGTERM, words)
    print(words, file=sys.stderr)


def _given(arguments: list[str]) -> argparse.Namespace:
    """The verb and its arguments; UserError for a verb of a checkout elsewhere."""
    if provenance.HOME == provenance.PACKAGED:
        sys.path.insert(0, str(provenance.PACKAGED))  # of this command alone: import ataka adds nothing
    given = _parser(audit=arguments[:1] == ["audit"]).parse_args(arguments)
    _require_checkout(given.verb)
    return given


def _run(given: argparse.Namespace) -> tuple[int, str]:
    """Run a verb; its exit code, and the last words of one that did not end well."""
    try:
        with _terminable():
            given.verb(given)
    except UserError as error:
        return attempts.MISTAKE, f"error: {error}"
    except torchrun.Lost as error:
        return 1, f"error: {error}"
    except torchrun.Killed as error:
        return torchrun.KILLED, f"error: {error}"
    except RuntimeError as error:
        from ataka.machine.memory import out_of_memory  # torch is there, as the error is

        if not out_of_memory(error):
            raise
        first = str(error).partition("\n")[0]
        advice = "Lower the set-up's batch_size, or use a larger device"
        return attempts.MISTAKE, f"error: out of memory: {first} {advice}"
    except KeyboardInterrupt as interrupt:
        words = f"interrupted; {str(interrupt) or 'the next start begins anew'}"
        return 143 if isinstance(interrupt, Terminated) else 130, words
    return 0, ""


def _place(given: argparse.Namespace) -> Path | None:
    """The file that notes the attempts at what a stage is told to make; None for other verbs."""
    path = Path(getattr(given, "path", ""))
    room = next((place for place, part in enumerate(path.parts) if part in plan.ROOMS), None)
    return None if room is None else attempts.file_of(Path(*path.parts[:room]), path)


class Terminated(KeyboardInterrupt):
    """SIGTERM: a cluster wants its machine back. The job ends as by Ctrl-C."""


@contextmanager
def _terminable() -> Iterator[None]:
    def end(_number: int, _frame: object) -> None:
        raise Terminated

    if threading.current_thread() is not threading.main_thread():  # only there are signals heard
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _require_checkout(verb: Callable[[argparse.Namespace], None]) -> None:
    """UserError for a verb that the installed package doesn't have."""
    if provenance.HOME == provenance.PACKAGED and verb is not _audit:
        raise UserError(
            "this is the installed package, which audits networks; a study needs the checkout, with its Snakefile, "
            "config/ and methods: git clone it, and run 'make demo' there"
        )


def _parser(*, audit: bool) -> argparse.ArgumentParser:
    """The parser of all verbs; of ``audit``, which lies in another room, it knows the arguments only where asked to."""
    parser = argparse.ArgumentParser(
        prog="ataka" if provenance.HOME == provenance.PACKAGED else "python -m ataka",
        description="Run one stage of a study by hand, as Snakemake runs it, or audit a network of yours.",
    )
    verbs = parser.add_subparsers(title="verbs", required=True, metavar="VERB")

    def verb(name: str, function: Any, help: str, **path: str) -> argparse.ArgumentParser:
        added = verbs.add_parser(name, help=help, description=help)
        added.set_defaults(verb=function)
        if path:
            added.add_argument("path", help=path["path"])
        added.add_argument("--config", default="{}", metavar="JSON", help="settings that replace the scale's, as JSON")
        return added

    verb(
        "prepare",
        _prepare,
        "cut a data set's splits",
        path="ROOT/data/DATASET/train.safetensors or test.safetensors",
    )
    verb(
        "record",
        _record,
        "train an ensemble of teachers and record its tape",
        path="ROOT/tapes/.../manifest.json",
    )
    verb("train", _train, "train a network", path="ROOT/runs/.../model.safetensors")
    verb(
        "select",
        _select,
        "choose alpha among its candidates",
        path="ROOT/runs/DATASET/ARCH/METHOD/choice.json",
    )
    verb(
        "shard",
        _shard,
        "attack a network on some chunks of the test images, for one number of a table",
        path="ROOT/cells/.../ATTACK.1of3.safetensors",
    )
    evaluated = verb("evaluate", _evaluate, "attack a network: one number of a table", path="ROOT/cells/.../ATTACK.csv")
    evaluated.add_argument("--shards", nargs="*", default=(), metavar="PATH", help="join the cell from these shards")
    verb(
        "particles",
        _particles,
        "measure a generator's particles on a network: a row of Table 1",
        path="ROOT/particles/.../GENERATOR.csv",
    )
    audited = verb("audit", _audit, "attack a network of yours: accuracies and health checks in a folder")
    if audit:
        _report_audit().add_arguments(audited)
    verb("verify", _verify, "check a results folder against its records", path="results, or results/SCALE")
    planned = verb("plan", _plan, "estimate a target's jobs, time and tapes, and show its progress")
    planned.add_argument("target", nargs="?", default="results/all", help="a target of Snakemake; default: results/all")
    planned.add_argument("--on", metavar="KIND", help="GPUs of a kind, such as h100; default: this machine")
    planned.add_argument(
        "--devices", metavar="N", type=int, help="devices that work at once; default: 1 with --on, else this machine's"
    )
    watched = verb("watch", _watch, "show a study while it runs: jobs, the time left, failures; only reads files")
    watched.add_argument("path", metavar="RESULTS", help="a results folder, such as results/pocket, or a target in one")
    watched.add_argument("--once", action="store_true", help="print one picture; default where there is no terminal")
    watched.add_argument("--interval", metavar="SECONDS", type=float, default=5.0, help="between two looks; default: 5")
    exported = verb(
        "export", _export, "put a network of a study into a folder for others: weights, model card, RobustBench's entry"
    )
    exported.add_argument("path", metavar="RUN", help="ROOT/runs/DATASET/ARCH/METHOD/seedN")
    exported.add_argument("folder", metavar="FOLDER", nargs="?", help="default: exports/DATASET-ARCH-METHOD-seedN")
    schema = verb("schema", _schema, "write the JSON schema of config/*.yaml, for editors")
    schema.add_argument("--check", action="store_true", help="only say whether config/schema.json is current")
    readings = verb("readings", _readings, "write docs/readings.md, the switches for the paper's open sentences")
    readings.add_argument("--check", action="store_true", help="only say whether docs/readings.md is current")
    api = verb("api", _api, "write docs/api.md, the functions of `import ataka` by their docstrings")
    api.add_argument("--check", action="store_true", help="only say whether docs/api.md is current")
    return parser


def _node(given: argparse.Namespace, kind: type, path: str | None = None) -> tuple[Study, str, Any]:
    root, node = plan.parse(path or given.path)
    if not isinstance(node, kind):
        raise UserError(f"'{given.path}' is a {type(node).__name__.lower()}, not a {kind.__name__.lower()}")
    study = config.load(plan.scale_of(root), config.overrides(given.config))
    plan.require_known(study, node)
    provenance.git_state()  # and the code, as they are now: a job of days may see them change
    digests.code_digest(plan.code_of(study, node))
    return study, root, node


def _stage(verb: str) -> Callable[..., None]:
    """The function of a stage: ``verb`` names its module and itself. Stages need torch, so they are loaded on use."""
    stage: Callable[..., None] = getattr(import_module(f"ataka.stages.{verb}"), verb)
    return stage


def _prepare(given: argparse.Namespace) -> None:
    path = Path(given.path)
    if len(path.parts) < 4 or path.parts[-3] != "data" or path.name not in ("train.safetensors", "test.safetensors"):
        raise UserError(f"'{path}' is no prepared split: ROOT/data/DATASET/train.safetensors or test.safetensors")
    root = path.parents[2].as_posix()
    _stage("prepare")(
        config.load(plan.scale_of(root), config.overrides(given.config)), root, path.parent.name, path.stem
    )


def _record(given: argparse.Namespace) -> None:
    _stage("record")(*_node(given, plan.Tape))


def _train(given: argparse.Namespace) -> None:
    _stage("train")(*_node(given, plan.Run))


def _select(given: argparse.Namespace) -> None:
    path = Path(given.path)
    if path.name != "choice.json":
        raise UserError(f"'{path}' is no choice of alpha: ROOT/runs/DATASET/ARCH/METHOD/choice.json")
    study, root, node = _node(given, plan.Run, (path.parent / "seed0/model.safetensors").as_posix())
    if not plan.tuned(study.method(node.method)):
        raise UserError(f"{node.method} has no alpha to choose: methods.{node.method}.alpha is not 'tuned'")
    _stage("select")(study, root, node)


def _shard(given: argparse.Namespace) -> None:
    _stage("shard")(*_node(given, plan.Shard))


def _evaluate(given: argparse.Namespace) -> None:
    _stage("evaluate")(*_node(given, plan.Cell), given.shards)


def _particles(given: argparse.Namespace) -> None:
    _stage("particles")(*_node(given, plan.Particles))


def _audit(given: argparse.Namespace) -> None:
    _report_audit().audit(given)


def _report_audit() -> ModuleType:
    """The room of the audit, which stands above this one, so it is loaded by its name."""
    return import_module("report.audit")


def _verify(given: argparse.Namespace) -> None:
    """Verify stands above what it checks, so it is loaded by its name."""
    import_module("report.verify").verify(Path(given.path), config.overrides(given.config))


def _plan(given: argparse.Namespace) -> None:
    """A target is a table or another page, so the plan stands above the stages, as verify does."""
    import_module("report.forecast.page").plan_target(given)


def _watch(given: argparse.Namespace) -> None:
    """As a plan, it stands above the stages."""
    import_module("report.watch.command").watch(given)


def _export(given: argparse.Namespace) -> None:
    """A card is a page, so the export stands above the stages, too."""
    import_module("report.export.command").export(given)


def _schema(given: argparse.Namespace) -> None:
    _generate("config/schema.json", config.schema(), "schema", check=given.check)


def _readings(given: argparse.Namespace) -> None:
    from ataka.study import switches

    _generate("docs/readings.md", switches.document(config.load()), "readings", check=given.check)


def _api(given: argparse.Namespace) -> None:
    from ataka.library import api

    _generate("docs/api.md", api.document(), "api", check=given.check)


def _generate(name: str, content: str, verb: str, *, check: bool) -> None:
    """Write a file of the repository that the code defines, or only check it."""
    path = config.HOME / name
    if not check:
        path.write_text(content, encoding="utf-8")
    elif not path.exists() or path.read_text(encoding="utf-8") != content:
        raise UserError(f"{name} is not what the code defines; run: python -m ataka {verb}")
