"""The kit that every site of ours is made with; it knows no store."""
