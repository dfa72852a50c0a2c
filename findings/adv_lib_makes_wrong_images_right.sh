#!/usr/bin/env bash
# adv-lib 0.2.8: apgd_targeted makes images right that the network had wrong.
#
# Behaviour: the classes that it attacks are those of the network's own ranking, without the first one. So an image that the network
#            has wrong is attacked towards its own label, too, and comes back as that class once the attack gets there. A class
#            counts as reached only where it is the target; another wrong class on the way doesn't. apgd leaves such images as
#            they are, and so does AutoAttack's APGD-T.
# Seen:      32 images that a network has wrong, labelled with its second class: after apgd_targeted it has 32 right, after apgd 0.
# A guess:   "This attack is not a targeted one: it tries to find an adversarial perturbation by attacking each class, starting
#            with the most likely one (different from the original class)", so an image that is wrong stays wrong.
# It matters: robust accuracy is commonly the accuracy on the images that an attack returns. Under this attack it counts images
#            that the network has wrong without any attack. Give it the images alone that the network has right.
# torch 2.14.1, CPU. Fails if any of this changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.14.1 numpy adv-lib==0.2.8
cd "$folder"
venv/bin/python - <<'PYTHON'
import torch
from adv_lib.attacks import apgd, apgd_targeted
from torch import nn

torch.manual_seed(0)
torch.set_num_threads(1)
network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).eval()
x = torch.rand(32, 1, 8, 8)
label = network(x).argsort(1, descending=True)[:, 1]  # the network's second class: it has every image wrong
right = {"none": int((network(x).argmax(1) == label).sum())}
for attack in (apgd, apgd_targeted):
    x_adv = attack(network, x, label, 0.2, norm=float("inf"), n_iter=20)
    right[attack.__name__] = int((network(x_adv).argmax(1) == label).sum())
print(f"images that the network has right, of 32, after each attack: {right}")
assert right == {"none": 0, "apgd": 0, "apgd_targeted": 32}
PYTHON
