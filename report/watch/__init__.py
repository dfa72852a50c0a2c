"""A study while it runs: jobs done, running and to come, the time left, failures and their reasons. Reads files alone.

Nothing is written, locked or asked of a server, and torch is not loaded, so that it works wherever the files are seen.

places.py     the folder or target that a person names, and where Snakemake's notes on it lie
traces.py     what jobs leave in files: logs, claims, checkpoints, Snakemake's notes
sights.py     the state of each job by these traces
remaining.py  the time left, at the pace of the finished jobs
overview.py   all of it at one moment, as the terminal and the page show it
screen.py     the terminal
command.py    `python -m ataka watch`
"""
