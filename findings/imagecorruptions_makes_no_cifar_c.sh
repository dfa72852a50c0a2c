#!/usr/bin/env bash
# imagecorruptions 1.1.2 accepts images of 32x32 pixels and corrupts them with ImageNet-C's strengths, not with CIFAR-10-C's.
#
# Behaviour: corrupt() refuses images below 32 pixels, so that CIFAR's are its smallest, and has one table of strengths for all
#            sizes. CIFAR-10-C (hendrycks/robustness, make_cifar_c.py) has another: Gaussian noise of 0.04, 0.06, 0.08, 0.09
#            and 0.10 of the range at severities 1 to 5.
# Seen:      on a flat grey image of 32x32 the noise has a deviation of 0.08, 0.12 and 0.18 at severities 1, 2 and 3 (beyond
#            these it is cut off at black and white): CIFAR-10-C's third severity is the first here, and its last lies
#            below the second. A grey image (32, 32) comes back as (32, 32, 3), where the docstring says "same shape as input".
# A guess:   "severity" means what it means in CIFAR-10-C, since the corruptions have its names and its size is the smallest
#            that is accepted.
# It matters: a row "CIFAR-10-C" whose images were made by this package lies far below published rows, for every network.
# Fails if any of this changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip() { "$folder/venv/bin/pip" --quiet --disable-pip-version-check install "$@"; }
pip numpy==1.26.4 scipy==1.12.0 scikit-image==0.21.0 opencv-python-headless==4.9.0.80 pillow==10.4.0 setuptools==80.9.0
pip --no-deps imagecorruptions==1.1.2
cat > "$folder/look.py" <<'PYTHON'
import warnings

warnings.filterwarnings("ignore")
import numpy
from imagecorruptions import corrupt

CIFAR_C = {1: 0.04, 2: 0.06, 3: 0.08}
SEEN = {1: 0.08, 2: 0.12, 3: 0.18}
numpy.random.seed(0)
flat = numpy.full((32, 32, 3), 128, numpy.uint8)
for severity, expected in SEEN.items():
    noise = numpy.stack([corrupt(flat, severity=severity, corruption_name="gaussian_noise") for _ in range(50)]) / 255
    print(f"severity {severity}: deviation {noise.std():.3f}; CIFAR-10-C's is {CIFAR_C[severity]}")
    assert abs(noise.std() - expected) < 0.005, noise.std()
shape = corrupt(flat[..., 0], severity=1, corruption_name="contrast").shape
print(f"a grey image of (32, 32) comes back as {shape}")
assert shape == (32, 32, 3), shape
PYTHON
"$folder/venv/bin/python" "$folder/look.py"
echo "as before: the strengths are ImageNet-C's"
