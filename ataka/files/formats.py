"""Numbers of file formats. The settings of each artifact in such a format include the number. Imports no torch."""

TAPE = 1
"""The format of a tape: its manifest and its epochs' files (tape.py). Another number records every tape again."""
