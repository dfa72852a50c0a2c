#!/usr/bin/env bash
# snakemake-executor-plugin-slurm 2.8.0 can't deduce the account of its user: its pipe is no pipe.
#
# Behaviour: get_account() means to take the last line of `sacct -nu USER -o Account%256`. The command is split into words
#            and run without a shell, so that "|", "tail" and "-1" become arguments of sacct.
# Seen:      a stand-in for sacct that knows two jobs of accounts "first" and "last" is called with "| tail -1" among its
#            arguments. One that ignores them, as here, makes the account two lines long; Slurm's own sacct has no
#            option -1.
# A guess:   without slurm_account in the profile, jobs run under the account of the user's last job: a function of that
#            purpose is called.
# It matters: a profile without an account works where Slurm has a default account for the user, and nowhere else.
# Fails if this changes. Needs no Slurm.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check snakemake==9.27.1 snakemake-executor-plugin-slurm==2.8.0
mkdir "$folder/bin"
cat >"$folder/bin/sacct" <<SACCT
#!/bin/sh
printf '%s\n' "\$@" > "$folder/arguments"
printf '%s\n' first last
SACCT
chmod +x "$folder/bin/sacct"
cd "$folder"
PATH="$folder/bin:$PATH" venv/bin/python - <<'PYTHON'
import logging

from snakemake_executor_plugin_slurm.accounts import get_account

account = get_account(logging.getLogger())
arguments = open("arguments").read().split("\n")[:-1]
print("sacct was given:", arguments)
print("the account is:", repr(account))
assert arguments[-3:] == ["|", "tail", "-1"], arguments
assert account == "first\nlast", account
print("as before")
PYTHON
