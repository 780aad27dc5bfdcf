"""What a machine does by itself at its first start: a name, Wi-Fi from a file, a hotspot. See README.md."""
