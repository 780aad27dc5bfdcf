"""From a checkpoint to every ONNX form: `release` is the command."""
