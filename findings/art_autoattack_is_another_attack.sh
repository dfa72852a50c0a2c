#!/usr/bin/env bash
# ART 1.20.1's AutoAttack runs other attacks than AutoAttack's standard version.
#
# Behaviour: art.attacks.evasion.AutoAttack(estimator) runs APGD on cross-entropy, untargeted APGD on DLR, DeepFool and
#            Square. The standard version (Croce and Hein 2020; pyautoattack 0.2.0) runs APGD on cross-entropy, targeted
#            APGD on DLR for 9 classes, targeted FAB for 9 classes, and Square.
# Seen:      the four names below. Of 84 images that a small network trained on scikit-learn's digits gets right, 31
#            stood at eps 0.2 against ART's attacks and 30 against the standard version's, both without Square.
# A guess:   a class called AutoAttack, with its authors' default budgets, gives AutoAttack's numbers.
# It matters: "robust accuracy under AutoAttack" from ART is another number than RobustBench's, and lacks its targeted attacks.
# torch 2.14.1, CPU. Fails if any of this changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.14.1 numpy packaging multiprocess scikit-learn==1.9.1 \
    adversarial-robustness-toolbox==1.20.1 pyautoattack==0.2.0
cd "$folder"
venv/bin/python - <<'PYTHON'
import numpy
import torch
from art.attacks.evasion import AutoAttack
from art.estimators.classification import PyTorchClassifier
from pyautoattack import AutoAttack as Standard
from sklearn.datasets import load_digits
from torch import nn

torch.manual_seed(0)
torch.set_num_threads(1)
numpy.random.seed(0)
digits = load_digits()
x = torch.tensor(digits.images / 16, dtype=torch.float32)[:, None]
y = torch.tensor(digits.target)
network = nn.Sequential(nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(256, 10))
optimiser = torch.optim.Adam(network.parameters(), 1e-3)
EPS = 0.2
for epoch in range(12):  # a few steps of adversarial training, so that something stands
    for index in torch.randperm(1500).split(64):
        image, label = x[index], y[index]
        adversarial = image.clone()
        for _ in range(5):
            adversarial.requires_grad_()
            (gradient,) = torch.autograd.grad(nn.functional.cross_entropy(network(adversarial), label), adversarial)
            adversarial = (adversarial.detach() + 0.06 * gradient.sign()).clamp(image - EPS, image + EPS).clamp(0, 1)
        optimiser.zero_grad()
        nn.functional.cross_entropy(network(adversarial), label).backward()
        optimiser.step()
network.eval()
x, y = x[1500:1600], y[1500:1600]
classifier = PyTorchClassifier(network, nn.CrossEntropyLoss(), (1, 8, 8), 10, clip_values=(0.0, 1.0))
theirs = AutoAttack(classifier, norm=numpy.inf, eps=EPS, eps_step=EPS / 4, batch_size=100)
names = [type(one).__name__ for one in theirs.attacks]
print("ART runs:", ", ".join(names))
standard = Standard(network, norm="Linf", eps=EPS, version="standard", device="cpu").attacks_to_run
print("the standard version runs:", ", ".join(standard))
right = lambda images: int((network(images).argmax(1) == y).sum())
# Without Square, which both have and which takes minutes.
theirs = AutoAttack(classifier, norm=numpy.inf, eps=EPS, eps_step=EPS / 4, batch_size=100, attacks=theirs.attacks[:-1])
gradients = Standard(network, norm="Linf", eps=EPS, version="custom", attacks=standard[:-1], device="cpu")
art = right(torch.from_numpy(theirs.generate(x.numpy(), y.numpy())))
original = right(gradients.run_standard_evaluation(x, y, batch_size=100)[0])
print(f"of {right(x)} images classified rightly, ART's leaves {art}, the standard version {original}, both without Square")
assert names == ["AutoProjectedGradientDescent", "AutoProjectedGradientDescent", "DeepFool", "SquareAttack"], names
assert standard == ["apgd-ce", "apgd-t", "fab-t", "square"], standard
assert art >= original, (art, original)
print("as before: another attack")
PYTHON
