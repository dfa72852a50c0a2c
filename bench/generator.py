"""SVGD of n = 3 teachers, 20 steps, at the paper's settings: now, with bfloat16, and the code of an older commit.

Each contestant is a process of its own that times single calls and waits to be asked again, so that all take turns. A
bare contestant makes the 60 passes of the same network, forward and backward to the image, and nothing else.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from bench.networks import SMOKE, Task
from bench.timing import Row, clocked, rows

COMMIT = "6c62ef6"
"""The last one before networks were folded."""
TASKS = (Task("resnet18", 8, 1), Task("wrn34-10", 2, 1))
ROOT = Path(__file__).parent.parent
_PLAYER = """
import sys, time
import torch
from ataka import models
from ataka.attacks import svgd
arch, batch, threads, steps, how = sys.argv[1], *map(int, sys.argv[2:5]), sys.argv[5]
torch.set_num_threads(threads)
torch.manual_seed(0)
networks = [models.build(arch, classes=10).train() for _ in range(3)]
with torch.no_grad():
    for network in networks:
        network(torch.rand(8, 3, 32, 32))
        network.eval()
x, y = torch.rand(batch, 3, 32, 32), torch.arange(batch) % 10
if how in ("fast", "half", "bare"):
    from ataka.attacks.acceleration import Switches, accelerated, switch, switched
    switch(Switches(True, True, how == "half"))

def once():
    if how == "bare":
        from ataka.attacks.mode import attack_mode
        with attack_mode(*networks), accelerated(*networks, images=x):
            for network in networks:
                for _ in range(steps):
                    images = x.clone().requires_grad_()
                    loss = torch.nn.functional.cross_entropy(network(images), y, reduction="sum")
                    torch.autograd.grad(loss, images)
        return
    svgd.attack(networks, x, y, eps=8 / 255, step_size=0.003, steps=steps, bandwidth=1e-3, gamma=1.0,
                start=torch.stack([x, x, x]))

for line in sys.stdin:
    began = time.perf_counter()
    once()
    print(time.perf_counter() - began, flush=True)
"""


def measure(*, smoke: bool) -> Iterator[Row]:
    """The particles of eq. 2 beside an older commit: a row for each contestant. ``smoke`` takes the smallest sizes."""
    with _worktree() as older:
        for task in SMOKE if smoke else TASKS:
            yield from _task(task, older, steps=2 if smoke else 20, rounds=1 if smoke else 3)


def _task(task: Task, older: Path | None, steps: int, rounds: int) -> Iterator[Row]:
    places = {"ours": (ROOT, "fast"), "ours in bfloat16": (ROOT, "half"), "ours, switches off": (ROOT, "plain")}
    places |= {"60 bare passes of the same network": (ROOT, "bare")}
    if older:
        places[f"commit {COMMIT}"] = (older, "plain")
    players = {name: _Player(root, task, steps, how) for name, (root, how) in places.items()}
    timings = clocked({name: player.once for name, player in players.items()}, rounds)
    for player in players.values():
        player.process.kill()
    yield from rows(f"generator, n = 3, {steps} steps, {task}", timings, list(players)[-1])


class _Player:
    """A process that makes one call for each line that it is sent."""

    def __init__(self, root: Path, task: Task, steps: int, how: str) -> None:
        arguments = [task.arch, str(task.batch), str(task.threads), str(steps), how]
        self.process = subprocess.Popen(
            [sys.executable, "-c", _PLAYER, *arguments],
            cwd=root,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def once(self) -> float:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


class _worktree:
    """The older commit in a folder of its own; None where this is no clone with that commit."""

    def __enter__(self) -> Path | None:
        self.folder = ROOT / "results" / f".bench-{COMMIT}"
        command = ["git", "worktree", "add", "--force", "--detach", str(self.folder), COMMIT]
        made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if made.returncode and not self.folder.exists():
            print(f"left out: commit {COMMIT}: {made.stderr.strip()}")
            return None
        return self.folder

    def __exit__(self, *_: object) -> None:
        command = ["git", "worktree", "remove", "--force", str(self.folder)]
        subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
