"""The site on the box: what it saw, shown to the people who may see it."""
