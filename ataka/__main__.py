"""python -m ataka: the command line of ataka.cli, started warm where a study offers it."""

import sys

from ataka.machine import warm

if __name__ == "__main__":
    sys.exit(warm.run("ataka.cli", sys.argv[1:]))
