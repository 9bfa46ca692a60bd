"""Known values that coefficients are made of: one per subdomain, given on nodes, or a table of the coordinates.

A law is called with one array or torch tensor (n,) per coordinate and answers in kind; torch itself is not needed here.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np
import skfem
import sympy as sp
from scipy.interpolate import NdBSpline, make_interp_spline
from scipy.spatial import KDTree

from kinn.statement.coordinates import Coordinate
from kinn.statement.errors import StatementError, suggest
from kinn.statement.places import cells_of

LINEAR = {
    "line": skfem.ElementLineP1,
    "triangle": skfem.ElementTriP1,
    "quad": skfem.ElementQuad1,
    "tetra": skfem.ElementTetP1,
    "hexahedron": skfem.ElementHex1,
}


class Law(ABC):
    """A function of the coordinates of a mesh with its derivatives; two laws are equal if their `key` is."""

    key: str
    continuous = True
    kinked = False  # continuous, but its gradient jumps from cell to cell
    pieces: dict[str, Any] = {}  # subdomain -> expression, for values per subdomain

    @abstractmethod
    def values(self, x: np.ndarray, orders: tuple[int, ...]) -> np.ndarray:
        """The derivative of the given order along each coordinate at points x (n, d): (n,)."""

    def __call__(self, *coordinates: Any, orders: tuple[int, ...] | None = None) -> Any:
        first = coordinates[0]
        tensors = hasattr(first, "detach")
        arrays = [np.asarray(c.detach().cpu().numpy() if tensors else c, dtype=float) for c in coordinates]
        columns = np.broadcast_arrays(*arrays)
        x = np.stack([column.ravel() for column in columns], axis=1)
        found = self.values(x, orders or (0,) * len(columns)).reshape(columns[0].shape)
        return first.new_tensor(found) if tensors else found

    def derivative(self, orders: tuple[int, ...]) -> Callable[..., Any]:
        """The derivative as a function of the same arguments."""
        return partial(self, orders=tuple(orders))

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.key == self.key  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return hash(self.key)


class CellLaw(Law):
    """A law that depends on the cell that holds a point; on an edge `mesh.locate` decides."""

    def __init__(self, mesh: Any) -> None:
        self.mesh = mesh

    def cells(self, x: np.ndarray) -> np.ndarray:
        """The cell of each point (n,); just outside the mesh the nearest one."""
        found = np.array(self.mesh.locate(x))
        lost = np.flatnonzero(found < 0)
        if lost.size:
            p, t = np.asarray(self.mesh.skfem.p), np.asarray(self.mesh.skfem.t)
            found[lost] = KDTree(p[:, t].mean(axis=1).T).query(x[lost])[1]
        return found


class Pieces(CellLaw):
    """One number or expression of the coordinates per subdomain.

    Raises StatementError for an unknown subdomain, and for a cell without a value or with two.
    """

    continuous = False

    def __init__(self, name: str, mesh: Any, given: Mapping[str, Any]) -> None:
        super().__init__(mesh)
        self.pieces = dict(given)
        self.number = np.full(len(cells_of(mesh, ())), -1)
        for i, part in enumerate(self.pieces):
            if part not in mesh.subdomains:
                raise StatementError(
                    f"coefficient {name!r}: subdomain {part!r} is not in the mesh{suggest(str(part), mesh.subdomains)}"
                )
            cells = cells_of(mesh, (part,))
            if (self.number[cells] >= 0).any():
                other = list(self.pieces)[int(self.number[cells].max())]
                raise StatementError(
                    f"coefficient {name!r} has two values in the cells that {other!r} and {part!r} share; "
                    "give each cell one value"
                )
            self.number[cells] = i
        bare = np.flatnonzero(self.number < 0)
        if bare.size:
            center = np.asarray(mesh.skfem.p)[:, np.asarray(mesh.skfem.t)[:, bare[0]]].mean(axis=1)
            more = [part for part in mesh.subdomains if part not in self.pieces]
            missing = f"; it lacks {', '.join(repr(part) for part in more)}" if more else ""
            raise StatementError(
                f"coefficient {name!r} has no value in {bare.size} of {len(self.number)} cells, the first at "
                f"({', '.join(f'{v:g}' for v in center)}){missing}"
            )
        # the names of a mesh are not in its identity: which cells have which value has to be told too
        values = [(part, str(value)) for part, value in self.pieces.items()]
        self.key = f"{mesh.identity} {values} {_digest(self.number)}"

    def values(self, x: np.ndarray, orders: tuple[int, ...]) -> np.ndarray:
        coordinates = self.mesh.coordinates
        steps = [(c, n) for c, n in zip(coordinates, orders, strict=True) if n]
        found, here = np.zeros(len(x)), self.number[self.cells(x)]
        for i, value in enumerate(self.pieces.values()):
            mine = here == i
            evaluate = sp.lambdify(coordinates, value.diff(*steps) if steps else value, modules=["scipy", "numpy"])
            found[mine] = evaluate(*x[mine].T)
        return found


class Nodal(CellLaw):
    """Values on the mesh's points (nv,), linear in each cell (multilinear in quadrilaterals and hexahedra)."""

    kinked = True

    def __init__(self, name: str, mesh: Any, given: Any) -> None:
        super().__init__(mesh)
        self.nodal = _numbers(name, given, "nodal values")
        if self.nodal.shape != (len(mesh.points),):
            raise StatementError(
                f"coefficient {name!r}: an array of shape {self.nodal.shape} for a mesh with {len(mesh.points)} points; "
                "give one value per point (nv,), or a table (grids, values)"
            )
        self.name, self.key = name, f"{mesh.identity} {_digest(self.nodal)}"

    @cached_property
    def element(self) -> Any:
        return LINEAR[self.mesh.cell_type]()

    def values(self, x: np.ndarray, orders: tuple[int, ...]) -> np.ndarray:
        if sum(orders) > 1:
            raise StatementError(f"coefficient {self.name!r} is linear between nodes: it has first derivatives only")
        cells = self.cells(x)
        places, jacobians = self.mesh.reference(x, cells)
        local = places.T[:, :, None]
        corners = self.nodal[np.asarray(self.mesh.skfem.t)[:, cells]]
        shapes = [self.element.lbasis(local, i) for i in range(len(corners))]
        if not any(orders):
            return sum(corners[i] * np.broadcast_to(phi, local.shape[1:])[:, 0] for i, (phi, _) in enumerate(shapes))  # type: ignore[return-value]
        slope = sum(
            corners[i] * np.broadcast_to(dphi, local.shape)[:, :, 0] for i, (_, dphi) in enumerate(shapes)
        )  # (d, n) in the reference cell
        return np.einsum("jn,nj->n", slope, np.linalg.inv(jacobians)[:, :, orders.index(1)])


class Table(Law):
    """Values on a grid of the coordinates, a cubic spline between them (of lower degree for fewer than 4 points)."""

    def __init__(self, name: str, mesh: Any, grids: Sequence[Any], given: Any) -> None:
        axes = [_numbers(name, grid, f"grid of {x.name}") for grid, x in zip(grids, mesh.coordinates, strict=False)]
        table = _numbers(name, given, "table")
        if len(grids) != len(mesh.coordinates) or table.shape != tuple(axis.size for axis in axes):
            raise StatementError(
                f"coefficient {name!r}: {len(grids)} grids and a table of shape {table.shape} for "
                f"{len(mesh.coordinates)} coordinates; give one grid per coordinate and one value per grid point"
            )
        points = np.asarray(mesh.points)
        knots, degrees, coefficients = [], [], table
        for i, (axis, x) in enumerate(zip(axes, mesh.coordinates, strict=True)):
            if axis.ndim != 1 or len(axis) < 2 or (np.diff(axis) <= 0).any():
                raise StatementError(
                    f"coefficient {name!r}: the grid of {x.name} does not rise; sort it, two points or more"
                )
            low, high = points[:, i].min(), points[:, i].max()
            slack = 1e-6 * (high - low)
            if axis[0] > low + slack or axis[-1] < high - slack:
                raise StatementError(
                    f"coefficient {name!r}: its table spans {x.name} in [{axis[0]:g}, {axis[-1]:g}], the mesh "
                    f"[{low:g}, {high:g}]; extend the table"
                )
            degree = min(3, len(axis) - 1)
            spline: Any = make_interp_spline(axis, np.moveaxis(coefficients, i, 0), k=degree)
            coefficients = np.moveaxis(spline.c, 0, i)
            knots.append(spline.t)
            degrees.append(degree)
        self.spline = NdBSpline(tuple(knots), np.ascontiguousarray(coefficients), tuple(degrees))
        self.key = f"{mesh.identity} {_digest(*axes, table)}"

    def values(self, x: np.ndarray, orders: tuple[int, ...]) -> np.ndarray:
        return np.asarray(self.spline(x, nu=orders, extrapolate=True))


def law_of(name: str, mesh: Any, given: Any) -> Law | None:
    """The law that a dict, a table (grids, values) or an array of nodal values means; None for anything else."""
    if isinstance(given, Mapping):
        return Pieces(name, mesh, given)
    if isinstance(given, tuple) and len(given) == 2:
        grids, values = given
        single = len(mesh.coordinates) == 1 and np.ndim(grids[0]) == 0
        return Table(name, mesh, [grids] if single else list(grids), values)
    if isinstance(given, (np.ndarray, list)):
        return Nodal(name, mesh, given)
    return None


def is_known(value: Any) -> bool:
    """Whether an expression holds coordinates only, so that numbers can be put in."""
    return all(isinstance(s, Coordinate) for s in value.free_symbols) and not value.atoms(sp.core.function.AppliedUndef)


def _numbers(name: str, given: Any, what: str) -> np.ndarray:
    try:
        array = np.array(given, dtype=float)
    except (TypeError, ValueError):
        raise StatementError(f"coefficient {name!r}: its {what} are no array of numbers") from None
    if not np.isfinite(array).all():
        raise StatementError(f"coefficient {name!r}: its {what} hold a number that is not finite")
    return array


def _digest(*arrays: np.ndarray) -> str:
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()
