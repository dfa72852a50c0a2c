"""python -m bench: measure, and write docs/performance.md."""

import argparse
import sys
from importlib import import_module
from pathlib import Path

from bench import page
from bench.timing import FOLDER, write

NAMES = ("attacks", "generator", "training", "autoattack", "processes")


def main(arguments: list[str]) -> int:
    """Run the measurements that ``arguments`` name, write their CSVs and the page, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Speed beside others, as ratios.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(NAMES)}, or page; by default all")
    parser.add_argument("--smoke", action="store_true", help="sizes too small to say anything: does it run?")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the CSVs go")
    given = parser.parse_args(arguments)
    names = given.names or [*NAMES, "page"]
    if unknown := set(names) - {*NAMES, "page"}:
        parser.error(f"there is no measurement {', '.join(sorted(unknown))}")
    for name in names:
        if name == "page":
            continue
        lines = []
        for line in import_module(f"bench.{name}").measure(smoke=given.smoke):
            print(f"{line.task}: {line.contestant} {line.seconds} s, {line.speed}; {line.note}", flush=True)
            lines.append(line)
        write(name, lines, given.folder)
    if "page" in names:
        page.write(given.folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
