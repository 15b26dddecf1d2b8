"""Closed forms, bounds and exact solvers that the theorem pages test against."""
