"""The contents of the paper: tables, claims and published numbers.

tables/             the rows, columns and captions of each table, and of supplements to them
claims.yaml         its comparative sentences, verbatim
published/          the numbers that it printed, and those of the RSLAD paper, as CSV files
published.py        looks a printed number up
published_facts.py  computes from the printed numbers alone (docs/published.md)
"""
