#!/usr/bin/env bash
# torch 2.14.1 loads its compiler, torch._dynamo, in programs that compile nothing.
#
# Behaviour: the first SGD that is constructed, the first TorchDispatchMode that is entered (FlopCounterMode is one), and
#            the first activation checkpoint import torch._dynamo and all that it needs.
# Seen:      a second and more, and some hundred modules, for each of them; torch itself had been imported before.
# A guess:   the compiler is loaded by torch.compile.
# It matters where a job is short, as one evaluation of many: the import can be most of the job. The functional form
#            torch.optim.sgd.sgd does without, as does a mode whose own class has a _should_skip_dynamo() that says
#            False (a subclass of a mode without it comes too late).
# CPU. Fails if any of this changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.14.1 numpy
cd "$folder"
cat >probe.py <<'PYTHON'
import sys
import time

import torch
from torch import nn
from torch.optim.sgd import sgd
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode


class Mode(TorchDispatchMode):
    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return function(*args, **(kwargs or {}))


class Plain(TorchDispatchMode):
    @classmethod
    def _should_skip_dynamo(cls):
        return False

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return function(*args, **(kwargs or {}))


def entered(mode):
    with mode:
        torch.zeros(2) + 1


def functional(weight):
    off = {name: False for name in ("nesterov", "maximize")} | {"weight_decay": 0.0, "momentum": 0.0, "dampening": 0.0}
    with torch.no_grad():
        sgd([weight], [torch.ones_like(weight)], [None], lr=0.1, **off)


layer = nn.Linear(2, 2)
cases = {
    "nothing": lambda: None,
    "SGD": lambda: torch.optim.SGD([layer.weight], lr=0.1),
    "functional SGD": lambda: functional(layer.weight),
    "a dispatch mode": lambda: entered(Mode()),
    "a dispatch mode that says no": lambda: entered(Plain()),
    "FlopCounterMode": lambda: entered(FlopCounterMode(display=False)),
    "a checkpoint": lambda: checkpoint(layer, torch.zeros(1, 2), use_reentrant=False),
}
count, began = len(sys.modules), time.perf_counter()
cases[sys.argv[1]]()
loaded = "torch._dynamo" in sys.modules
print(f"{sys.argv[1]}: {'loads' if loaded else 'does without'} the compiler, "
      f"{len(sys.modules) - count} modules in {time.perf_counter() - began:.1f} s")
assert loaded == (sys.argv[2] == "loads"), "this has changed"
PYTHON
for case in "nothing" "functional SGD" "a dispatch mode that says no"; do venv/bin/python probe.py "$case" not; done
for case in "SGD" "a dispatch mode" "FlopCounterMode" "a checkpoint"; do venv/bin/python probe.py "$case" loads; done
