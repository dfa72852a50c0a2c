"""The rules of the workflow, one file a stage, and the Python that they ask.

scales.py        the study of each results folder; the artifact or table that wildcards name
inputs.py        the files that a rule reads
shards.py        the shards of a cell, whose number is no reason to make a cell again
params.py        the digests that make it run again
unrecorded.py    files whose making Snakemake did not record, compared by their own record, or made again
resources.py     what its jobs ask of the machine
groups.py        a cluster's job of several evaluations, which start warm
retries.py       further attempts of a cluster's jobs
orphans.py       jobs of a killed Snakemake that a cluster still runs
targets.py       a target that no rule makes, refused
constraints.py   constraints of wildcards that bind our rules alone
hooks.py         hooks of a workflow that includes this one, before or after ours
packages.smk     another workflow's package that is called as ours are, refused
announcement.py  what a start of Snakemake will make and cost
mistakes.py      the user's mistakes, as Snakemake's terminal shows them
rollback.py      a failed job leaves the earlier result in place
"""
