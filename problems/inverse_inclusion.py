"""How stiff are a block and the inclusion in it? Two moduli from displacements of one face and a load cell, in N and mm.

A block of 100 mm x 100 mm (plane strain, nu = 0.35) with a round inclusion of radius 25 mm (meshes/inverse_inclusion.msh,
second order), pressed 1 mm down by a smooth platen: u_y = -1 on the top, u_y = 0 on the bottom, u_x = 0 on the left, no
friction, the right side is free. Displacements alone determine only the ratio of the two moduli; the force on the platen
gives their size. Young's moduli are 2000 in the matrix and 6000 in the inclusion.

The data (data/inverse_inclusion.csv) are both displacements at 300 places of the free side, and the force on the top per
mm of thickness, read five times, by finite elements with an estimated relative error below 1e-5.
`python problems/inverse_inclusion.py` makes the file.
Options: `noise` is the standard deviation of a reading, relative to the largest displacement and to the force (0.01; 0
takes the data as they are), `draw` another draw of it, `length` stretches the block, `size` scales the displacement,
`shift` moves the block.
"""

import csv
from pathlib import Path

import numpy as np

import kinn
from kinn import div

MESH = Path(__file__).parent / "meshes" / "inverse_inclusion.msh"
FILE = Path(__file__).parent / "data" / "inverse_inclusion.csv"
YOUNG, POISSON = {"matrix": 2000, "inclusion": 6000}, 0.35
SIDE, PRESSED = 100, 1
PLACES, WEIGHINGS = 300, 5


def statement(length, size, shift):
    """Mesh, displacement, equations, conditions, the unknowns and the force on the top."""
    mesh = kinn.Mesh.read(MESH).moved(length, shift)
    u = kinn.Field("u", mesh, components=2)
    moduli = {part: kinn.Parameter(f"E_{part}", guess=3000, lower=0) for part in YOUNG}
    stress = kinn.physics.plane_strain(u, kinn.Coefficient("E", mesh, moduli), POISSON)
    conditions = [
        kinn.Dirichlet(u[0], 0, on="left"),
        kinn.Dirichlet(u[1], 0, on="bottom"),
        kinn.Dirichlet(u[1], -PRESSED * size, on="top"),
        kinn.Neumann(stress, 0, on="right"),
    ]
    force = kinn.Integral(kinn.physics.traction(stress, mesh.normal)[1], over="top")
    return mesh, u, {"equilibrium": -div(stress)}, conditions, moduli, force


def problem(noise=0.01, draw=0, length=1.0, size=1.0, shift=0.0):
    mesh, u, equations, conditions, moduli, force = statement(length, size, shift)
    random, data = np.random.default_rng(draw), []
    clean = [kinn.Observations.read(c, FILE, value=name) for c, name in zip(u, ("u_x", "u_y"), strict=True)]
    sigma = noise * max(float(np.abs(one.values).max()) for one in clean)
    for component, one in zip(u, clean, strict=True):
        values = size * (one.values + sigma * random.standard_normal(len(one)))
        points = shift + length * one.points
        data.append(kinn.Observations(component, points, values, sigma=size * sigma if noise else None))
    # stress goes with 1 / length, the side with length
    weight = size * float(kinn.Observations.read(force, FILE, value="force").values[0])
    weighed = weight * (1 + noise * random.standard_normal(WEIGHINGS))
    data.append(kinn.Observations(force, values=weighed, sigma=noise * abs(weight) if noise else None, name="force"))
    exact = {moduli[part]: value for part, value in YOUNG.items()}
    return kinn.Problem(mesh, equations, conditions, data, exact=exact)


def reference(problem):
    truths = {f"E_{part}": value for part, value in YOUNG.items()}
    return {**truths, "u": kinn.fem.solve(problem, tolerance=1e-4, parameters=truths)}


def make_data():
    mesh, _, equations, conditions, moduli, force = statement(length=1.0, size=1.0, shift=0.0)
    plain = kinn.Problem(mesh, equations, conditions)
    truths = {moduli[part].name: value for part, value in YOUNG.items()}
    found = kinn.fem.solve(plain, tolerance=1e-5, parameters=truths)
    heights = np.linspace(0, SIDE, PLACES + 2)[1:-1].round(3)
    places = np.column_stack([np.full(PLACES, float(SIDE)), heights])
    top = np.column_stack([(np.arange(2000) + 0.5) * SIDE / 2000, np.full(2000, float(SIDE))])
    weight = SIDE * found.evaluate(force.integrand, top, np.tile([0.0, 1.0], (2000, 1))).mean()
    with FILE.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["x", "y", "u_x", "u_y", "force"])
        for point, (along, up) in zip(places, found(places), strict=True):
            writer.writerow([*point, f"{along:.7f}", f"{up:.7f}", f"{weight:.6f}"])


if __name__ == "__main__":
    make_data()
