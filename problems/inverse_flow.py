"""How viscous is a fluid, and what is its pressure? Both from scattered velocities of a channel flow past an obstacle.

The steady Navier-Stokes equations, density 1, in a channel of 3 x 1 with a round obstacle of radius 0.15
(meshes/inverse_flow.msh, second order): a developed flow of mean velocity 1 enters, walls and obstacle stop it, at the outlet
viscosity du/dn - p n = 0. The viscosity is 0.02 (Reynolds number 15 of the obstacle). Nothing is known of the pressure; on a
cylinder wake with clean data a PINN finds 4.7 % too much viscosity (Raissi et al., doi:10.1016/j.jcp.2018.10.045).

The data (data/inverse_flow.csv) are both velocities at 600 places in the fluid, by finite elements (Taylor-Hood) with an
estimated relative error below 1e-4. `python problems/inverse_flow.py` makes the file.
Options: `noise` is the standard deviation of a reading relative to the largest velocity (0.01; 0 takes the data as they
are), `draw` another draw of it, `length` stretches the channel (and the viscosity), `size` scales velocity and pressure (the
density is divided by it), `shift` moves the channel.
"""

import csv
from pathlib import Path

import numpy as np

import kinn

MESH = Path(__file__).parent / "meshes" / "inverse_flow.msh"
FILE = Path(__file__).parent / "data" / "inverse_flow.csv"
VISCOSITY, PLACES = 0.02, 600
CENTER, RADIUS = (0.75, 0.45), 0.15


def statement(length, size, shift):
    """Mesh, velocity, pressure, equations, conditions and the unknown viscosity."""
    mesh = kinn.Mesh.read(MESH).moved(length, shift)
    u, p = kinn.Field("u", mesh, components=2), kinn.Field("p", mesh)
    viscosity = kinn.Parameter("viscosity", guess=0.1 * length, lower=0)
    height = (mesh.coordinates[1] - shift) / length
    conditions = [
        kinn.Dirichlet(u, [6 * size * height * (1 - height), 0], on="inlet"),
        kinn.Dirichlet(u, 0, on=("walls", "obstacle")),
        kinn.Neumann(kinn.physics.viscous_stress(u, p, viscosity, symmetric=False), 0, on="outlet"),
    ]
    equations = kinn.physics.navier_stokes(u, p, viscosity, 1 / size, symmetric=False)
    return mesh, u, equations, conditions, viscosity


def problem(noise=0.01, draw=0, length=1.0, size=1.0, shift=0.0):
    mesh, u, equations, conditions, viscosity = statement(length, size, shift)
    random, data = np.random.default_rng(draw), []
    clean = [kinn.Observations.read(c, FILE, value=name) for c, name in zip(u, ("u_x", "u_y"), strict=True)]
    sigma = noise * max(float(np.abs(one.values).max()) for one in clean)
    for component, one in zip(u, clean, strict=True):
        values = size * (one.values + sigma * random.standard_normal(len(one)))
        points = shift + length * one.points
        data.append(kinn.Observations(component, points, values, sigma=size * sigma if noise else None))
    return kinn.Problem(mesh, equations, conditions, data, exact={viscosity: VISCOSITY * length})


def reference(problem):
    ((_, viscosity),) = problem.exact.items()
    solution = kinn.fem.solve(problem, tolerance=1e-3, parameters={"viscosity": float(viscosity)})
    return {"viscosity": viscosity, "u": solution, "p": solution}


def derived(problem):
    """The velocity by itself."""
    return {"velocity": list(problem.fields["u"])}


def places():
    """Points (n, 2) drawn all over the fluid, none nearer to a wall than 0.02."""
    points = np.random.default_rng(2026).uniform((0.02, 0.02), (2.98, 0.98), (2 * PLACES, 2))
    return points[np.hypot(*(points - CENTER).T) > RADIUS + 0.02][:PLACES].round(4)


def make_data():
    mesh, u, equations, conditions, viscosity = statement(length=1.0, size=1.0, shift=0.0)
    plain = kinn.Problem(mesh, equations, conditions)
    found = kinn.fem.solve(plain, tolerance=1e-4, parameters={viscosity.name: VISCOSITY})
    with FILE.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["x", "y", "u_x", "u_y"])
        for point, (along, up) in zip(places(), found.evaluate(list(u), places()), strict=True):
            writer.writerow([*point, f"{along:.6f}", f"{up:.6f}"])


if __name__ == "__main__":
    make_data()
