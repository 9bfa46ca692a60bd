"""Laplace's equation in Koch's snowflake after two steps, a complex outline of KINN (arXiv 2406.11045), all values given.

48 edges of length 1/3 (meshes/koch_snowflake.msh). Exact solution u = sin(x) sinh(y) + cos(x) cosh(y): smooth, though the outline
has re-entrant corners. KINN reports relative L2 errors of 1.19e-2 (KAN, strong form) and 1.28e-2 (MLP, energy).
Options: `length` stretches the domain, `size` scales the field, `shift` moves the domain.
"""

from pathlib import Path

import sympy as sp

import kinn
from kinn import div, grad

FILE = Path(__file__).parent / "meshes" / "koch_snowflake.msh"


def problem(length=1.0, size=1.0, shift=0.0):
    mesh = kinn.Mesh.read(FILE).moved(length, shift)
    x, y = ((s - shift) / length for s in mesh.coordinates)
    u = kinn.Field("u", mesh)
    solution = size * (sp.sin(x) * sp.sinh(y) + sp.cos(x) * sp.cosh(y))
    return kinn.Problem(
        mesh,
        equations={"laplace": -div(grad(u))},
        conditions=[kinn.Dirichlet(u, solution, on="edge")],
        exact={u: solution},
    )


def reference(problem):
    return problem.exact
