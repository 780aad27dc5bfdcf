"""Groups of commands of `mb9k`, a module each; appliance/cli.py puts them together."""
