"""The materials of a mesh: parts on each of which the trial solution is smooth, while its gradient may jump between them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from kinn.geometry import Mesh
from kinn.statement.conditions import Condition
from kinn.statement.errors import StatementError
from kinn.statement.problem import Problem

REST = "rest"  # what lies in no subdomain that counts


class Parts:
    """A partition of the cells by the subdomains that the statement tells apart.

    Two cells are in one part if they lie in the same ones of the subdomains that equations, coefficients or jumps name. The same
    names partition every mesh that is refined from the problem's.

    Attributes:
        names: the subdomains that count.
        members: (count, len(names)) which of them each part lies in.
    """

    def __init__(self, mesh: Mesh, names: Iterable[str]) -> None:
        self.mesh, self.names = mesh, tuple(dict.fromkeys(names))
        self.members = np.unique(self._membership(mesh), axis=0)
        self._own = self.numbers(mesh)

    @staticmethod
    def of(problem: Problem) -> Parts:
        """The parts between which the flux of a problem may jump; one part where no subdomain is named."""
        places = {row.on for row in problem.rows}
        names = [name for on in sorted(places) for name in on] if len(places) > 1 else []
        for coefficient in problem.coefficients.values():
            if not coefficient.continuous:
                names += list(getattr(coefficient, "pieces", None) or ())
        names += [c.side for c in problem.conditions if isinstance(c, Condition) and c.side is not None]
        return Parts(problem.mesh, names)

    @property
    def count(self) -> int:
        return len(self.members)

    def _membership(self, mesh: Mesh) -> np.ndarray:
        table = np.zeros((len(mesh.cells), len(self.names)), dtype=bool)
        for column, name in enumerate(self.names):
            table[mesh.subdomains[name], column] = True
        return table

    def numbers(self, mesh: Mesh) -> np.ndarray:
        """The part (nc,) of each cell of the problem's mesh or of one that is refined from it."""
        if self.count == 1:
            return np.zeros(len(mesh.cells), dtype=np.int64)
        return (self._membership(mesh)[:, None] == self.members[None]).all(2).argmax(1)

    def of_cells(self, cells: np.ndarray) -> np.ndarray:
        """The parts of cells of the problem's mesh."""
        return self._own[cells]

    def at(self, x: np.ndarray) -> np.ndarray:
        """The part (n,) that holds each point (n, d); 0 outside the mesh."""
        if self.count == 1:
            return np.zeros(len(x), dtype=np.int64)
        cells = self.mesh.locate(x)
        return np.where(cells < 0, 0, self._own[cells])

    def within(self, names: Sequence[str]) -> list[str]:
        """For each part the one of the subdomains `names` that holds it; "rest" stands for what lies in none of the others.

        Raises StatementError where a part lies in none or in two of them, or only partly in one.
        """
        found = []
        for number, label in enumerate(self.labels):
            own = np.flatnonzero(self._own == number)
            shares = {name: np.isin(own, self.mesh.subdomains[name]).mean() for name in names if name != REST}
            holding = [name for name, share in shares.items() if share == 1]
            if cutting := [name for name, share in shares.items() if 0 < share < 1]:
                raise StatementError(
                    f"network= names {cutting[0]!r}, which holds some of the cells of {label!r}, a part in which the solution is "
                    f"smooth; name subdomains that hold whole parts: {self}"
                )
            holding = holding or [REST] * (REST in names)
            if len(holding) != 1:
                what = "two networks" if holding else "no network"
                raise StatementError(
                    f"network= has {what} for the subdomain {label!r}; give one for each of: {self}"
                    + ("" if holding else ", or one named 'rest' for all others")
                )
            found += holding
        return found

    @property
    def labels(self) -> list[str]:
        """For each part the subdomains that it lies in."""
        rows = [[name for name, inside in zip(self.names, row, strict=True) if inside] for row in self.members]
        return ["+".join(row) or REST for row in rows]

    def __str__(self) -> str:
        return ", ".join(self.labels)


__all__ = ["REST", "Parts"]
