"""Stand-ins for the packages `tensorrt` and `pycuda`: they compute with ONNX Runtime on the CPU. No GPU is involved.

This folder goes to PYTHONPATH. How they behave stands in the JSON file that STAND_IN_GPU names (behaviour.py), and is
read again at each call, so that a device can go away while it is used.
"""
