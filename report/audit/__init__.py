"""audit: a network of yours under the study's attacks, in one command: cells, bits, a page, a RobustBench entry.

The verb of ``python -m ataka`` lies here, since it ends in a page; ``ataka`` finds it by its name. ``command`` has the
arguments and the steps, ``evaluation`` the cells, ``against`` the comparison with a study, ``page`` what is written.
"""

from report.audit.command import add_arguments, audit

__all__ = ["add_arguments", "audit"]
