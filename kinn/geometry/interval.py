"""The second factor of a space-time mesh."""

from __future__ import annotations

from kinn.geometry.mesh import Mesh
from kinn.geometry.shapes import interval_content


class Interval(Mesh):
    """The interval `lower <= name <= upper` with ends named like `t=0` and `t=1`; the second factor of a space-time.

    >>> space_time = Mesh.box(0, 1, cells=8) * Interval("t", 0, 1, cells=8)
    >>> space_time.interval_ends, space_time.spatial_dimension
    (('t=0', 't=1'), 1)
    """

    def __init__(self, name: str, lower: float, upper: float, cells: int | None = None):
        content = interval_content(name, lower, upper, cells)
        # In 1-D a facet has the number of its vertex.
        ends = {end: vertices[:, 0] for end, vertices in content.boundaries.items()}
        super().__init__(content.points, content.cells, content.cell_type, ends, coordinate_names=(str(name),))


__all__ = ["Interval"]
