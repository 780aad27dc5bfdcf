"""From pictures to a checkpoint: `network`, `loss`, `samples`, then `train`, the command."""
