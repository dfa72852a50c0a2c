"""From cells to pages: the measurements of a study, collected, checked and set as tables. Knows files, never torch.

paper/         the contents of the paper: tables, claims, published numbers
catalogue.py   a table by its name; table.py: the parts of every kind of table
accuracies/    Tables 2 to 5: which cells they need, a cell's check, their health, sanity, costs, layout, caption
particles/     Table 1: the same of measured particles
sources.py     a measurement's CSV, read and checked against the settings now in force
candidates.py  which alpha was chosen among which
collect.py     measurements to {root}/table2.csv and {root}/table2.choices.csv
statistics.py  several seeds to one number; paired tests, intervals, power, Holm
evidence.py    a cell's bits and an image's particles, checked
union.py       each network's worst case over all attacks
sweeps.py      attacks that are PGD at other budgets, or of other numbers of steps
export/        a network of a study in a folder for others, with a model card
watch/         a study while it runs, from its files
cost.py        the time and memory that jobs took; forecast/: those that a study will take, and how far it is
growth.py      how the work grows with images, teachers and students
targets.py     the workflow's targets by their names
claims/        verdicts on the paper's sentences
layout.py      rows, panels and groups, for every format alike
grammar.py     counts with their nouns
caption.py     sentences about any table's numbers, for readers
page.py        a table's layout, caption and files
html/          {root}/report.html, one page of everything
render.py      {root}/table2.csv to table2.tex, its .standalone.tex, its .numbers.tex and table2.md, through templates/
booklet.py     {root}/tables.pdf, of all tables
show.py        the same for a terminal
pictures/      pictures of the results, one file each, in one style; the only room that draws with matplotlib
verify/        does everything below a results folder still hold?
"""
