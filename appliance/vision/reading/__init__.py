"""From an address to frames: sources that are opened, packets that are read, and as few of them decoded as can be."""
