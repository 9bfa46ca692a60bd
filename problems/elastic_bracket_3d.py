"""An angle bracket bends: linear elasticity in three dimensions, steel in N and mm (E = 210,000, nu = 0.3).

An angle of 60 mm x 60 mm, 30 mm wide and 12 mm thick, with a fillet of 10 mm and a hole of radius 6 mm in the lower leg
(meshes/elastic_bracket_3d.msh, tetrahedra of second order). The back of the upright leg (wall, x = 0) is clamped; a
traction of 10 MPa pulls the end of the other leg (tip, x = 60) up, a force of 3600 N. The rest is free.
Options: `length` stretches the bracket, `size` scales the displacement (E stays, so the traction is size / length),
`shift` moves the bracket.
"""

from pathlib import Path

import numpy as np

import kinn
from kinn import div

FILE = Path(__file__).parent / "meshes" / "elastic_bracket_3d.msh"
YOUNG, POISSON = 210_000, 0.3
TRACTION = 10


def stress_of(u):
    return kinn.physics.elastic_stress(u, YOUNG, POISSON)


def problem(length=1.0, size=1.0, shift=0.0):
    mesh = kinn.Mesh.read(FILE).moved(length, shift)
    u = kinn.Field("u", mesh, components=3)
    stress = stress_of(u)
    return kinn.Problem(
        mesh,
        equations={"equilibrium": -div(stress)},
        conditions=[
            kinn.Dirichlet(u, 0, on="wall"),
            kinn.Neumann(stress, [0, 0, TRACTION * size / length], on="tip"),
            kinn.Neumann(stress, 0, on=("hole", "free")),
        ],
    )


def reference(problem):
    return kinn.fem.solve(problem, tolerance=2e-2)


def derived(problem):
    """The von Mises stress."""
    return {"von Mises": kinn.physics.von_mises(stress_of(problem.components))}


def quantities(problem):
    """How far the middle of the tip goes up."""
    mesh = problem.mesh
    up = problem.components[2]
    tip = (mesh.lower + (mesh.upper - mesh.lower) * np.array([1, 0.5, 0.1]))[None]
    return {"tip deflection": lambda solution: solution.evaluate(up, tip)[0]}
