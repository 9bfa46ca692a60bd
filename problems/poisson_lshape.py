"""Poisson's equation on an L: -lap u = 1, u = 0 on the whole boundary, from a mesh file.

[-1, 1]^2 without its lower right quarter (meshes/lshape.msh, made with Gmsh). At the re-entrant corner u grows like
r^(2/3), so second derivatives are unbounded and a strong residual trains to a wrong function. The reference is the
finite element solution of the same statement on a mesh graded towards the corner.
Options: `length` stretches the domain, `size` scales the field, `shift` moves the domain.
"""

from pathlib import Path

import kinn
from kinn import div, grad

FILE = Path(__file__).parent / "meshes" / "lshape.msh"


def problem(length=1.0, size=1.0, shift=0.0):
    file = kinn.Mesh.read(FILE)
    points = shift + length * file.points
    mesh = kinn.Mesh(points, file.cells, file.cell_type, file.boundaries, file.subdomains)
    u = kinn.Field("u", mesh)
    return kinn.Problem(
        mesh,
        equations={"poisson": -div(grad(u)) - size / length**2},
        conditions=[kinn.Dirichlet(u, 0, on="wall")],
    )


def reference(problem):
    return kinn.fem.solve(problem, tolerance=3e-4)


def quantities(problem):
    """The integral of u, a quarter of the torsion constant of this section, and the largest value at a vertex."""
    (u,) = problem.components
    return {"integral": u, "peak": lambda solution: solution(problem.mesh.points).max()}
