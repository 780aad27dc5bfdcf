"""Makes images that are flashed onto a device: `image/build TARGET`. See README.md beside it."""
