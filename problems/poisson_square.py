"""Poisson's equation on a square: -lap u = 2 pi^2 sin(pi x) sin(pi y) on [-1, 1]^2, u = 0 on the boundary.

Exact solution u = sin(pi x) sin(pi y); the smooth standard case, as in arXiv 2406.11045 and most of the literature.
Options: `length` stretches the domain, `size` scales the field, `shift` moves the domain.
"""

import sympy as sp

import kinn
from kinn import div, grad


def exact(mesh, length, size, shift):
    x, y = mesh.coordinates
    return size * sp.sin(sp.pi * (x - shift) / length) * sp.sin(sp.pi * (y - shift) / length)


def problem(length=1.0, size=1.0, shift=0.0):
    mesh = kinn.Mesh.box((shift - length, shift - length), (shift + length, shift + length))
    u = kinn.Field("u", mesh)
    solution = exact(mesh, length, size, shift)
    return kinn.Problem(
        mesh,
        equations={"poisson": -div(grad(u)) - 2 * sp.pi**2 / length**2 * solution},
        conditions=[kinn.Dirichlet(u, 0, on="boundary")],
        exact={u: solution},
    )


def reference(problem):
    return problem.exact
