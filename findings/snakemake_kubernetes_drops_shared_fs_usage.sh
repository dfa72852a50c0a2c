#!/usr/bin/env bash
# Snakemake 9.27.1 with executor plugin kubernetes 0.5.1: --shared-fs-usage is dropped without a word.
#
# Behaviour: the plug-in declares that its pods share no file system. Snakemake then empties the setting, whatever the
#            command line or the profile says, and refuses to start without a remote storage.
# Seen:      with every kind of sharing named on the command line, the start fails with "If no shared filesystem is
#            assumed for input and output files, a default storage provider has to be set".
# A guess:   a persistent volume in every pod (--kubernetes-persistent-volumes) and --shared-fs-usage let pods share the
#            volume as nodes of a cluster share a disk; Snakemake would at least say that it drops an option.
# It matters: a workflow whose jobs leave files that are no outputs of a rule (checkpoints of an interrupted training)
#            works on every cluster with a shared disk, and can't run on this engine by a profile alone.
# Fails if this changes. Needs no Kubernetes: the start fails before anything is asked of a cluster.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check snakemake==9.27.1 snakemake-executor-plugin-kubernetes==0.5.1
cd "$folder"
cat >Snakefile <<'RULES'
rule one:
    output:
        "one.txt",
    shell:
        "touch {output}"
RULES
all="input-output persistence software-deployment software-deployment-cache source-cache sources storage-local-copies"
code=0
venv/bin/snakemake --executor kubernetes --jobs 1 --kubernetes-persistent-volumes shared:/shared \
    --shared-fs-usage $all -- one.txt >out 2>&1 || code=$?
cat out
[ "$code" -ne 0 ]
grep -q "If no shared filesystem is assumed" out
echo "as before"
