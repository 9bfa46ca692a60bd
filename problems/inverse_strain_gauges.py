"""Two elastic constants from strain gauges: Young's modulus and Poisson's ratio of a plate with a hole under a known load.

The plate of `plate_with_hole.py` (a quarter, plane stress) under its traction of 100; E (truth 1000) and nu (truth 0.3) are unknown.
Rosettes at 12 places read the strains along x and y. Strains are derivatives of the displacement: nothing is known of it else.

The data (data/inverse_strain_gauges.csv) are strains at the true constants, by finite elements with an estimated relative error
below 1e-4. `python problems/inverse_strain_gauges.py` makes the file.
Options: `noise` is the standard deviation of a reading relative to the largest strain (0.01; 0 takes the data as they are),
`draw` another draw of it, `length` stretches the plate, `size` scales the displacement (with the traction), `shift` moves the
plate.
"""

import csv
from pathlib import Path

import numpy as np

import kinn
from kinn import div

MESH = Path(__file__).parent / "meshes" / "plate_with_hole.msh"
FILE = Path(__file__).parent / "data" / "inverse_strain_gauges.csv"
YOUNG, POISSON = 1000, 0.3
RADIUS, WIDTH, TRACTION = 5, 20, 100
COLUMNS = ("strain_x", "strain_y")


def statement(length, size, shift):
    """Mesh, displacement, equations, conditions and the unknowns with their true values."""
    mesh = kinn.Mesh.read(MESH).moved(length, shift)
    u = kinn.Field("u", mesh, components=2)
    young = kinn.Parameter("E", guess=300, lower=0)
    poisson = kinn.Parameter("nu", guess=0.1, lower=-1, upper=0.5)
    stress = kinn.physics.plane_stress(u, young, poisson)
    conditions = [
        kinn.Dirichlet(u[0], 0, on="left"),
        kinn.Dirichlet(u[1], 0, on="bottom"),
        kinn.Neumann(stress, [TRACTION * size / length, 0], on="right"),
        kinn.Neumann(stress, 0, on=("top", "hole")),
    ]
    return mesh, u, {"equilibrium": -div(stress)}, conditions, {young: YOUNG, poisson: POISSON}


def problem(noise=0.01, draw=0, length=1.0, size=1.0, shift=0.0):
    mesh, u, equations, conditions, truths = statement(length, size, shift)
    random, strain, data = np.random.default_rng(draw), kinn.physics.strain(u), []
    clean = [
        kinn.Observations.read(strain[k, k], FILE, value=name, coordinates=("x", "y")) for k, name in enumerate(COLUMNS)
    ]
    sigma = noise * max(float(np.abs(one.values).max()) for one in clean) * size / length
    for one, name in zip(clean, COLUMNS, strict=True):
        values = size / length * one.values + sigma * random.standard_normal(len(one))
        points = shift + length * one.points
        data.append(kinn.Observations(one.expression, points, values, sigma=sigma if noise else None, name=name))
    return kinn.Problem(mesh, equations, conditions, data, exact=truths)


def reference(problem):
    truths = {parameter.name: float(value) for parameter, value in problem.exact.items()}
    return {**truths, "u": kinn.fem.solve(problem, tolerance=4e-4, parameters=truths)}


def places():
    """Points (12, 2) of the gauges: around the hole, and in the plate."""
    angle = np.radians([15, 40, 65, 85])
    around = 1.25 * RADIUS * np.column_stack([np.cos(angle), np.sin(angle)])
    inside = np.stack(np.meshgrid([8.0, 12.0, 16.0, 19.0], [6.0, 14.0], indexing="ij"), -1).reshape(-1, 2)
    return np.concatenate([around, inside]).round(4)


def make_data():
    mesh, u, equations, conditions, truths = statement(length=1.0, size=1.0, shift=0.0)
    plain = kinn.Problem(mesh, equations, conditions)
    parameters = {parameter.name: value for parameter, value in truths.items()}
    strain = kinn.physics.strain(u)
    found = kinn.fem.solve(plain, tolerance=1e-4, parameters=parameters)
    values = found.evaluate([strain[0, 0], strain[1, 1]], places())
    with FILE.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["x", "y", *COLUMNS])
        for point, (along, across) in zip(places(), values, strict=True):
            writer.writerow([*point, f"{along:.7f}", f"{across:.7f}"])


if __name__ == "__main__":
    make_data()
