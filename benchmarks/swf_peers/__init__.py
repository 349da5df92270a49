"""The same work by other clients of Amazon SWF. Each module is a program of its own: its library is no dependency of this project."""
