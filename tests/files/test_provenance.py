"""Does a record name the commit of these sources, and no stranger's, whatever lies around them?"""

import os
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ataka.files import provenance

Git = Callable[..., str]


@pytest.fixture(autouse=True)
def without_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture
def git() -> Git:
    """Run git in a folder and return its answer."""

    def run(folder: Path, *arguments: str) -> str:
        who = ["-c", "user.name=x", "-c", "user.email=x@x", "-c", "protocol.file.allow=always"]
        command = ["git", *who, "-C", str(folder), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    return run


def commit(git: Git, folder: Path, name: str = "Snakefile") -> str:
    """A repository with one file; returns its commit."""
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init")
    (folder / name).write_text("1\n")
    git(folder, "add", name)
    git(folder, "commit", "-m", "first")
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that takes the place of this checkout: nothing yet, inside a folder of its own."""
    folder = tmp_path / "around" / "home"
    folder.mkdir(parents=True)
    monkeypatch.setattr(provenance, "HOME", folder)
    return folder


@pytest.fixture
def state(capfd: pytest.CaptureFixture[str]) -> Callable[[], tuple[str, bool | None, str]]:
    """Commit and edits as a new process would state them, and the warning that it prints."""

    def ask() -> tuple[str, bool | None, str]:
        capfd.readouterr()
        commit, dirty = provenance.git_state.__wrapped__()
        return commit, dirty, capfd.readouterr().err

    return ask


State = Callable[[], tuple[str, bool | None, str]]


# ---- this checkout


def test_a_checkout_states_its_commit_and_edits(home: Path, git: Git, state: State) -> None:
    first = commit(git, home)
    assert state() == (first, False, "")
    (home / "Snakefile").write_text("2\n")
    assert state() == (first, True, "")
    git(home, "add", "Snakefile")
    assert state() == (first, True, "")
    git(home, "commit", "-m", "second")
    assert state() == (git(home, "rev-parse", "HEAD"), False, "")
    (home / "Snakefile").unlink()
    assert state()[1] is True


@pytest.mark.parametrize(
    "place",
    ["config/mine.yaml", "report/paper/tables/short.yaml", "baselines/mine.py", "ataka/attacks/mine.py", "rules/x.smk"],
)
def test_a_new_file_where_results_are_decided_is_an_edit(home: Path, git: Git, state: State, place: str) -> None:
    first = commit(git, home)
    (home / place).parent.mkdir(parents=True)
    (home / place).write_text("")
    assert state() == (first, True, "")
    exclude = home / ".git/info/exclude"
    exclude.parent.mkdir(exist_ok=True)
    exclude.write_text("*\n")  # one person's own list hides nothing
    git(home, "config", "status.showUntrackedFiles", "no")
    assert state() == (first, True, "")


@pytest.mark.parametrize("place", ["notes.txt", "slurm-1.out", "docs/notes.md", "ataka/__pycache__/cli.pyc"])
def test_a_new_file_elsewhere_is_none(home: Path, git: Git, state: State, place: str) -> None:
    first = commit(git, home)
    (home / ".gitignore").write_text("__pycache__/\n")
    git(home, "add", ".gitignore")
    git(home, "commit", "-m", "second")
    (home / place).parent.mkdir(parents=True, exist_ok=True)
    (home / place).write_text("")
    second = git(home, "rev-parse", "HEAD")
    assert first != second
    assert state() == (second, False, "")


def test_a_worktree_and_a_submodule_are_checkouts_of_their_own(
    home: Path, git: Git, state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    main = commit(git, home)
    worktree = tmp_path / "worktree"
    git(home, "worktree", "add", "-b", "other", str(worktree))
    (worktree / "Snakefile").write_text("2\n")
    monkeypatch.setattr(provenance, "HOME", worktree)
    assert state() == (main, True, "")
    git(worktree, "commit", "-am", "on the branch")
    assert state() == (git(worktree, "rev-parse", "HEAD"), False, "")
    outer = tmp_path / "outer"
    stranger = commit(git, outer, "README")
    git(outer, "submodule", "add", str(home), "study")
    monkeypatch.setattr(provenance, "HOME", outer / "study")
    assert state() == (main, False, "")
    assert main != stranger


# ---- strangers


def test_sources_inside_another_checkout_have_no_commit(home: Path, git: Git, state: State) -> None:
    commit(git, home.parent, "stranger")
    (home / "Snakefile").write_text("1\n")
    assert state() == ("", None, "")
    git(home.parent, "add", ".")
    git(home.parent, "commit", "-m", "sources of others, kept here")
    assert state() == ("", None, "")


def test_a_broken_repository_inside_another_one_is_said(home: Path, git: Git, state: State) -> None:
    commit(git, home.parent, "stranger")
    (home / ".git").mkdir()
    stated, dirty, said = state()
    assert (stated, dirty) == ("", None)
    assert f"WARNING: records don't state the commit of {home}: {home}/.git is no repository" in said


@pytest.mark.parametrize(
    "names", [("GIT_DIR",), ("GIT_DIR", "GIT_WORK_TREE"), ("GIT_INDEX_FILE",), ("GIT_COMMON_DIR",)]
)
def test_the_environments_repository_is_not_asked(
    home: Path, git: Git, state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...]
) -> None:
    """As in a git hook, in `git rebase --exec`, or where dotfiles are kept in a repository."""
    own, other = commit(git, home), tmp_path / "other"
    stranger = commit(git, other, "stranger")
    values = {
        "GIT_DIR": other / ".git",
        "GIT_WORK_TREE": other,
        "GIT_INDEX_FILE": other / ".git/index",
        "GIT_COMMON_DIR": other / ".git",
    }
    for name in names:
        monkeypatch.setenv(name, str(values[name]))
    assert state() == (own, False, "")
    assert own != stranger


# ---- where git doesn't answer


def test_another_owners_checkout_is_said(
    home: Path, git: Git, state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(git, home)
    real, folder = shutil.which("git"), tmp_path / "bin"
    folder.mkdir()
    (folder / "git").write_text(f'#!/bin/sh\nGIT_TEST_ASSUME_DIFFERENT_OWNER=1 exec "{real}" "$@"\n')
    (folder / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    stated, dirty, said = state()
    assert (stated, dirty) == ("", None)
    assert "WARNING: records don't state the commit" in said
    assert "dubious ownership" in said
    assert f"git config --global --add safe.directory {home}" in said
    subprocess.run([str(real), "config", "--global", "--add", "safe.directory", str(home)], check=True)
    assert state() == (git(home, "-c", f"safe.directory={home}", "rev-parse", "HEAD"), False, "")


@pytest.mark.parametrize("is_checkout", [True, False])
def test_without_git_a_checkout_says_so_and_unpacked_sources_nothing(
    home: Path, git: Git, state: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_checkout: bool
) -> None:
    if is_checkout:
        commit(git, home)
    monkeypatch.setenv("PATH", str(tmp_path))
    stated, dirty, said = state()
    assert (stated, dirty) == ("", None)
    assert said.startswith("WARNING: records don't state the commit") is is_checkout
    assert ("'git'" in said) is is_checkout


def test_a_repository_without_a_commit_is_said(home: Path, git: Git, state: State) -> None:
    git(home, "init")
    stated, dirty, said = state()
    assert (stated, dirty) == ("", None)
    assert "Needed a single revision" in said


# ---- the rest of a record


def test_the_environment_names_versions_and_python() -> None:
    stated = provenance.environment()
    assert stated["versions"]["torch"]
    assert "snakemake" in stated["versions"]
    assert stated["python"].startswith("3.")
    assert (stated["git_commit"], stated["git_dirty"]) == provenance.git_state()


def test_times_are_in_utc() -> None:
    moment = datetime.fromisoformat(provenance.now())
    offset = moment.utcoffset()
    assert offset is not None
    assert offset.total_seconds() == 0
    assert abs((datetime.now(UTC) - moment).total_seconds()) < 5


def test_pages_print_each_commit_once_and_none_that_is_not_stated() -> None:
    clean, edited = {"git_commit": "a" * 40, "git_dirty": "False"}, {"git_commit": "b" * 40, "git_dirty": "true"}
    unstated = {"git_commit": "", "git_dirty": ""}
    assert provenance.commits([edited, unstated, clean, clean]) == f"{'a' * 12}, {'b' * 12} (edited)"
    assert provenance.commits([unstated]) == "unknown"
