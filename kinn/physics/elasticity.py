"""Linear elasticity: strains and stresses of a displacement, and what a stress means for a material."""

from __future__ import annotations

from typing import Any

import sympy as sp

from kinn.statement.calculus import grad
from kinn.statement.errors import StatementError
from kinn.statement.fields import space_of


def strain(u: Any) -> Any:
    """The small strain (grad u + grad u^T) / 2 of a displacement (d, 1): a symmetric matrix (d, d).

    Raises StatementError for a displacement that has not one component per axis of space.
    """
    slope = grad(u)
    d = len(space_of(slope))
    components = slope.rows if slope.cols == d else 1
    if components != d:
        raise StatementError(
            f"a displacement with {components} components in {d} dimensions; give one component per axis of space"
        )
    return (slope + slope.T) / 2


def elastic_stress(u: Any, E: Any, nu: Any) -> Any:
    """The stress lambda tr(eps) I + 2 mu eps of an isotropic body in three dimensions, (3, 3).

    `E` is Young's modulus (unit of stress), `nu` Poisson's ratio, each a number, a Parameter or an expression.
    """
    return _hooke(_strain_in(u, 3, "elastic_stress"), E, nu, E * nu / ((1 + nu) * (1 - 2 * nu)))


def plane_strain(u: Any, E: Any, nu: Any) -> Any:
    """The stress (2, 2) of a long body that cannot move along z; sigma_zz = nu (sigma_xx + sigma_yy)."""
    return _hooke(_strain_in(u, 2, "plane_strain"), E, nu, E * nu / ((1 + nu) * (1 - 2 * nu)))


def plane_stress(u: Any, E: Any, nu: Any) -> Any:
    """The stress (2, 2) of a thin plate with free faces: sigma_zz = 0.

    >>> problem = Problem(mesh, -div(plane_stress(u, E=1000, nu=0.3)), [Dirichlet(u, 0, on="left")])   # doctest: +SKIP
    """
    return _hooke(_strain_in(u, 2, "plane_stress"), E, nu, E * nu / (1 - nu**2))


def von_mises(stress: Any, nu: Any = None) -> Any:
    """The von Mises stress sqrt(3/2 s : s), s the deviator, of a stress (3, 3) or (2, 2).

    In two dimensions sigma_zz is 0 (plane stress); with `nu` it is that of plane strain, nu (sigma_xx + sigma_yy).
    """
    s = _matrix(stress)
    if s.rows == 3:
        if nu is not None:
            raise StatementError("von_mises of a stress (3, 3) needs no nu: it holds sigma_zz already")
        zz = s[2, 2]
        shear = s[0, 1] ** 2 + s[1, 2] ** 2 + s[0, 2] ** 2
    else:
        zz = sp.S.Zero if nu is None else nu * (s[0, 0] + s[1, 1])
        shear = s[0, 1] ** 2
    differences = (s[0, 0] - s[1, 1]) ** 2 + (s[1, 1] - zz) ** 2 + (zz - s[0, 0]) ** 2
    return sp.sqrt(differences / 2 + 3 * shear)


def principal_stresses(stress: Any) -> Any:
    """The eigenvalues of a stress, the largest first: a column (d, 1)."""
    s = _matrix(stress)
    mean = s.trace() / s.rows
    if s.rows == 2:
        radius = sp.sqrt(((s[0, 0] - s[1, 1]) / 2) ** 2 + s[0, 1] ** 2)
        return sp.ImmutableDenseMatrix([mean + radius, mean - radius])
    # Cardano's formula with atan2, which divides by nothing and stays finite for equal eigenvalues.
    deviator = s - mean * sp.eye(3)
    j2 = sp.Add(*(entry**2 for entry in deviator)) / 2
    j3 = deviator.det(method="berkowitz")
    angle = sp.atan2(sp.sqrt(sp.Max(4 * j2**3 / 27 - j3**2, 0)), j3) / 3
    turn = 2 * sp.pi / 3
    return sp.ImmutableDenseMatrix([mean + 2 * sp.sqrt(j2 / 3) * sp.cos(angle + k * turn) for k in (0, -1, 1)])


def traction(stress: Any, normal: Any) -> Any:
    """The force per area stress . n on a surface with the exterior unit normal n, (d, 1); `normal` is `mesh.normal`."""
    return _matrix(stress) * sp.ImmutableDenseMatrix(normal)


def _hooke(eps: Any, E: Any, nu: Any, lame_lambda: Any) -> Any:
    return lame_lambda * eps.trace() * sp.eye(eps.rows) + E / (1 + nu) * eps


def _strain_in(u: Any, d: int, what: str) -> Any:
    eps = strain(u)
    if eps.rows != d:
        other = "plane_stress or plane_strain" if d == 3 else "elastic_stress"
        raise StatementError(f"{what} is for {d} dimensions, the displacement has {eps.rows}; use {other}")
    return eps


def _matrix(stress: Any) -> Any:
    if not isinstance(stress, sp.MatrixBase) or stress.shape not in ((2, 2), (3, 3)):
        shape = f"of shape {stress.shape}" if isinstance(stress, sp.MatrixBase) else f"the scalar {stress}"
        raise StatementError(f"a stress {shape}; give a matrix (2, 2) or (3, 3)")
    return stress
