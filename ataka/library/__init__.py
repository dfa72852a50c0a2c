"""ataka as a library: the functions behind ``import ataka``, which other programs call. Imports no torch.

No result of a study depends on this room, so that it is never hashed.
"""
