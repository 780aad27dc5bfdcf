"""The kit that every site of ours shares. It knows no store: what it needs of one comes in as functions."""
