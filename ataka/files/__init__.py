"""What lies on disk, and how it is written: whole, sealed, claimed and resumed. No result depends on it."""
