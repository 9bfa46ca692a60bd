"""One training for a family: a plate under tension for every Poisson's ratio between 0.2 and 0.4, plane stress.

The plate [0, 2] x [0, 1], E = 1000, times an interval of nu as one more coordinate. It slides without friction along its
left side (a line of symmetry), its bottom (another) and a rigid guide at the top; a traction of 100 (1 - y^2)^2 pulls at
the right. The guide presses by what Poisson's ratio says, so that u depends on nu nonlinearly. The stress is bounded at
all corners, where the plate can be continued by reflection.
The reference solves five finite element problems and interpolates between them in nu.
Options: `length` stretches the plate, `size` scales the displacement (E stays, so the traction is size / length), `shift`
moves the plate.
"""

import numpy as np

import kinn
from kinn import div

YOUNG = 1000
TRACTION = 100
LOWEST, HIGHEST = 0.2, 0.4
RATIOS = 0.3 + 0.1 * np.cos(np.pi * (2 * np.arange(5) + 1) / 10)  # Chebyshev's points, where the reference is solved
UNSEEN = (0.21, 0.26, 0.3, 0.35, 0.39)  # where it is asked


def statement(mesh, nu, lower, length, size):
    """The plate with the Poisson's ratio `nu`, a number or a coordinate."""
    u = kinn.Field("u", mesh, components=2)
    y = (mesh.coordinates[1] - lower) / length
    stress = kinn.physics.plane_stress(u, YOUNG, nu)
    return kinn.Problem(
        mesh,
        equations={"equilibrium": -div(stress)},
        conditions=[
            kinn.Dirichlet(u[0], 0, on="left"),
            kinn.Dirichlet(u[1], 0, on=("bottom", "top")),
            kinn.Neumann(stress, [TRACTION * size / length * (1 - y**2) ** 2, 0], on="right"),
        ],
    )


def plate(length, shift, cells):
    return kinn.Mesh.box((shift, shift), (shift + 2 * length, shift + length), cells=cells)


def problem(length=1.0, size=1.0, shift=0.0):
    mesh = plate(length, shift, cells=(8, 4)) * kinn.Interval("nu", LOWEST, HIGHEST, cells=4)
    return statement(mesh, mesh.coordinates[2], shift, length, size)


def reference(problem):
    """Finite elements at five values of nu, interpolated; the solution is analytic in nu, so this adds about 1e-6."""
    mesh = problem.mesh
    (x_lower, lower, _), length = mesh.lower, mesh.upper[1] - mesh.lower[1]
    traction = problem.conditions[2].value[0].subs(mesh.coordinates[1], lower)
    size = float(traction) * length / TRACTION
    space = plate(length, x_lower, cells=(16, 8))
    family = [kinn.fem.solve(statement(space, nu, lower, length, size), tolerance=1e-3) for nu in RATIOS]

    def displacement(points):
        members = np.stack([member(points[:, :2]) for member in family])
        return np.einsum("kn,knc->nc", lagrange(points[:, 2]), members)

    return {"u": displacement}


def lagrange(nu):
    """The polynomials (5, n) that are 1 at one of the RATIOS and 0 at the others."""
    others = [np.delete(RATIOS, k) for k in range(len(RATIOS))]
    return np.stack([np.prod((nu[:, None] - o) / (r - o), axis=1) for r, o in zip(RATIOS, others, strict=True)])


def quantities(problem):
    """How far the middle of the right side is pulled, at five values of nu."""
    mesh = problem.mesh
    along = problem.components[0]
    places = np.array([[mesh.upper[0], (mesh.lower[1] + mesh.upper[1]) / 2, nu] for nu in UNSEEN])

    def pull(k):
        return lambda solution: solution.evaluate(along, places[[k]])[0]

    return {f"pull at nu = {nu}": pull(k) for k, nu in enumerate(UNSEEN)}
