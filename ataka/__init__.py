"""AT-AKA: adversarial training via adaptive knowledge amalgamation, and what every method shares."""
