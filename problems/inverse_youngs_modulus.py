"""How stiff is a plate with a hole? Its Young's modulus from displacements under a known load, a task of KINN (arXiv 2406.11045).

The plate of `plate_with_hole.py` (a quarter, plane stress, nu = 0.3 known) under its traction of 100; E is unknown (truth
1000). From the field of displacements KINN finds 1102 with a KAN and 1035 with an MLP, without noise, in two stages.

The data (data/inverse_youngs_modulus.csv) are displacements at 120 places all over the plate at the true E, by finite
elements with an estimated relative error below 1e-5. `python problems/inverse_youngs_modulus.py` makes the file.
Options: `noise` is the standard deviation of a reading relative to the largest displacement (0.01; 0 takes the data as they
are), `draw` another draw of it, `length` stretches the plate, `size` scales the displacement (with the traction), `shift`
moves the plate.
"""

import csv
from pathlib import Path

import numpy as np

import kinn
from kinn import div

MESH = Path(__file__).parent / "meshes" / "plate_with_hole.msh"
FILE = Path(__file__).parent / "data" / "inverse_youngs_modulus.csv"
YOUNG, POISSON = 1000, 0.3
RADIUS, WIDTH, TRACTION = 5, 20, 100
PLACES = 120


def statement(length, size, shift):
    """Mesh, displacement, equations, conditions and the unknown."""
    mesh = kinn.Mesh.read(MESH).moved(length, shift)
    u = kinn.Field("u", mesh, components=2)
    young = kinn.Parameter("E", guess=300, lower=0)
    stress = kinn.physics.plane_stress(u, young, POISSON)
    conditions = [
        kinn.Dirichlet(u[0], 0, on="left"),
        kinn.Dirichlet(u[1], 0, on="bottom"),
        kinn.Neumann(stress, [TRACTION * size / length, 0], on="right"),
        kinn.Neumann(stress, 0, on=("top", "hole")),
    ]
    return mesh, u, {"equilibrium": -div(stress)}, conditions, young


def problem(noise=0.01, draw=0, length=1.0, size=1.0, shift=0.0):
    mesh, u, equations, conditions, young = statement(length, size, shift)
    random, data = np.random.default_rng(draw), []
    clean = [kinn.Observations.read(c, FILE, value=name) for c, name in zip(u, ("u_x", "u_y"), strict=True)]
    sigma = noise * max(float(np.abs(one.values).max()) for one in clean)
    for component, one in zip(u, clean, strict=True):
        values = size * (one.values + sigma * random.standard_normal(len(one)))
        points = shift + length * one.points
        data.append(kinn.Observations(component, points, values, sigma=size * sigma if noise else None))
    return kinn.Problem(mesh, equations, conditions, data, exact={young: YOUNG})


def reference(problem):
    return {"E": YOUNG, "u": kinn.fem.solve(problem, tolerance=4e-4, parameters={"E": YOUNG})}


def places():
    """Points (n, 2) drawn all over the plate, none nearer to its sides or the hole than 0.2."""
    points = np.random.default_rng(2026).uniform(0.2, WIDTH - 0.2, (2 * PLACES, 2))
    return points[np.hypot(*points.T) > RADIUS + 0.2][:PLACES].round(3)


def make_data():
    mesh, _, equations, conditions, young = statement(length=1.0, size=1.0, shift=0.0)
    plain = kinn.Problem(mesh, equations, conditions)
    values = kinn.fem.solve(plain, tolerance=1e-5, parameters={young.name: YOUNG})(places())
    with FILE.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["x", "y", "u_x", "u_y"])
        for point, (along, up) in zip(places(), values, strict=True):
            writer.writerow([*point, f"{along:.7f}", f"{up:.7f}"])


if __name__ == "__main__":
    make_data()
