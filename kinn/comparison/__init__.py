"""Solvers beside each other on the same work: what `kinn bench` runs, keeps, and reports."""
