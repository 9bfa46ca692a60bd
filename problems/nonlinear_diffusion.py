"""Diffusion faster where u is large: -div((1 + u^2) grad u) = f on [0, 1]^2, u = 0 on the boundary.

Manufactured solution u = sin(pi x) sin(pi y); f is what SymPy finds by substituting it.
Options: `length` stretches the domain, `size` scales the field (the law becomes 1 + (u / size)^2), `shift` moves the
domain.
"""

import sympy as sp

import kinn
from kinn import div, grad


def flux(u, mesh, size):
    return (1 + (u / size) ** 2) * grad(u, mesh)


def problem(length=1.0, size=1.0, shift=0.0):
    mesh = kinn.Mesh.box((shift, shift), (shift + length, shift + length))
    x, y = mesh.coordinates
    u = kinn.Field("u", mesh)
    solution = size * sp.sin(sp.pi * (x - shift) / length) * sp.sin(sp.pi * (y - shift) / length)
    source = -div(flux(solution, mesh, size)).doit()
    return kinn.Problem(
        mesh,
        equations={"diffusion": -div(flux(u, mesh, size)) - source},
        conditions=[kinn.Dirichlet(u, 0, on="boundary")],
        exact={u: solution},
    )


def reference(problem):
    return problem.exact


def quantities(problem):
    """What flows out through the boundary, where u = 0 and the law is 1; and the peak."""
    mesh = problem.mesh
    (u,) = problem.components
    middle = (mesh.lower + mesh.upper) / 2
    return {"outflow": -grad(u).dot(mesh.normal), "peak": lambda solution: solution(middle)}
