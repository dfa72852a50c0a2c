"""The cost of a study before it runs, and how far it is: jobs, time on a device, tapes. Loads no torch.

jobs.py      the jobs behind a target, as Snakemake would run them
devices.py   seconds of a job's passes: timed on this machine once, or derived for a kind of GPU from counted operations
schedule.py  the wall time of jobs that wait for each other on several devices
progress.py  the jobs whose files exist, and the time that they took
page.py      what `python -m ataka plan` prints
"""
