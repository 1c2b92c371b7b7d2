"""The picture of a run: recorded call by call while it goes, drawn when somebody asks."""
