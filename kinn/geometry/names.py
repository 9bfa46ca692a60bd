"""The named parts of a mesh: sets of facets (boundaries, interfaces) and sets of cells (subdomains)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from kinn.statement.errors import StatementError, suggest

BOUNDARY = "boundary"  # the built-in name of all exterior facets


class Names:
    """Two tables, name -> sorted numbers, that share one name space; numbers are entered once and never change."""

    def __init__(self, exterior: np.ndarray, facet_count: int, cell_count: int):
        self.exterior = exterior
        self.facet_count, self.cell_count = facet_count, cell_count
        self.boundaries: dict[str, np.ndarray] = {}
        self.subdomains: dict[str, np.ndarray] = {}

    def add_boundary(self, name: str, facets: Any) -> None:
        """Enter facet numbers under a new name; a repetition of what is known is accepted."""
        facets = _checked(name, facets, self.facet_count, "facet")
        if name == BOUNDARY:
            if np.array_equal(facets, self.exterior):
                return  # what a file may say too
            raise StatementError(
                f"the name {BOUNDARY!r} is kept for the whole exterior boundary ({len(self.exterior)} facets), "
                f"but this part has {len(facets)} facets; rename it"
            )
        self._enter(self.boundaries, name, facets)

    def add_subdomain(self, name: str, cells: Any) -> None:
        """Enter cell numbers under a new name."""
        if name == BOUNDARY:
            raise StatementError(f"the name {BOUNDARY!r} is kept for the whole exterior boundary; rename the subdomain")
        self._enter(self.subdomains, name, _checked(name, cells, self.cell_count, "cell"))

    def _enter(self, table: dict[str, np.ndarray], name: str, numbers: np.ndarray) -> None:
        known = self.boundaries.get(name, self.subdomains.get(name))
        if known is not None:
            if name in table and np.array_equal(known, numbers):
                return
            raise StatementError(f"the name {name!r} is taken by another part of the mesh; choose a new one")
        numbers.setflags(write=False)
        table[name] = numbers

    def facets_of(self, on: str | Iterable[str]) -> np.ndarray:
        for name in _tuple(on):
            if name != BOUNDARY and not self.boundaries:
                raise StatementError(f"boundary {name!r} is not in the mesh, which has no names; {_remedy(name)}")
        return _union(on, {**self.boundaries, BOUNDARY: self.exterior}, "boundary")

    def cells_of(self, on: str | Iterable[str] | None) -> np.ndarray:
        return np.arange(self.cell_count) if on is None else _union(on, self.subdomains, "subdomain")

    def is_boundary(self, on: str | Iterable[str] | None) -> bool:
        names = () if on is None else _tuple(on)
        known = [*self.boundaries, BOUNDARY, *self.subdomains]
        for name in names:
            if name not in known and known == [BOUNDARY]:
                raise StatementError(f"{name!r} names no part of the mesh, which has no names; {_remedy(name)}")
            if name not in known:
                raise StatementError(f"{name!r} names no part of the mesh" + suggest(name, known))
        kinds = {name not in self.subdomains for name in names}
        if len(kinds) == 2:
            raise StatementError(f"{names} mixes boundaries and subdomains; name one kind at a time")
        return kinds == {True}


def _tuple(on: str | Iterable[str]) -> tuple[str, ...]:
    return (on,) if isinstance(on, str) else tuple(on)


def _remedy(name: str) -> str:
    return (
        f'write mesh.tag("{name}", lambda x, *_: x < 1e-6) with what holds at the midpoints of its facets, or take '
        f"{BOUNDARY!r}, the whole boundary (in Gmsh: add physical groups)"
    )


def _checked(name: str, numbers: Any, count: int, what: str) -> np.ndarray:
    numbers = np.unique(np.asarray(numbers, dtype=np.int64))
    if not len(numbers):
        raise StatementError(f"the part {name!r} has no {what}; drop the name")
    if numbers[0] < 0 or numbers[-1] >= count:
        wrong = numbers[0] if numbers[0] < 0 else numbers[-1]
        raise StatementError(f"the part {name!r} names {what} {wrong}, but the mesh has {count} of them")
    return numbers


def _union(on: str | Iterable[str], table: dict[str, np.ndarray], what: str) -> np.ndarray:
    names = _tuple(on)
    for name in names:
        if name not in table:
            raise StatementError(f"{what} {name!r} is not in the mesh" + suggest(name, table))
    if not names:
        raise StatementError(f"no {what} is named" + suggest("", table))
    return np.unique(np.concatenate([table[name] for name in names]))


__all__ = ["BOUNDARY", "Names"]
