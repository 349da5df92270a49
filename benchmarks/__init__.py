"""Benchmarks: the workloads W1 to W7, each beside the limit of the store itself in the same run. ``./do bench`` runs them."""
