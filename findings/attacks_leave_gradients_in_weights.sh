#!/usr/bin/env bash
# foolbox 3.3.4, ART 1.20.1 and CleverHans 4.0.0 leave gradients in the weights of the network that they attack.
#
# Behaviour: each back-propagates the attack's loss to the images by backward(), which adds the gradient of every weight
#            on the way to weight.grad. torchattacks 3.5.1 asks for the gradient of the images alone and leaves None.
# Seen:      after PGD of three steps, weight.grad is None after torchattacks, and a sum over three steps after foolbox,
#            ART and CleverHans; a second attack adds to it.
# A guess:   an attack reads a network, so that the network is the same before and after it.
# It matters in adversarial training: zero_grad(), attack, loss.backward(), step() updates the weights by the attack's
#            gradients, too, which ascend nothing useful and grow with the number of steps. zero_grad() belongs after
#            the attack.
# torch 2.14.1, CPU. Fails if any of this changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.14.1 numpy packaging foolbox==3.3.4 torchattacks==3.5.1 \
    torchvision==0.29.1 adversarial-robustness-toolbox==1.20.1
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps cleverhans==4.0.0
cd "$folder"
venv/bin/python - <<'PYTHON'
import numpy
import torch
import foolbox
import torchattacks
from art.attacks.evasion import ProjectedGradientDescent
from art.estimators.classification import PyTorchClassifier
from cleverhans.torch.attacks.projected_gradient_descent import projected_gradient_descent
from torch import nn

torch.manual_seed(0)
network = nn.Sequential(nn.Flatten(), nn.Linear(48, 16), nn.ReLU(), nn.Linear(16, 3)).eval()
x, y = torch.rand(4, 3, 4, 4), torch.tensor([0, 1, 2, 0])
classifier = PyTorchClassifier(network, nn.CrossEntropyLoss(), (3, 4, 4), 3, clip_values=(0.0, 1.0))
attacks = {
    "torchattacks": lambda: torchattacks.PGD(network, eps=0.1, alpha=0.02, steps=3)(x, y),
    "foolbox": lambda: foolbox.attacks.LinfPGD(steps=3)(foolbox.PyTorchModel(network, bounds=(0, 1)), x, y, epsilons=0.1),
    "ART": lambda: ProjectedGradientDescent(classifier, numpy.inf, 0.1, 0.02, max_iter=3, verbose=False).generate(
        x.numpy(), y.numpy()
    ),
    "CleverHans": lambda: projected_gradient_descent(network, x, 0.1, 0.02, 3, numpy.inf, y=y),
}
left = {}
for name, attack in attacks.items():
    network.zero_grad(set_to_none=True)
    attack()
    gradients = [parameter.grad for parameter in network.parameters()]
    left[name] = None if gradients[0] is None else round(sum(float(one.abs().sum()) for one in gradients), 2)
    print(f"{name}: sum of |weight.grad| after the attack: {left[name]}")
assert left.pop("torchattacks") is None, left
assert all(value for value in left.values()), left
print("as before: three of the four leave gradients behind")
PYTHON
