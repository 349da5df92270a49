"""Programs of other frameworks that do the same work, each in a process of its own, and what starts them."""
