"""A scale's measurements in compact files that git keeps, docs/study/SCALE/, and the pages that are made from them.

files.py     the compact files: what they hold, how they are written and read
take.py      from a results folder to the compact files' content
alike.py     whether measurements may stand together: one set of settings, code, images and networks
pages.py     a page for each table, from the compact files alone
figures.py   values that texts may cite: accuracies, differences, verdicts
texts.py     docs/study.md and the finding in README.md, from texts that cite such values
"""
