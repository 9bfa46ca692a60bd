"""A bar of two materials: -(k u')' = pi^2 sin(pi x) on [0, 1], k = 1 for x < 1/2 and 10 beyond, u = 0 at both ends.

Exact solution: k u' = pi cos(pi x) + c in both halves, so u = (sin(pi x) + c x) / k + a constant in each; c and the constant
follow from u(1) = 0 and a continuous u. The slope jumps by a factor of 10 at the interface, where the flux is continuous: a
smooth function cannot follow it, and a strong residual does not see it.
Options: `length` stretches the bar, `size` scales the field, `shift` moves the bar.
"""

import numpy as np
import sympy as sp

import kinn
from kinn import div, grad

LEFT, RIGHT = 1, 10
CELLS = 20


def exact(x):
    """The solution in both halves for length and size 1."""
    c, d = sp.symbols("c d")
    left, right = (sp.sin(sp.pi * x) + c * x) / LEFT, (sp.sin(sp.pi * x) + c * x) / RIGHT + d
    half = sp.Rational(1, 2)
    found = sp.solve([right.subs(x, 1), (left - right).subs(x, half)], [c, d])
    return left.subs(found), right.subs(found)


def problem(length=1.0, size=1.0, shift=0.0):
    numbers = np.arange(CELLS + 1)
    mesh = kinn.Mesh(
        (shift + length * numbers / CELLS)[:, None],
        np.column_stack([numbers[:-1], numbers[1:]]),
        "line",
        boundaries={"left": [0], "right": [CELLS], "interface": [CELLS // 2]},
        subdomains={"first": numbers[: CELLS // 2], "second": numbers[CELLS // 2 : -1]},
    )
    (x,) = mesh.coordinates
    u = kinn.Field("u", mesh)
    k = kinn.Coefficient("k", mesh, {"first": LEFT, "second": RIGHT})
    s = sp.Symbol("s")
    left, right = (size * half.subs(s, (x - shift) / length) for half in exact(s))
    source = size * (sp.pi / length) ** 2 * sp.sin(sp.pi * (x - shift) / length)
    return kinn.Problem(
        mesh,
        equations={"heat": -div(k * grad(u)) - source},
        conditions=[kinn.Dirichlet(u, 0, on=("left", "right"))],
        exact={u: sp.Piecewise((left, x < shift + length / 2), (right, True))},
    )


def reference(problem):
    return problem.exact


def quantities(problem):
    """The flux that enters on the left, and u at the interface."""
    mesh = problem.mesh
    (u,) = problem.components
    ends = np.array([[mesh.lower[0]]])
    return {
        "flux": lambda solution: LEFT * solution.evaluate(u.diff(mesh.coordinates[0]), ends)[0],
        "interface": lambda solution: solution((mesh.lower + mesh.upper) / 2),
    }
