"""How orders of ours would have traded in a recorded or live market: whole numbers in, what happens out."""
