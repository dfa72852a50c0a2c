"""Constraints of wildcards for the rules of one Snakefile: the keyword binds those of an outer workflow, too."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from snakemake.workflow import Workflow


@contextmanager
def constrained(workflow: "Workflow", **constraints: str) -> Iterator[None]:
    """A context whose rules have these ``constraints``, each a wildcard's regular expression."""
    shared = workflow.modifier.wildcard_constraints
    before = dict(shared)
    shared.update(constraints)
    try:
        yield
    finally:
        shared.clear()
        shared.update(before)
