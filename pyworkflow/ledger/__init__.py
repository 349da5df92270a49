"""The rules of history, in one place: what a start, a signal, a decision, a result or the passing of time does to a process.

No I/O, no clock, no randomness. A store opens a `Unit` for each transaction, runs any number of these functions on it, and writes down
what changed. Every function checks everything before it changes anything, so a refused call leaves no trace.
"""
