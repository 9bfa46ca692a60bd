"""Antiplane shear of a cracked square: lap u = 0 on [-1, 1]^2 with a slit from (-1, 0) to (0, 0), its faces free of traction.

Exact solution u = sqrt(r) sin(theta / 2), -pi < theta < pi (Dirichlet on the outer sides, du/dn = 0 on both faces of the slit):
u jumps across the slit and its gradient grows like r^(-1/2) at the tip. The energy, half the integral of |grad u|^2, is
ln(1 + sqrt(2)). The mesh (meshes/crack_mode_iii.msh) has two nodes at every place of the slit but the tip. As in KINN
(arXiv 2406.11045), which gives the values on the faces too.
Options: `length` stretches the domain, `size` scales the field, `shift` moves the domain.
"""

from pathlib import Path

import numpy as np
import sympy as sp

import kinn
from kinn import div, grad

FILE = Path(__file__).parent / "meshes" / "crack_mode_iii.msh"
SIDES = [(-1, 0), (-1, 1), (1, 1), (1, -1), (-1, -1), (-1, 0)]  # around the square, from face to face


def problem(length=1.0, size=1.0, shift=0.0):
    mesh = kinn.Mesh.read(FILE).moved(length, shift)
    x, y = ((c - shift) / length for c in mesh.coordinates)
    u = kinn.Field("u", mesh)
    r = sp.sqrt(x**2 + y**2)
    # The same function written for each side, so that it is smooth along it and knows its face at (-1, 0).
    above, ahead = size * sp.sqrt((r - x) / 2), size * y / sp.sqrt(2 * (r + x))
    return kinn.Problem(
        mesh,
        equations={"equilibrium": -div(grad(u))},
        conditions=[
            kinn.Dirichlet(u, ahead, on="right"),
            kinn.Dirichlet(u, above, on=("top", "left upper")),
            kinn.Dirichlet(u, -above, on=("bottom", "left lower")),
            kinn.Neumann(grad(u), 0, on=("upper face", "lower face")),
        ],
        exact={u: size * sp.sqrt(r) * sp.sin(sp.atan2(y, x) / 2)},
    )


def reference(problem):
    return problem.exact


def quantities(problem):
    """The energy, and the intensity of the singularity: u / sqrt(r) on the upper face, 1 for length and size 1."""
    mesh = problem.mesh
    (u,) = problem.components
    tip, half = (mesh.lower + mesh.upper) / 2, (mesh.upper[0] - mesh.lower[0]) / 2
    points, weights = around_tip()

    def energy(solution):
        gradient = solution.evaluate(grad(u), tip + half * points)
        return half**2 / 2 * weights @ (gradient**2).sum(axis=1)

    near = tip + half * np.array([-0.1, 1e-6])
    return {"energy": energy, "intensity": lambda solution: solution(near) / np.sqrt(0.1 * half)}


def around_tip(order=8, pieces=6):
    """Points (n, 2) and weights (n,) on the square that integrate f / r for smooth f: triangles from the tip to the sides,
    in them Gauss rules along the side and along the ray, on which r dr / r is smooth."""
    nodes, weights = np.polynomial.legendre.leggauss(order)
    cuts = np.linspace(0, 1, pieces + 1)
    t = (cuts[:-1, None] + (nodes + 1) / 2 / pieces).ravel()
    t_weights = np.tile(weights / 2 / pieces, pieces)
    found, all_weights = [], []
    for start, end in zip(SIDES, SIDES[1:], strict=False):
        a, b = np.array(start, dtype=float), np.array(end, dtype=float)
        area = abs(a[0] * b[1] - a[1] * b[0])
        side = a + t[:, None] * (b - a)
        found.append((t[:, None, None] * side).reshape(-1, 2))
        all_weights.append((area * t * t_weights)[:, None] * t_weights)
    return np.concatenate(found), np.concatenate([w.ravel() for w in all_weights])
