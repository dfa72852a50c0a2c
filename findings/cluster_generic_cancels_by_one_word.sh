#!/usr/bin/env bash
# snakemake-executor-plugin-cluster-generic 1.0.9: a cancel command with an option cancels nothing and ends in a traceback.
#
# Behaviour: the commands for submission and status are run by a shell. The command for cancelling is run without one, as
#            the name of a program; a name with an option is not found, and the exception is not caught.
# Seen:      after Ctrl-C with `--cluster-generic-cancel-cmd "./cancel.sh --quiet"` Snakemake ends with
#            "FileNotFoundError: ... './cancel.sh --quiet'", and the job goes on. With "./cancel.sh" the job is cancelled.
# A guess:   the three commands are of one kind, as their descriptions read: `scancel --full` would do.
# It matters: whoever stops a study pays for the jobs that nobody watches any more, and the next start may do their work
#            twice at the same time.
# Fails if this changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill $(cat "$folder/job.pid" 2>/dev/null) 2>/dev/null; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check snakemake==9.27.1 snakemake-executor-plugin-cluster-generic==1.0.9
cd "$folder"
cat >Snakefile <<'RULES'
rule one:
    output:
        "one.txt",
    shell:
        "echo $$ > job.pid; exec sleep 600"
RULES
printf '#!/bin/sh\nsh "$1" >job.log 2>&1 &\necho $!\n' >submit.sh
printf '#!/bin/sh\necho "$@" >>cancelled\n' >cancel.sh
chmod +x submit.sh cancel.sh
try() {
    rm -rf .snakemake cancelled job.pid
    set -m # or a shell lets its children in the background ignore Ctrl-C
    venv/bin/snakemake --executor cluster-generic --jobs 1 --cluster-generic-submit-cmd ./submit.sh \
        --cluster-generic-status-cmd "echo running #" --cluster-generic-cancel-cmd "$1" -- one.txt >out 2>&1 &
    local snakemake=$!
    until [ -s job.pid ]; do sleep 0.2; done
    sleep 2
    kill -INT "$snakemake"
    wait "$snakemake" || true
    set +m
    grep -a "Error" out || true
    kill "$(cat job.pid)"
}
try ./cancel.sh
grep -q '[0-9]' cancelled
echo "./cancel.sh was given: $(cat cancelled)"
try "./cancel.sh --quiet"
grep -q "FileNotFoundError" out
[ ! -e cancelled ]
echo "'./cancel.sh --quiet' was never started"
echo "as before"
