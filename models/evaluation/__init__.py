"""What detectors find and how well: `evaluate` is the command, `figures` has the arithmetic. Knows no PyTorch."""
