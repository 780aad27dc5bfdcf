"""Where to look in a frame: what moves, what is due, the regions of a look, and the faces of several regions as one."""
