"""What a training step of the paper's own methods computes."""
