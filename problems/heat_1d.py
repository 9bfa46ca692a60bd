"""A rod cools down: u_t = u_xx for 0 < x < 1 and 0 < t < 1, u = sin(pi x) at first and zero at both walls.

Exact solution u = exp(-pi^2 t) sin(pi x), the first mode of Fourier's series; time is one more axis of the mesh.
Options: `length` stretches the rod (time stays, so the diffusivity is length^2), `size` scales the field, `shift` moves
the rod.
"""

import sympy as sp

import kinn
from kinn import div, grad


def problem(length=1.0, size=1.0, shift=0.0):
    mesh = kinn.Mesh.box(shift, shift + length) * kinn.Interval("t", 0, 1)
    x, t = mesh.coordinates
    u = kinn.Field("u", mesh)
    mode = size * sp.sin(sp.pi * (x - shift) / length)
    return kinn.Problem(
        mesh,
        equations={"heat": u.diff(t) - div(length**2 * grad(u))},
        conditions=[kinn.Dirichlet(u, 0, on=("left", "right")), kinn.Initial(u, mode)],
        exact={u: mode * sp.exp(-(sp.pi**2) * t)},
    )


def reference(problem):
    return problem.exact


def quantities(problem):
    """The heat that left through the walls; where time begins and ends the normal has no part along x."""
    mesh = problem.mesh
    (u,) = problem.components
    diffusivity = float(mesh.upper[0] - mesh.lower[0]) ** 2
    return {"heat lost": -diffusivity * grad(u).dot(mesh.normal)}
