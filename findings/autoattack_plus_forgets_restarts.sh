#!/usr/bin/env bash
# pyautoattack 0.2.0: an AutoAttack object of version "plus" is weaker from its second evaluation on.
#
# Behaviour: version="plus" gives untargeted FAB 5 restarts. The last component, targeted FAB, sets the restarts of the same FAB
#            object to 1 and doesn't put them back. So the first run_standard_evaluation of an object has 5 runs of untargeted
#            FAB, and every later one has 1. The order of the components and their names are the same in both.
# Seen:      fab.n_restarts 5, then 1; runs of untargeted FAB on images that stand: 5, then 1.
# A guess:   an evaluation depends on the network, the images and the seed, so that a test set may be evaluated chunk by chunk,
#            or several networks one after another, by one object.
# It matters: who evaluates in chunks with one object has another attack on the first chunk than on all others, and two
#            evaluations of the same images with the same seed needn't agree. A new object for each evaluation avoids it.
# torch 2.14.1, CPU. Fails if any of this changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.14.1 numpy pyautoattack==0.2.0
cd "$folder"
venv/bin/python - <<'PYTHON'
import torch
from pyautoattack import AutoAttack
from torch import nn

torch.manual_seed(0)
torch.set_num_threads(1)
network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).eval()
x = torch.rand(4, 1, 8, 8)
y = network(x).argmax(1)
adversary = AutoAttack(network, version="plus", eps=1e-4, seed=0)  # so little that all images stand
adversary.apgd.n_iter = adversary.apgd_targeted.n_iter = adversary.fab.n_iter = 2  # quick: restarts are what counts here
adversary.square.n_queries = 3
runs, single = [], adversary.fab.attack_single_run


def counted(*args, is_targeted, **options):
    runs[-1] += not is_targeted
    return single(*args, is_targeted=is_targeted, **options)


adversary.fab.attack_single_run = counted
restarts = [adversary.fab.n_restarts]
for _ in range(2):
    runs.append(0)
    x_adv, predicted = adversary.run_standard_evaluation(x, y, batch_size=4)
    assert (predicted == y).all()
    restarts.append(adversary.fab.n_restarts)
print(f"fab.n_restarts before and after each evaluation: {restarts}")
print(f"runs of untargeted FAB in the first and second evaluation: {runs}")
assert restarts == [5, 1, 1]
assert runs == [5, 1]
PYTHON
