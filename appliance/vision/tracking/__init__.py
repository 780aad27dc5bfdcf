"""Which faces of successive frames are one person."""
