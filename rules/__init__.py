"""The rules of the workflow, one file a stage, and what they ask of the study (workflow.py)."""
