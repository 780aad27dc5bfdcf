"""Another version of this program: a signed bundle becomes a release beside the one that runs, and proves itself."""
