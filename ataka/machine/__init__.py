"""The computer that jobs run on: GPUs, memory, progress, warm starts. No result depends on it."""
