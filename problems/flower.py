"""Laplace's equation in a flower of five half disks, a curved outline of KINN (arXiv 2406.11045), all values given.

Half disks of radius 1 on the sides of a regular pentagon (meshes/flower.msh, second order). Exact solution
u = sin(x) sinh(y) + cos(x) cosh(y): smooth, though the outline is re-entrant where petals meet. KINN reports relative L2 errors
of 5.4e-3 (KAN) and 2.9e-4 (MLP), both by boundary integrals: there the KAN loses.
Options: `length` stretches the domain, `size` scales the field, `shift` moves the domain.
"""

from pathlib import Path

import sympy as sp

import kinn
from kinn import div, grad

FILE = Path(__file__).parent / "meshes" / "flower.msh"


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
