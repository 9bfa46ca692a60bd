"""Finite elements from the same statement: the reference and the yardstick."""

from kinn.fem.identify import Identified, identify
from kinn.fem.solve import FemSolution, solve

__all__ = ["FemSolution", "Identified", "identify", "solve"]
