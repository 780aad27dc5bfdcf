"""The site of a centre: what many boxes tell, shown to the people who may see it."""
