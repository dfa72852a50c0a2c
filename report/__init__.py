"""From cells to pages: what a study measured, collected, checked and set as tables. Knows files, never torch.

tables.py      which rows and columns a table has (tables/*.yaml), hence which cells it needs
cells.py       one cell's CSV, read and checked against the settings now in force
choices.py     which alpha was chosen among which
collect.py     cells to {root}/table2.csv and {root}/table2.choices.csv
statistics.py  several seeds to one number
layout.py      numbers to rows, panels and best values
caption.py     what a reader must know about these numbers, in words
render.py      {root}/table2.csv to table2.tex and table2.md, through templates/
show.py        the same for a terminal
published.py   the paper's own numbers (published/*.csv)
"""
