"""Makes nothing: stops where another workflow's package is called as ours are, which Python would import instead."""

import sys
from pathlib import Path


def _refuse_packages_called_as_ours(home: Path) -> None:
    for package in ("ataka", "baselines", "report", "rules"):
        loaded = [
            Path(place) for place in getattr(sys.modules.get(package), "__path__", ())
        ]
        here = (
            [Path(package)] if Path(package, "__init__.py").is_file() else []
        )  # a job's Python looks here first
        others = [
            place.resolve()
            for place in (*loaded, *here)
            if place.resolve() != (home / package).resolve()
        ]
        if others or (package in sys.modules and not loaded):
            print(
                f"error: a package '{package}' of another workflow ({(others or [sys.modules[package]])[0]}) would be "
                f"imported in place of that of {home}/Snakefile: rename yours",
                file=sys.stderr,
            )
            sys.exit(2)


_refuse_packages_called_as_ours(Path(str(workflow.current_basedir)).parent)
