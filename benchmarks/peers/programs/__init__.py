"""One module a peer, written as its own documentation writes programs; run with the Python of .venv-peers, which has no pyworkflow."""
