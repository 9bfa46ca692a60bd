"""Where does the heat come from? An unknown source in a plate from a picture of its temperature.

-Laplace(T) = q on a plate of 1 m x 1 m (divided by the conductivity) that is held at 0 around; q(x, y) is unknown, the truth
two warm spots, q = 50 exp(-|p - (0.35, 0.4)|^2 / 0.3^2) + 30 exp(-|p - (0.7, 0.65)|^2 / 0.22^2) K/m^2.

The data (data/inverse_source.csv) are temperatures at 1600 places (a thermal camera), by finite elements with an estimated relative error below
1e-5. `python problems/inverse_source.py` makes the file.
Options: `noise` is the standard deviation of a reading relative to the largest temperature (0.01; 0 takes the data as they
are), `draw` another draw of it, `length` stretches the plate, `size` scales the temperature, `shift` moves the plate.
"""

import csv
from pathlib import Path

import numpy as np
import sympy as sp

import kinn
from kinn import div, grad

FILE = Path(__file__).parent / "data" / "inverse_source.csv"
SPOTS = ((50, 0.35, 0.4, 0.3), (30, 0.7, 0.65, 0.22))
PLACES = 1600


def truth(x, y):
    """The source at coordinates of the unit square."""
    return sp.Add(*(q * sp.exp(-((x - a) ** 2 + (y - b) ** 2) / r**2) for q, a, b, r in SPOTS))


def problem(noise=0.01, draw=0, length=1.0, size=1.0, shift=0.0):
    mesh = kinn.Mesh.box((shift, shift), (shift + length, shift + length))
    temperature, source = kinn.Field("T", mesh), kinn.Field("q", mesh)
    clean = kinn.Observations.read(temperature, FILE)
    sigma = noise * float(np.abs(clean.values).max())
    values = clean.values + sigma * np.random.default_rng(draw).standard_normal(len(clean))
    readings = kinn.Observations(
        temperature, shift + length * clean.points, size * values, sigma=size * sigma if noise else None
    )
    conditions = [kinn.Dirichlet(temperature, 0, on="boundary")]
    exact = {source: size / length**2 * truth(*((x - shift) / length for x in mesh.coordinates))}
    return kinn.Problem(mesh, {"heat": -div(grad(temperature)) - source}, conditions, [readings], exact=exact)


def reference(problem):
    """The true source, and finite elements for the temperature that it makes."""
    mesh, (source,) = problem.mesh, problem.exact.values()
    temperature = kinn.Field("T", mesh)
    plain = kinn.Problem(
        mesh, {"heat": -div(grad(temperature)) - source}, [kinn.Dirichlet(temperature, 0, on="boundary")]
    )
    return {"q": source, "T": kinn.fem.solve(plain, tolerance=1e-4)}


def make_data():
    mesh = kinn.Mesh.box((0, 0), (1, 1))
    temperature = kinn.Field("T", mesh)
    equations = {"heat": -div(grad(temperature)) - truth(*mesh.coordinates)}
    plain = kinn.Problem(mesh, equations, [kinn.Dirichlet(temperature, 0, on="boundary")])
    places = np.random.default_rng(2026).uniform(0.02, 0.98, (PLACES, 2)).round(4)
    with FILE.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["x", "y", "T"])
        for place, value in zip(places, kinn.fem.solve(plain, tolerance=1e-5)(places), strict=True):
            writer.writerow([*place, f"{value:.7f}"])


if __name__ == "__main__":
    make_data()
