"""The space of a problem: meshes with names, points with weights."""

from kinn.geometry.grading import graded
from kinn.geometry.interval import Interval
from kinn.geometry.mesh import Mesh
from kinn.geometry.names import BOUNDARY
from kinn.geometry.points import Points, gauss
from kinn.geometry.rules import reference_rule
from kinn.geometry.sampling import sample

__all__ = ["BOUNDARY", "Interval", "Mesh", "Points", "gauss", "graded", "reference_rule", "sample"]
