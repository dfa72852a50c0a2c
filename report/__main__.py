"""python -m report: the command line of report.cli, started warm where a study offers it."""

import sys

from ataka.machine import warm

if __name__ == "__main__":
    sys.exit(warm.run("report.cli", sys.argv[1:]))
