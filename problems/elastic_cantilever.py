"""A cantilever beam bends: plane stress on [0, 100] x [0, 10], clamped at x = 0, a shear traction of 1 downwards at x = 100.

E = 210,000 and nu = 0.3: steel in N and mm, a beam of 100 mm x 10 mm under 1 MPa. At both clamped corners the stress is
singular (about r^(-0.24)). Beam theory (Timoshenko) says that the tip goes down by P L^3 / (3 E I) + 6 P L / (5 G A) = 0.1920.
Options: `length` stretches the beam, `size` scales the displacement (E stays, so the traction is size / length), `shift`
moves the beam.
"""

import numpy as np

import kinn
from kinn import div

YOUNG, POISSON = 210_000, 0.3
LENGTH, HEIGHT = 100, 10
TRACTION = 1


def stress_of(u):
    return kinn.physics.plane_stress(u, YOUNG, POISSON)


def problem(length=1.0, size=1.0, shift=0.0):
    mesh = kinn.Mesh.box((shift, shift), (shift + LENGTH * length, shift + HEIGHT * length), cells=(40, 4))
    u = kinn.Field("u", mesh, components=2)
    stress = stress_of(u)
    return kinn.Problem(
        mesh,
        equations={"equilibrium": -div(stress)},
        conditions=[
            kinn.Dirichlet(u, 0, on="left"),
            kinn.Neumann(stress, [0, -TRACTION * size / length], on="right"),
            kinn.Neumann(stress, 0, on=("bottom", "top")),
        ],
    )


def reference(problem):
    return kinn.fem.solve(problem, tolerance=1e-4)


def derived(problem):
    """The von Mises stress."""
    return {"von Mises": kinn.physics.von_mises(stress_of(problem.components))}


def quantities(problem):
    """How far the middle of the tip goes down."""
    mesh = problem.mesh
    _, down = problem.components
    tip = np.array([[mesh.upper[0], (mesh.lower[1] + mesh.upper[1]) / 2]])
    return {"tip deflection": lambda solution: -solution.evaluate(down, tip)[0]}
