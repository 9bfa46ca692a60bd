"""Helmholtz's equation with a fast direction: lap u + u = q on [-1, 1]^2, u = 0 on the boundary.

Exact solution u = sin(pi x) sin(4 pi y): one wave along x, four along y, the standard test of networks that prefer slow
functions (case (1, 4) of arXiv 2001.04536, with zero boundary values since the exact solution vanishes there).
Options: `length` stretches the domain, `size` scales the field, `shift` moves the domain.
"""

import sympy as sp

import kinn
from kinn import div, grad


def exact(mesh, length, size, shift):
    x, y = mesh.coordinates
    return size * sp.sin(sp.pi * (x - shift) / length) * sp.sin(4 * sp.pi * (y - shift) / length)


def problem(length=1.0, size=1.0, shift=0.0):
    mesh = kinn.Mesh.box((shift - length, shift - length), (shift + length, shift + length))
    u = kinn.Field("u", mesh)
    solution = exact(mesh, length, size, shift)
    source = (1 - 17 * sp.pi**2) / length**2 * solution
    return kinn.Problem(
        mesh,
        equations={"helmholtz": div(grad(u)) + u / length**2 - source},
        conditions=[kinn.Dirichlet(u, 0, on="boundary")],
        exact={u: solution},
    )


def reference(problem):
    return problem.exact
