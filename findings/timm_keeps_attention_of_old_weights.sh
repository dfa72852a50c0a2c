#!/usr/bin/env bash
# timm's LeViT and TinyViT keep their attention's biases in evaluation mode: new weights change nothing there.
#
# Behaviour: in evaluation mode the attention layers of LeViT, TinyViT and EfficientFormerV2 look their biases up once and
#            keep them, until train() is called. load_state_dict, an optimiser and code that sets `training` by hand
#            don't clear them.
# Seen:      a network that has answered once in evaluation mode takes other weights by load_state_dict, and its logits
#            are not those of a fresh network with the same weights; after train() and eval() they are.
# A guess:   the logits of a network in evaluation mode are a function of its weights and the image.
# It matters: attacks within a training, weight averages that are evaluated as they grow, and checkpoints that are
#            compared in one network are wrong without a warning.
# timm 1.0.31, torch 2.14.1, CPU. Fails if any of this changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.14.1 torchvision==0.29.1 timm==1.0.31
cd "$folder"
venv/bin/python -W ignore - <<'PYTHON'
import timm
import torch

images = torch.rand(4, 3, 224, 224, generator=torch.Generator().manual_seed(0))


def build(name, seed):
    torch.manual_seed(seed)
    network = timm.create_model(name, num_classes=10)
    for module in network.modules():
        if isinstance(module, (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)):
            torch.nn.init.ones_(module.weight)  # some begin at 0, and hide the attention until they are trained
            module.momentum = None
    for key, weight in network.named_parameters():
        if "attention_bias" in key:
            torch.nn.init.normal_(weight)
    network(torch.rand(16, 3, 224, 224))  # statistics for batch normalisation
    return network.eval()


with torch.no_grad():
    for name in ("levit_128s", "tiny_vit_5m_224", "efficientformerv2_s0"):
        network, other = build(name, 0), build(name, 1)
        network(images)
        network.load_state_dict(other.state_dict())
        stale = network(images)
        network.train()
        network.eval()
        fresh = network(images)
        expected = other(images)
        off = [((logits - expected).abs().max() / expected.std(0).max()).item() for logits in (stale, fresh)]
        print(f"{name}: logits are off by {off[0]:.2g} of their spread over images after load_state_dict, by {off[1]:.2g} later")
        assert off[0] > 0.01 and off[1] < 1e-5, (name, off)
print("as before")
PYTHON
