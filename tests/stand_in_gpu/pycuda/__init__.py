"""A stand-in for pycuda (see tests/stand_in_gpu)."""
