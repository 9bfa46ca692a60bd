"""How does a conductivity depend on temperature? A law k(T) from thermometers in one heated plate.

-div(k(T) grad T) = q in a plate of 1 m x 1 m, T = 0 on the left and 1 on the right (in units of 100 K), bottom and top
insulated, q = 8 exp(-|p - (0.5, 0.5)|^2 / 0.2^2) a known heater. k is unknown between 0 and 1; the truth is that of a ceramic,
k = 0.6 + 1.2 / (1 + 2 T^2).

The data (data/inverse_law.csv) are temperatures at 400 places, by finite elements with an estimated relative error below
1e-5. `python problems/inverse_law.py` makes the file. The quantity "law" is the largest ratio, or its inverse, of k to the
truth over the range of the data: 1 for a perfect law.
Options: `noise` is the standard deviation of a reading relative to the range of T (0.001; 0 takes the data as they are),
`draw` another draw of it, `length` stretches the plate, `size` scales T (with the heater), `shift` moves the plate.
"""

import csv
from pathlib import Path

import numpy as np
import sympy as sp

import kinn
from kinn import div, grad

FILE = Path(__file__).parent / "data" / "inverse_law.csv"
PLACES, LARGEST = 400, 1.0


def truth(temperature):
    """The conductivity at temperatures in the units of the file."""
    return 0.6 + 1.2 / (1 + 2 * temperature**2)


def plate(law, length=1.0, size=1.0, shift=0.0):
    """Mesh, temperature, equations and conditions for a law of the temperature."""
    mesh = kinn.Mesh.box((shift, shift), (shift + length, shift + length))
    temperature = kinn.Field("T", mesh)
    x, y = ((axis - shift) / length for axis in mesh.coordinates)
    heater = 8 * size / length**2 * sp.exp(-((x - 0.5) ** 2 + (y - 0.5) ** 2) / 0.2**2)
    flux = law(temperature) * grad(temperature)
    conditions = [
        kinn.Dirichlet(temperature, 0, on="left"),
        kinn.Dirichlet(temperature, size, on="right"),
        kinn.Neumann(flux, 0, on=("bottom", "top")),
    ]
    return mesh, temperature, {"heat": -div(flux) - heater}, conditions


def problem(noise=0.001, draw=0, length=1.0, size=1.0, shift=0.0):
    mesh, temperature, equations, conditions = plate(
        lambda temperature: kinn.law("k", temperature, 0, LARGEST * size), length, size, shift
    )
    clean = kinn.Observations.read(temperature, FILE)
    values = clean.values + noise * np.random.default_rng(draw).standard_normal(len(clean))
    readings = kinn.Observations(
        temperature, shift + length * clean.points, size * values, sigma=size * noise if noise else None
    )
    return kinn.Problem(mesh, equations, conditions, [readings])


def reference(problem):
    """Finite elements for the temperature with the true law."""
    mesh = problem.mesh
    size = float(problem.conditions[1].value[0])
    length, lower = float(mesh.upper[0] - mesh.lower[0]), float(mesh.lower[0])
    _, _, equations, conditions = plate(lambda temperature: truth(temperature / size), length, size, lower)
    return {"T": kinn.fem.solve(kinn.Problem(mesh, equations, conditions), tolerance=1e-4)}


def quantities(problem):
    (temperature,) = problem.components
    size = float(problem.conditions[1].value[0])
    law = kinn.law("k", temperature, 0, LARGEST * size)
    highest = float(problem.observations[0].values.max()) / size
    at = np.linspace(0, min(highest, LARGEST), 40)

    def worst(solution):
        if not hasattr(solution, "parameters") or "k_0" not in solution.parameters:
            return 1.0  # the reference has the true law
        here = problem.mesh.points[:1]
        found = [solution.evaluate(law.subs(temperature, size * value), here)[0] for value in at]
        return 1 + np.abs(np.array(found) / truth(at) - 1).max()

    return {"law": worst}


def make_data():
    mesh, temperature, equations, conditions = plate(truth)
    places = np.random.default_rng(2026).uniform(0.02, 0.98, (PLACES, 2)).round(4)
    found = kinn.fem.solve(kinn.Problem(mesh, equations, conditions), tolerance=1e-5)
    with FILE.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["x", "y", "T"])
        for place, value in zip(places, found(places), strict=True):
            writer.writerow([*place, f"{value:.7f}"])


if __name__ == "__main__":
    make_data()
