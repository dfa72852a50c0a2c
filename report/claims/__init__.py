"""The paper's comparative sentences (report/paper/claims.yaml), judged by what a scale measured.

sentences.py   a sentence and the claims that it makes: which cells are compared, how
judge.py       measured cells to verdicts
claims_page.py verdicts to claims.csv, claims.tex and claims.md
floats.py      the claims of each of the paper's tables, in floats that fit a page
"""
