"""Meshes with materials, and a problem with jumps, that the tests of the formulations share."""

from __future__ import annotations

import numpy as np
import sympy as sp

import kinn


def halves(mesh: kinn.Mesh, at: float = 0.5) -> kinn.Mesh:
    """The mesh with subdomains `a` (lower x) and `b`, and the facets between them as `middle`."""
    low = mesh.points[mesh.cells, 0].mean(axis=1) < at
    x = mesh.points[mesh.skfem.facets, 0]
    middle = np.flatnonzero(np.isclose(x, at).all(axis=0))
    parts = {"a": np.flatnonzero(low), "b": np.flatnonzero(~low)}
    return kinn.Mesh(mesh.points, mesh.cells, mesh.cell_type, {**mesh.boundaries, "middle": middle}, parts)


def quarters(cells: int = 4) -> kinn.Mesh:
    """[-1, 1]^2 with subdomains `bright` and `dark` like the squares of a chessboard, and all of `upper`."""
    mesh = kinn.Mesh.box((-1, -1), (1, 1), cells=cells)
    x, y = mesh.points[mesh.cells].mean(axis=1).T
    parts = {"bright": np.flatnonzero(x * y > 0), "dark": np.flatnonzero(x * y < 0), "upper": np.flatnonzero(y > 0)}
    return kinn.Mesh(mesh.points, mesh.cells, mesh.cell_type, dict(mesh.boundaries), parts)


def tilted(mesh: kinn.Mesh, slope: float) -> kinn.Mesh:
    """The mesh with y -> y + slope x and the same names."""
    points = mesh.points.copy()
    points[:, 1] += slope * points[:, 0]
    return kinn.Mesh(points, mesh.cells, mesh.cell_type, dict(mesh.boundaries))


def jumping(mesh, side, held=False):
    """u = p in a and p + step in b, k = 1 | 10, with the jumps of value and flux that follow; quadratics throughout."""
    mesh = halves(mesh)
    x = [*mesh.coordinates]
    inner = x[0] ** 2 + (x[1] ** 2 if len(x) > 1 else 0)
    outer = inner + 1 + (x[1] if len(x) > 1 else 0) + 3 * (x[0] - sp.Rational(1, 2))
    k = kinn.Coefficient("k", mesh, {"a": 1, "b": 10})
    u = kinn.Field("u", mesh)
    flux = k * kinn.grad(u)
    rise = (outer - inner).subs(x[0], sp.Rational(1, 2))
    heat = (10 * outer.diff(x[0]) - inner.diff(x[0])).subs(x[0], sp.Rational(1, 2))
    sign = 1 if side == "a" else -1  # of the jump of the value; that of the flux has the normal's sign besides
    conditions = [
        kinn.Dirichlet(u, inner, on="left"),
        kinn.Dirichlet(u, outer, on="right"),
        kinn.Condition(kinn.jump(u) - sign * rise, "middle", side=side),
        kinn.Condition(kinn.jump(flux.dot(mesh.normal)) - heat, "middle", side=side),
    ]
    if held:
        value = kinn.Coefficient("e", mesh, {"a": inner, "b": outer})
        conditions += [kinn.Dirichlet(u, value, on=name) for name in ("bottom", "top")]
    elif len(x) > 1:
        slope = kinn.Coefficient("s", mesh, {"a": inner.diff(x[1]), "b": 10 * outer.diff(x[1])})
        conditions += [kinn.Neumann(flux, sign * slope, on=name) for name, sign in (("bottom", -1), ("top", 1))]
    laplacian = 2 * min(len(x), 2)
    return kinn.Problem(mesh, {"heat": -kinn.div(flux) + laplacian * k}, conditions), (inner, outer)
