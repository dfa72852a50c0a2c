#!/usr/bin/env bash
# snakemake-executor-plugin-htcondor 0.3.0 passes on neither mem_mb nor runtime of a rule.
#
# Behaviour: of a job's resources only `threads` becomes a request by itself. Memory is requested by the plug-in's own
#            resources (request_memory, htcondor_request_mem_mb), and a time limit by allowed_execute_duration.
# Seen:      a rule with mem_mb=64000, runtime=600 and 4 threads is submitted with request_cpus = 4 and without
#            request_memory, request_disk or any duration.
# A guess:   mem_mb and runtime are Snakemake's standard resources, and the plug-ins for Slurm, LSF and Kubernetes turn
#            mem_mb into a request.
# It matters: each job gets the pool's default memory, often some GB; a job that needs more is put on hold, and the
#            plug-in waits four hours for somebody to release it before Snakemake sees a failure.
# Fails if this changes. Needs no HTCondor: a function in place of the scheduler prints the submission.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check snakemake==9.27.1 snakemake-executor-plugin-htcondor==0.3.0
cd "$folder"
cat >Snakefile <<'RULES'
rule one:
    output:
        "one.txt",
    threads: 4
    resources:
        mem_mb=64000,
        runtime=600,
    shell:
        "touch {output}"
RULES
export CONDOR_CONFIG=/dev/null
cat >start.py <<'PYTHON'
import json
import sys

import htcondor2


class Schedd:
    def submit(self, description):
        json.dump(dict(description), open("submitted.json", "w"))
        raise RuntimeError("not submitted")


htcondor2.Schedd = Schedd
from snakemake.cli import main

sys.argv[1:] = ["--executor", "htcondor", "--jobs", "1", "--cores", "4", "one.txt"]
main()
PYTHON
venv/bin/python start.py >out 2>&1 || true
venv/bin/python - <<'PYTHON'
import json

asked = json.load(open("submitted.json"))
del asked["arguments"], asked["executable"]
print(json.dumps(asked, indent=2))
assert asked["request_cpus"] == "4"
assert not [key for key in asked if key in ("request_memory", "request_disk") or "duration" in key]
print("as before")
PYTHON
