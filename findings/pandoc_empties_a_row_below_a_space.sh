#!/usr/bin/env bash
# pandoc 3.9 (pypandoc_binary 1.17): a \multicolumn cell that follows \addlinespace loses its text, without a warning.
#
# Behaviour: in a LaTeX table the row is there, and empty. Other cells after \addlinespace keep their text, and so does the same
#            \multicolumn after \midrule, or after nothing.
# Seen:      \multicolumn{2}{l}{CIFAR-100} below \addlinespace prints two empty cells, with --fail-if-warnings and exit code 0.
# A guess:   a space between rows says nothing of the cells, so that a converter leaves it out and keeps the row.
# It matters: booktabs' own way to set panels apart is \addlinespace and a spanning title. The converted table, on a web page or in
#            an editor's Word file, shows the panels' numbers below each other without the names of their data sets.
# No GPU. Fails if any of this changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pypandoc_binary==1.17
pandoc=$("$folder/venv/bin/python" -c "import pypandoc; print(pypandoc.get_pandoc_path())")
"$pandoc" --version | head -n 1

plain() { # the text of a table whose second row is $2, with $1 before the row
    printf '%s\n' '\begin{tabular}{lr}' 'before & 1 \\' "$1" "$2 \\\\" 'after & 2 \\' '\end{tabular}' | sed '/^$/d' |
        "$pandoc" --from=latex --to=plain --fail-if-warnings
}

title='\multicolumn{2}{l}{CIFAR-100}'
plain '\addlinespace' "$title" | tee "$folder/space"
for before in '' '\midrule'; do
    plain "$before" "$title" | grep -q CIFAR-100
done
plain '\addlinespace' 'CIFAR-100 & 3' | grep -q CIFAR-100
if grep -q CIFAR-100 "$folder/space"; then
    echo "changed: the title is there" >&2
    exit 1
fi
grep -q after "$folder/space"
echo "as before: a title across columns is lost below a space"
