"""How to submit a job to the cluster's scheduler, and how to ask for its state: here the commands of Slurm.

Snakemake's plug-in cluster-generic runs `scheduler.py submit JOBSCRIPT`, which prints the job's id, and
`scheduler.py status ID`, which prints running, success or failed. For another scheduler change `command` and `state`.
"""

import json
import subprocess
import sys
from pathlib import Path

LOGS = Path(".snakemake/cluster_logs")
ENDED_BADLY = {"BOOT_FAIL", "CANCELLED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "TIMEOUT"}


def command(jobscript: str, name: str, threads: int, mem_mb: int, minutes: int, gpus: int) -> list[str]:
    """The command that submits ``jobscript`` and prints the job's id alone.

    With qsub (PBS) it would begin with
    ["qsub", "-N", name, "-l", f"select=1:ncpus={threads}:mem={mem_mb}mb:ngpus={gpus},walltime={minutes}:00", ...
    """
    asked = [f"--cpus-per-task={threads}", f"--mem={mem_mb}M", f"--time={minutes}"]
    asked += [f"--gres=gpu:{gpus}"] if gpus else []  # some clusters refuse a request for 0
    return ["sbatch", "--parsable", f"--job-name={name}", f"--output={LOGS}/%j.log", *asked, jobscript]


def state(job: str) -> str:
    """running, success or failed."""
    asked = ["squeue", "--noheader", "--states=all", "--format=%T", f"--jobs={job}"]
    answer = subprocess.run(asked, capture_output=True, text=True)
    if answer.returncode:
        # squeue forgets a job some minutes after its end. A scheduler that doesn't answer says nothing about the job.
        return "failed" if "Invalid job id" in answer.stderr else "running"
    known = answer.stdout.strip()
    return "success" if known == "COMPLETED" else "failed" if known in ENDED_BADLY | {""} else "running"


def submit(jobscript: str) -> int:
    """Submit the script that Snakemake wrote, with the resources in its second line; the exit code of the command."""
    text = Path(jobscript).read_text(encoding="utf-8")
    job = json.loads(text.split("# properties = ", 1)[1].split("\n", 1)[0])
    resources = job["resources"]
    name = job.get("rule") or job.get("groupid", "group")
    LOGS.mkdir(parents=True, exist_ok=True)
    asked = command(
        jobscript,
        name,
        job["threads"],
        resources["mem_mb"],
        resources["runtime"],
        resources.get("gpu", 0),
    )
    return subprocess.run(asked).returncode


if __name__ == "__main__":
    verb, what = sys.argv[1:]
    if verb == "submit":
        sys.exit(submit(what))
    print(state(what))
