"""psi as pure functions of tensors, one for each of eqs. 4 to 7; `ataka.psi` finds them by name, with their options."""

from ataka.psi.linear import linear
from ataka.psi.naive import naive
from ataka.psi.pareto import pareto
from ataka.psi.soft import soft

__all__ = ["linear", "naive", "pareto", "soft"]
