"""Heat carried by a flow: -eps lap u + u_x + u_y = X(x) + Y(y) on [0, 1]^2, u = 0 on the boundary, Peclet number 1 / eps = 100.

Exact solution u = X(x) Y(y), where -eps X'' + X' = 1, X(0) = X(1) = 0, so X = x - (e^((x - 1) / eps) - e^(-1 / eps)) /
(1 - e^(-1 / eps)), and Y the same in y. Every exponent is negative, so nothing overflows. u rises to nearly 1 and falls
to 0 within layers of width eps = 0.01 on the right and at the top.
Options: `length` stretches the domain (the velocity stays (1, 1)), `size` scales the field, `shift` moves the domain,
`peclet` is the Peclet number.
"""

import numpy as np
import sympy as sp

import kinn
from kinn import div, grad


def profile(s, peclet):
    """The solution of -X'' / peclet + X' = 1 with X(0) = X(1) = 0."""
    rest = sp.exp(-peclet)
    return s - (sp.exp(peclet * (s - 1)) - rest) / (1 - rest)


def problem(length=1.0, size=1.0, shift=0.0, peclet=100):
    mesh = kinn.Mesh.box((shift, shift), (shift + length, shift + length), cells=32)
    x, y = mesh.coordinates
    u = kinn.Field("u", mesh)
    velocity = sp.Matrix([1, 1])
    # exact numbers: SymPy would split exp(100.0 x - 10100.0) into a factor that overflows and one that is 0
    along, across = (profile((c - sp.Rational(shift)) / sp.Rational(length), sp.Rational(peclet)) for c in (x, y))
    return kinn.Problem(
        mesh,
        equations={
            "transport": -div(length / peclet * grad(u)) + velocity.dot(grad(u)) - size / length * (along + across)
        },
        conditions=[kinn.Dirichlet(u, 0, on="boundary")],
        exact={u: size * along * across},
    )


def reference(problem):
    return problem.exact


def quantities(problem):
    """The mean, and the lowest and highest values on a fine grid, which show under- and overshoot: 0 and the peak if exact."""
    mesh = problem.mesh
    (u,) = problem.components
    # Half of the lines lie in the layers.
    line = np.unique(np.concatenate([np.linspace(0, 1, 101), 1 - np.geomspace(1e-3, 0.1, 100)]))
    grid = mesh.lower + (mesh.upper - mesh.lower) * np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
    return {
        "mean": u / mesh.measure,
        "lowest": lambda solution: solution(grid).min(),
        "highest": lambda solution: solution(grid).max(),
    }
