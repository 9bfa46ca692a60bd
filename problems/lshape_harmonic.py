"""Laplace's equation on an L, the pure corner singularity: u = r^(2/3) sin(2 theta / 3), zero on the two edges at the corner.

[-1, 1]^2 without its lower right quarter (meshes/lshape.msh); theta is the angle from the positive x-axis, 0 to 3 pi / 2. The
exact solution is zero on the edges theta = 0 and theta = 3 pi / 2 and gives the values on the other four sides. Its
gradient grows like r^(-1/3) at the corner.
Options: `length` stretches the domain, `size` scales the field, `shift` moves the domain.
"""

from pathlib import Path

import numpy as np
import sympy as sp

import kinn
from kinn import div, grad

FILE = Path(__file__).parent / "meshes" / "lshape.msh"


def exact(x, y):
    """r^(2/3) sin(2 theta / 3), with the angle from the bisector of the L, where atan2 has no jump inside."""
    angle = sp.atan2(-x - y, y - x)
    return (x**2 + y**2) ** sp.Rational(1, 3) * sp.cos(2 * angle / 3)


def problem(length=1.0, size=1.0, shift=0.0):
    mesh = kinn.Mesh.read(FILE)
    mesh.tag("corner edges", lambda x, y: np.maximum(abs(x), abs(y)) < 0.999)
    mesh.tag("outside", lambda x, y: np.maximum(abs(x), abs(y)) > 0.999)
    mesh = mesh.moved(length, shift)
    x, y = mesh.coordinates
    u = kinn.Field("u", mesh)
    solution = size * exact((x - shift) / length, (y - shift) / length)
    return kinn.Problem(
        mesh,
        equations={"laplace": -div(grad(u))},
        conditions=[kinn.Dirichlet(u, 0, on="corner edges"), kinn.Dirichlet(u, solution, on="outside")],
        exact={u: solution},
    )


def reference(problem):
    return problem.exact


def quantities(problem):
    """The mean value of u, and the coefficient of r^(2/3) by u on the bisector a tenth from the corner."""
    mesh = problem.mesh
    (u,) = problem.components
    corner, half = (mesh.lower + mesh.upper) / 2, (mesh.upper[0] - mesh.lower[0]) / 2
    near = corner + half * np.array([-0.1, 0.1]) / np.sqrt(2)
    return {
        "mean": u / mesh.measure,
        "stress intensity": lambda solution: solution(near) / 0.1 ** (2 / 3),
    }
