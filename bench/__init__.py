"""How fast the product is beside others, as ratios of times that one process took in turn.

make bench                      all of it, in an environment of its own
python -m bench attacks         one measurement: docs/performance/attacks.csv
python -m bench page            docs/performance.md, from the CSVs
python -m bench --smoke attacks seconds, for a test: sizes too small to say anything
"""
