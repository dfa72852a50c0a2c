#!/usr/bin/env bash
# Snakemake 9.27.1: a name that a Snakefile binds replaces that name inside the module snakemake.workflow.
#
# Behaviour: the main Snakefile, and all that it includes, run in the namespace of snakemake.workflow itself.
# Seen:      a Snakefile that defines a function called `chain` stops, with a traceback and no word on the Snakefile:
#            "TypeError: chain() takes 1 positional argument but 4 were given". Snakemake meant itertools.chain.
# A guess:   a Snakefile has a namespace of its own, as a module of Python has, and as `module` gives to an imported
#            workflow; `workflow`, `config`, `rules` and the like would be all that it shares.
# It matters: a harmless name of a helper breaks a workflow at a place that doesn't mention it, and the names of an
#            included Snakefile replace those of the including one.
# Fails if this changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check snakemake==9.27.1
cd "$folder"
cat >Snakefile <<'RULES'
def chain(words):
    return "-".join(words)


rule one:
    output:
        chain(["one", "two"]),
    shell:
        "touch {output}"
RULES
code=0
venv/bin/snakemake --cores 1 one-two >out 2>&1 || code=$?
cat out
[ "$code" -ne 0 ]
grep -q "TypeError: chain() takes 1 positional argument but 4 were given" out
sed -i 's/chain(/joined(/' Snakefile
venv/bin/snakemake --cores 1 one-two
[ -f one-two ]
echo "as before"
