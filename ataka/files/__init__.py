"""Files on disk: written whole, sealed, claimed and resumed. No result depends on this package."""
