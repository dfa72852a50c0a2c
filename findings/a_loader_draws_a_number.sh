#!/usr/bin/env bash
# torch 2.14.1: iterating a DataLoader draws from the global generator, without shuffling and without workers.
#
# Behaviour: iter(loader) draws a 64-bit base seed for workers from torch's global generator, also where num_workers is 0 and
#            nothing is shuffled. A loader with a generator of its own draws from that one.
# Seen:      after torch.manual_seed(0), torch.rand(3) differs according to whether a loader was iterated in between; with
#            generator=torch.Generator() it doesn't. Each iteration, not each batch, draws once.
# A guess:   reading data in a fixed order has nothing to do with random numbers.
# It matters: secml-torch 1.5 takes a DataLoader for each attack, so that after one seed its random starts are others than
#            foolbox's or adv-lib's, which it calls. An evaluation "with the same seed" changes when a loop over the test set,
#            to compute a clean accuracy, say, is put before the attack.
# CPU. Fails if any of this changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.14.1 numpy
cd "$folder"
venv/bin/python - <<'PYTHON'
import torch
from torch.utils.data import DataLoader, TensorDataset

data = TensorDataset(torch.arange(8))


def numbers(*loaders: DataLoader) -> list[float]:
    torch.manual_seed(0)
    for loader in loaders:
        for _ in loader:
            pass
    return torch.rand(3).tolist()


plain = DataLoader(data, batch_size=2, shuffle=False, num_workers=0)
larger = DataLoader(data, batch_size=8, shuffle=False, num_workers=0)
own = DataLoader(data, batch_size=2, shuffle=False, num_workers=0, generator=torch.Generator())
print("torch.rand(3) after the seed:               ", numbers())
print("after the seed and a loop over a loader:    ", numbers(plain))
print("over a loader with a generator of its own:  ", numbers(own))
assert numbers() != numbers(plain)
assert numbers(plain) == numbers(larger), "a draw for each batch"
assert numbers(plain) != numbers(plain, plain)
assert numbers() == numbers(own)
print("as before: a loop over a loader draws a number")
PYTHON
