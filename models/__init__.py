"""Training, evaluation and export of the mask detector; see README.md."""
