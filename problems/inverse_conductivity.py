"""How well does a plate conduct, and how well does its edge cool? Two unknowns from 20 thermometers.

A plate of 2 m x 1 m is held at 20 degrees on its left side, insulated at the bottom and at the top, and gives off heat
on its right side to air of 20 degrees: k dT/dn = h (20 - T). A known heater q = 275 exp(-r^2 / 0.8^2) W/m^3, r the
distance in m from (1.5, 0.5), warms it. Unknown are the conductivity k (truth 2.5 W/m/K) and the heat transfer
coefficient h (truth 5 W/m^2/K).

The data (data/inverse_conductivity.csv) are temperatures at the true parameters, by finite elements with an estimated
relative error below 1e-5, column `clean`, and with Gaussian noise of 0.5 K, 1 % of the range of the temperature in the
plate, column `T`. `python problems/inverse_conductivity.py` makes the file. By the sensitivities of the finite element
solution such data determine k to 0.6 % and h to 0.9 % (standard deviations).
Options: `draw` takes another draw of the noise (0 is that of the file), `length` stretches the plate (k keeps its
value, so h becomes h / length), `size` scales the temperature, `shift` moves the plate.
"""

import csv
from pathlib import Path

import numpy as np
import sympy as sp

import kinn
from kinn import div, grad

FILE = Path(__file__).parent / "data" / "inverse_conductivity.csv"
CONDUCTIVITY, TRANSFER = 2.5, 5.0
HEATING, CENTER, WIDTH = 275.0, (1.5, 0.5), 0.8
OUTSIDE = 20.0
NOISE = 0.5


def plate(length, size, shift):
    """Mesh, temperature, equations, conditions and true parameters."""
    mesh = kinn.Mesh.box((shift, shift), (shift + 2 * length, shift + length))
    x, y = mesh.coordinates
    temperature = kinn.Field("T", mesh)
    k = kinn.Parameter("k", guess=1.2, lower=0)
    h = kinn.Parameter("h", guess=10 / length, lower=0)
    flux = k * grad(temperature)
    squared = ((x - shift) / length - CENTER[0]) ** 2 + ((y - shift) / length - CENTER[1]) ** 2
    heater = HEATING * size / length**2 * sp.exp(-squared / WIDTH**2)
    conditions = [
        kinn.Dirichlet(temperature, OUTSIDE * size, on="left"),
        kinn.Neumann(flux, 0, on=("bottom", "top")),
        kinn.Robin(flux, temperature, h, OUTSIDE * size, on="right"),
    ]
    return mesh, temperature, {"heat": -div(flux) - heater}, conditions, {k: CONDUCTIVITY, h: TRANSFER / length}


def problem(draw=0, length=1.0, size=1.0, shift=0.0):
    mesh, temperature, equations, conditions, truths = plate(length, size, shift)
    data = kinn.Observations.read(temperature, FILE, value="T" if draw == 0 else "clean", sigma=NOISE)
    noise = 0.0 if draw == 0 else NOISE * np.random.default_rng(draw).standard_normal(len(data))
    points, values = shift + length * data.points, size * (data.values + noise)
    readings = kinn.Observations(temperature, points, values, sigma=NOISE * size)
    return kinn.Problem(mesh, equations, conditions, [readings], exact=truths)


def reference(problem):
    truths = {parameter.name: float(value) for parameter, value in problem.exact.items()}
    return {**truths, "T": kinn.fem.solve(problem, tolerance=1e-4, parameters=truths)}


def quantities(problem):
    """The heat that leaves on the right per thickness, by a Gauss rule along the side, and the highest temperature."""
    mesh = problem.mesh
    nodes, weights = np.polynomial.legendre.leggauss(12)
    half = (mesh.upper[1] - mesh.lower[1]) / 2
    side = np.column_stack([np.full(len(nodes), mesh.upper[0]), mesh.lower[1] + half * (nodes + 1)])
    (temperature,) = problem.components

    def heat_to_air(solution):
        k = solution.parameters["k"].estimate
        return -k * half * weights @ solution.evaluate(temperature.diff(mesh.coordinates[0]), side)

    return {"heat to air": heat_to_air, "peak": lambda solution: solution(mesh.points).max()}


def sensors():
    """Three columns of four thermometers inside, and eight along the right side."""
    x, y = np.meshgrid([0.6, 1.0, 1.4], [0.125, 0.375, 0.625, 0.875], indexing="ij")
    side = np.column_stack([np.full(8, 2.0), (np.arange(8) + 0.5) / 8])
    return np.concatenate([np.column_stack([x.ravel(), y.ravel()]), side])


def make_data():
    mesh, _, equations, conditions, truths = plate(length=1.0, size=1.0, shift=0.0)
    parameters = {parameter.name: value for parameter, value in truths.items()}
    clean = kinn.fem.solve(kinn.Problem(mesh, equations, conditions), tolerance=1e-5, parameters=parameters)(sensors())
    noisy = clean + NOISE * np.random.default_rng(0).standard_normal(len(clean))
    with FILE.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["x", "y", "T", "clean"])
        for point, value, exact in zip(sensors(), noisy, clean, strict=True):
            writer.writerow([*point, f"{value:.3f}", f"{exact:.6f}"])


if __name__ == "__main__":
    make_data()
