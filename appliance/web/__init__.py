"""The page kit that every site of ours shares. It knows no people and no store; a site hands in what it needs."""
