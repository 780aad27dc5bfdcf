"""Who may sign in, by what, and what each may do: for every site of ours. It knows no store but the one handed in."""
