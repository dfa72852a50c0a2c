"""`python -m ataka watch`: the overview in a terminal, again and again, or once."""

import argparse
import time

from rich.console import Console
from rich.live import Live

from ataka import plan
from ataka.errors import UserError
from ataka.study import config
from report.watch import places, screen, traces
from report.watch.overview import Watcher


def watch(given: argparse.Namespace, console: Console | None = None) -> None:
    """Show the results folder or target ``given.path`` until it is finished, or once."""
    if not given.interval > 0:
        raise UserError(f"--interval: {given.interval:g} seconds can't be waited; give more than 0")
    place = places.find(given.path)
    overrides = config.overrides(given.config) or traces.settings(place.root)
    study = config.load(plan.scale_of(place.root), overrides)
    watcher = Watcher(study, place)
    overview = watcher.look()
    console = console or Console(highlight=False)
    if not given.once and console.is_terminal and not overview.finished:
        try:
            with Live(screen.fitting(overview, console), console=console, screen=True, auto_refresh=False) as live:
                while not overview.finished:
                    time.sleep(given.interval)
                    overview = watcher.look()
                    live.update(screen.fitting(overview, console), refresh=True)
        except KeyboardInterrupt:  # or SIGTERM: the person has seen enough, and nothing is lost
            pass
    console.print(screen.fitting(overview, console), soft_wrap=True)
