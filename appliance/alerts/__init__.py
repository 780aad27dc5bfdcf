"""Who is told when something is wrong, of what, and how: shared by a box and a centre. It knows no store of either."""
