"""The losses of a training step of the paper's own methods."""
