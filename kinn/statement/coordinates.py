"""Coordinates and boundary normals as SymPy symbols that know their mesh.

SymPy's cache makes the `x` of two meshes the same object; here the identity of the mesh takes part in equality
and hashing, so a statement cannot mix two meshes unnoticed.
"""

from __future__ import annotations

from typing import Any, Self

import sympy as sp


class MeshSymbol(sp.Symbol):
    """A real symbol that equals another only if type, name, mesh and axis agree."""

    __slots__ = ("mesh_id", "axis")

    mesh_id: str
    axis: int

    def __new__(cls, name: str, mesh_id: str, axis: int) -> Self:
        # __xnew__ passes by the cache of Symbol.__new__, whose key is the name alone.
        self: Any = sp.Symbol.__xnew__(cls, str(name), real=True)
        self.mesh_id = str(mesh_id)
        self.axis = int(axis)
        return self

    def __getnewargs_ex__(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (self.name, self.mesh_id, self.axis), {}

    def _hashable_content(self) -> tuple[Any, ...]:
        return (self.name, self.mesh_id, self.axis)

    def sort_key(self, order: Any = None) -> Any:
        """SymPy's ordering of terms, with the mesh as tie-break, so that printed sums are reproducible."""
        name = (self.name, self.mesh_id, str(self.axis))
        return self.class_key(), (len(name), name), sp.S.One.sort_key(), sp.S.One


class Coordinate(MeshSymbol):
    """The coordinate `name` along `axis` of the mesh whose content hash is `mesh_id`.

    >>> Coordinate("x", "mesh a", 0) == Coordinate("x", "mesh b", 0)
    False
    """

    __slots__ = ()


class Normal(MeshSymbol):
    """The component along `axis` of the exterior unit normal on the boundary of the mesh `mesh_id`."""

    __slots__ = ()


__all__ = ["Coordinate", "MeshSymbol", "Normal"]
