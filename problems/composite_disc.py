"""A stiff disk in a soft square, the composite of KINN (arXiv 2406.11045): div(a grad u) = 16 r^2 on [-1, 1]^2.

a = 1/15 for r < 1/2 and 1 beyond (meshes/composite_disc.msh, second order), u given on the sides. Exact solution u = r^4 / a in
both parts, plus a constant beyond the disk that makes it continuous; the slope along r falls by a factor of 15 there. KINN
reports a relative L2 error of 1.12e-2 (KAN) and 0.10 to 0.15 (MLP) by the energy on points.
Options: `length` stretches the domain, `size` scales the field, `shift` moves the domain.
"""

from pathlib import Path

import sympy as sp

import kinn
from kinn import div, grad

FILE = Path(__file__).parent / "meshes" / "composite_disc.msh"
INSIDE, OUTSIDE, RADIUS = sp.Rational(1, 15), sp.Integer(1), sp.Rational(1, 2)


def problem(length=1.0, size=1.0, shift=0.0):
    mesh = kinn.Mesh.read(FILE).moved(length, shift)
    x, y = mesh.coordinates
    u = kinn.Field("u", mesh)
    a = kinn.Coefficient("a", mesh, {"disk": float(INSIDE), "matrix": float(OUTSIDE)})
    squared = ((x - shift) ** 2 + (y - shift) ** 2) / length**2
    inside = size * squared**2 / INSIDE
    outside = size * (squared**2 / OUTSIDE + RADIUS**4 * (1 / INSIDE - 1 / OUTSIDE))
    return kinn.Problem(
        mesh,
        equations={"balance": div(a * grad(u)) - 16 * size / length**2 * squared},
        conditions=[kinn.Dirichlet(u, outside, on="sides")],
        exact={u: sp.Piecewise((inside, squared < RADIUS**2), (outside, True))},
    )


def reference(problem):
    return problem.exact
