"""Hooks of a workflow that includes this one: of each kind Snakemake keeps the last, and would drop ours or theirs."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from snakemake.workflow import Workflow

Hook = Callable[[Any], None]
"""Takes the path of Snakemake's log."""


def chain_hooks(workflow: "Workflow") -> None:
    """Let a hook that follows run after those of its kind so far, instead of them; Snakemake runs none of a module."""
    if workflow.modifier.is_main_snakefile():
        for kind in ("onstart", "onsuccess", "onerror"):
            setattr(workflow, kind, _chained(workflow, kind, getattr(workflow, kind)))


def _chained(workflow: "Workflow", kind: str, register: Callable[[Hook], None]) -> Callable[[Hook], None]:
    def chained(hook: Hook) -> None:
        earlier: Hook = getattr(workflow, f"_{kind}")

        def both(log: Any) -> None:
            earlier(log)
            hook(log)

        register(both if workflow.modifier.is_main_snakefile() else hook)

    return chained
