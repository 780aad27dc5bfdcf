"""The centre: what many boxes tell, in one place. It knows nothing of how a box sees or stores."""
