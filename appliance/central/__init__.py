"""The centre: what many boxes tell, kept and shown together."""
