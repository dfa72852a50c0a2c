"""export: a network of a study in a folder of its own, for people without this project. Needs no network connection.

command.py   `python -m ataka export`: the steps
network.py   the weights, and the network as a program that torch alone runs
card.py      the model card, README.md, whose head Hugging Face reads as results
"""
