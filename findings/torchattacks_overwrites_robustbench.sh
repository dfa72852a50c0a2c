#!/usr/bin/env bash
# Installing torchattacks 3.5.1 overwrites robustbench 1.1.1 with an older copy that has no benchmark().
#
# Behaviour: the wheel of torchattacks holds a second top-level package, robustbench, in which benchmark() is a comment. pip
#            doesn't refuse two packages that own the same file: the one that is installed later overwrites it, silently.
# Seen:      after robustbench and then torchattacks, pip reports robustbench 1.1.1 and the README's "from robustbench import
#            benchmark" has nothing to import; 11 of its 52 files don't have the hashes of their own RECORD. After
#            robustbench is installed again, they have.
# A guess:   an attack library installs its own name, and "pip show robustbench" says which robustbench is imported.
# It matters: who has both has one of two evaluations according to the order of two lines, and pip installs the lines of a
#            requirements file in an order of its own. pip install --no-deps --force-reinstall robustbench==1.1.1, last, mends it.
# Fails if any of this changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip() { "$folder/venv/bin/pip" --quiet --disable-pip-version-check install --no-deps "$@"; }
cat > "$folder/look.py" <<'PYTHON'
import ast
import base64
import hashlib
import sys
from importlib import metadata
from pathlib import Path

owned = [file for file in metadata.files("robustbench") if file.suffix == ".py" and file.hash]


def differs(file: metadata.PackagePath) -> bool:
    digest = hashlib.sha256(Path(file.locate()).read_bytes()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != file.hash.value


others = sum(map(differs, owned))
(evaluation,) = (Path(file.locate()) for file in owned if file.parts == ("robustbench", "eval.py"))
defined = any(getattr(node, "name", "") == "benchmark" for node in ast.parse(evaluation.read_text()).body)
print(f"robustbench {metadata.version('robustbench')}: {others} of {len(owned)} files are others, benchmark: {defined}")
assert defined == (sys.argv[1] == "whole"), defined
assert (others == 0) == (sys.argv[1] == "whole"), others
PYTHON
cd "$folder"
pip robustbench==1.1.1
venv/bin/python look.py whole
pip torchattacks==3.5.1
venv/bin/python look.py overwritten
pip --force-reinstall robustbench==1.1.1
venv/bin/python look.py whole
echo "as before: torchattacks brings a robustbench of its own"
