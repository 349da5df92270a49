"""The invariants, by what they compare: a history with itself, with the rows beside it, and processes with each other."""
