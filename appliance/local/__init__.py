"""The site on the box."""
