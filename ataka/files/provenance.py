"""Commit, versions, machine and time, for the record beside every result."""

import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGED = Path(__file__).resolve().parents[1] / "_packaged"
"""In an installed package the files of the checkout that an audit needs: config/ and report/."""
HOME = PACKAGED if PACKAGED.is_dir() else PACKAGED.parents[1]
"""The checkout: where config/, the Snakefile and results/ lie; in an installed package ``PACKAGED``."""
ROOMS = ("ataka", "baselines", "config", "report", "rules")
"""The folders of the checkout whose files may decide a result. A file that was added there counts as an edit."""
PACKAGES = ("torch", "torchvision", "timm", "numpy", "pyautoattack", "snakemake")


def environment() -> dict[str, Any]:
    """The commit, whether the checkout was changed, versions and machine, of this process."""
    commit, dirty = git_state()
    return {
        "git_commit": commit,
        "git_dirty": dirty,
        "python": platform.python_version(),
        "platform": platform.platform(terse=True),
        "versions": {name: _version(name) for name in PACKAGES},
    }


def commit(record: Mapping[str, str]) -> str:
    """The commit that a record states, as pages print it: 12 digits, and whether the checkout was edited."""
    return record["git_commit"][:12] + (" (edited)" if record["git_dirty"].lower() == "true" else "")


def commits(records: Iterable[Mapping[str, str]]) -> str:
    """The commits of several records, each once; ``unknown`` where no record states one."""
    return ", ".join(sorted({commit(record) for record in records if record["git_commit"]})) or "unknown"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@cache
def git_state() -> tuple[str, bool | None]:
    """The commit of the checkout, and whether a file differs from it or was added in ROOMS.

    ("", None) for sources that are no checkout of their own, though they may lie inside another one. The same where git
    doesn't answer, which is printed with git's reason.
    """
    try:
        if not (HOME / ".git").exists():
            return "", None
        around = _git("rev-parse", "--show-toplevel")
        if not HOME.samefile(around):
            raise OSError(f"{HOME / '.git'} is no repository, and {around} is another one")
        commit = _git("rev-parse", "--verify", "HEAD")
        edited = _git("status", "--porcelain", "--untracked-files=no")
        added = _git("ls-files", "--others", "--exclude-per-directory=.gitignore", "--", *ROOMS)
        return commit, bool(edited or added)
    except subprocess.CalledProcessError as error:
        reason = " ".join(os.fsdecode(error.stderr).split())
    except OSError as error:
        reason = str(error)
    print(f"WARNING: records don't state the commit of {HOME}: {reason}", file=sys.stderr, flush=True)
    return "", None


def _git(*arguments: str) -> str:
    """Git's answer about the checkout, whatever repository the environment names; no file is written."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_") or "CONFIG" in name}
    command = ["git", "--no-optional-locks", "-c", "core.fsmonitor=false", "-C", str(HOME), *arguments]
    answer = subprocess.run(command, env=kept, capture_output=True, check=True).stdout
    return os.fsdecode(answer).removesuffix("\n")


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
