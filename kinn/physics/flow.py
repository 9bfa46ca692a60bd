"""Incompressible flow: stresses, advection and the Navier-Stokes equations of a velocity and a pressure."""

from __future__ import annotations

from typing import Any

import sympy as sp

from kinn.statement.calculus import div, grad
from kinn.statement.errors import StatementError
from kinn.statement.fields import space_of


def advection(u: Any, transported: Any) -> Any:
    """(u . grad) of a field: what a velocity (d, 1) carries along; a scalar for a scalar, a column for a vector."""
    slope = grad(transported)
    d = len(space_of(slope))
    if not isinstance(u, sp.MatrixBase) or u.shape != (d, 1):
        raise StatementError(f"advection by {u}: give a velocity with {d} components, one per axis of space")
    if isinstance(transported, sp.MatrixBase):
        return slope * u
    return slope.dot(u)


def viscous_stress(u: Any, p: Any, viscosity: Any, symmetric: bool = True) -> Any:
    """The stress (d, d) of an incompressible Newtonian fluid, viscosity (grad u + grad u^T) - p I.

    `symmetric=False` is viscosity grad u - p I, with the same divergence: zero on an outlet it lets a developed flow leave
    a channel as it is ("do nothing"); forces on walls need the other one.

    >>> lift = traction(viscous_stress(u, p, mu), mesh.normal)[1]      # doctest: +SKIP
    """
    slope = grad(u)
    d = len(space_of(slope))
    if slope.shape != (d, d):
        raise StatementError(f"viscous_stress: give a velocity with {d} components, one per axis of space")
    return viscosity * (slope + slope.T if symmetric else slope) - p * sp.eye(d)


def navier_stokes(u: Any, p: Any, viscosity: Any, density: Any = 1, force: Any = 0, symmetric: bool = True) -> Any:
    """The equations of a steady incompressible flow: density (u . grad) u - div(stress) = force, and div(u) = 0.

    `viscosity` is the dynamic one, `density` 0 gives the Stokes equations, `force` is one per volume (d, 1). The natural
    boundary condition is that of `viscous_stress` with the same `symmetric`.

    >>> problem = Problem(mesh, navier_stokes(u, p, 0.01), conditions)      # doctest: +SKIP
    """
    momentum = -div(viscous_stress(u, p, viscosity, symmetric))
    if density != 0:
        momentum = density * advection(u, u) + momentum
    if force != 0:
        momentum = momentum - sp.ImmutableDenseMatrix(force)
    return {"momentum": momentum, "continuity": div(u)}
