"""mb9k: a box that counts who wears a mask."""
