"""The stages of a study, one file each, named by its verb: from settings and files to files."""
