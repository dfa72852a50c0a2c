"""Numbers of file formats. They join the settings of what is kept in these formats, so this module needs no torch."""

TAPE = 1
"""Of a tape: its manifest and its epochs' files (tape.py). Another number records every tape again."""
