"""A plate with a hole under tension, the stress concentration of KINN (arXiv 2406.11045): a quarter of it, plane stress.

[0, 20]^2 without the disk of radius 5 around the origin (meshes/plate_with_hole.msh, second order), E = 1000, nu = 0.3. A
traction of 100 pulls at x = 20; x = 0 and y = 0 are lines of symmetry, the top and the hole are free. By Abaqus as quoted
there: von Mises stress 358.3 and u_y = -0.750 at (0, 5), u_x = 1.8117 at (5, 0) and 2.7551 at (20, 0).
Options: `length` stretches the plate, `size` scales the displacement (E stays, so the traction is size / length), `shift`
moves the plate.
"""

from pathlib import Path

import numpy as np

import kinn
from kinn import div

FILE = Path(__file__).parent / "meshes" / "plate_with_hole.msh"
YOUNG, POISSON = 1000, 0.3
WIDTH, RADIUS = 20, 5
TRACTION = 100


def stress_of(u):
    return kinn.physics.plane_stress(u, YOUNG, POISSON)


def problem(length=1.0, size=1.0, shift=0.0):
    mesh = kinn.Mesh.read(FILE).moved(length, shift)
    u = kinn.Field("u", mesh, components=2)
    stress = stress_of(u)
    return kinn.Problem(
        mesh,
        equations={"equilibrium": -div(stress)},
        conditions=[
            kinn.Dirichlet(u[0], 0, on="left"),
            kinn.Dirichlet(u[1], 0, on="bottom"),
            kinn.Neumann(stress, [TRACTION * size / length, 0], on="right"),
            kinn.Neumann(stress, 0, on=("top", "hole")),
        ],
    )


def reference(problem):
    return kinn.fem.solve(problem, tolerance=4e-4)


def derived(problem):
    """The von Mises stress."""
    return {"von Mises": kinn.physics.von_mises(stress_of(problem.components))}


def quantities(problem):
    """The von Mises stress at the top of the hole, where it is highest, and displacements on the lines of symmetry."""
    mesh = problem.mesh
    unit = (mesh.upper[0] - mesh.lower[0]) / WIDTH
    (along, up), mises = problem.components, derived(problem)["von Mises"]

    def value(expression, *place):
        return lambda solution: solution.evaluate(expression, (mesh.lower + unit * np.array(place))[None])[0]

    return {
        "peak stress": value(mises, 0, RADIUS),
        "u_y at the hole": value(up, 0, RADIUS),
        "u_x at the hole": value(along, RADIUS, 0),
        "u_x at the side": value(along, WIDTH, 0),
    }
