"""A diffusion coefficient from noisy values of the solution: the benchmark PInv (arXiv 2306.08827) with its source put right.

-div(a grad u) = f in the unit square with u = 0 around it and a known there; a(x, y) is unknown inside. The truth is
u = sin(pi x) sin(pi y), a = 1 / (1 + x^2 + y^2 + (x - 1)^2 + (y - 1)^2); f follows from them. As published the source holds
2 x + 1 and 2 y + 1 where the derivative of a has 2 x - 1 and 2 y - 1, so that its stated solution does not solve it.

The data (data/inverse_poisson_coefficient.csv) are u at 50 x 50 points, column `clean`, and with Gaussian noise of 0.1,
column `u`. `python problems/inverse_poisson_coefficient.py` makes the file. The quantity "stacked error" is the relative L2
error of u and a together, as published figures are.
Options: `noise` (0.1; 0 takes the data as they are), `draw` another draw of it, `length` stretches the square, `size` scales
u (with the source), `shift` moves the square.
"""

import csv
from pathlib import Path

import numpy as np
import sympy as sp

import kinn
from kinn import div, grad

FILE = Path(__file__).parent / "data" / "inverse_poisson_coefficient.csv"
NOISE, POINTS = 0.1, 50
AROUND = 50  # values of a on each side, known to 1e-3 beside noise and to 1e-5 without


def truth(x, y, size=1.0):
    """u and a of coordinates of the unit square."""
    return size * sp.sin(sp.pi * x) * sp.sin(sp.pi * y), 1 / (1 + x**2 + y**2 + (x - 1) ** 2 + (y - 1) ** 2)


def problem(noise=NOISE, draw=0, length=1.0, size=1.0, shift=0.0):
    mesh = kinn.Mesh.box((shift, shift), (shift + length, shift + length))
    x, y = ((axis - shift) / length for axis in mesh.coordinates)
    exact, coefficient = truth(x, y, size)
    u = kinn.Field("u", mesh)
    a = kinn.Field("a", mesh, guess=0.4, lower=0)
    source = -div(coefficient * grad(exact)).doit()
    file_noise = noise == NOISE and draw == 0
    readings = kinn.Observations.read(u, FILE, value="u" if file_noise else "clean", sigma=noise or None)
    values = readings.values
    if noise and not file_noise:
        values = values + noise * np.random.default_rng(draw).standard_normal(len(values))
    side = np.arange(AROUND) / AROUND
    zero, one = np.zeros(AROUND), np.ones(AROUND)
    rim = np.concatenate(
        [np.column_stack(pair) for pair in ((side, zero), (one, side), (1 - side, one), (zero, 1 - side))]
    )
    known = np.array([float(truth(*place)[1]) for place in rim])
    data = [
        kinn.Observations(u, shift + length * readings.points, size * values, sigma=size * noise if noise else None),
        kinn.Observations(a, shift + length * rim, known, sigma=1e-3 if noise else 1e-5),
    ]
    equations = {"diffusion": -div(a * grad(u)) - source}
    return kinn.Problem(mesh, equations, [kinn.Dirichlet(u, 0, on="boundary")], data, exact={u: exact, a: coefficient})


def reference(problem):
    return {component.name: problem.exact[component] for component in problem.components}


def quantities(problem):
    mesh = problem.mesh
    x, y = np.meshgrid(*((np.arange(101) / 100,) * 2))
    points = np.column_stack([x.ravel(), y.ravel()]) * (mesh.upper - mesh.lower) + mesh.lower
    exact = sp.lambdify(mesh.coordinates, [problem.exact[c] for c in problem.components])
    true = np.concatenate(np.broadcast_arrays(*exact(*points.T)))

    def stacked(solution):
        found = np.concatenate([solution.evaluate(c, points) for c in problem.components])
        return np.linalg.norm(found - true) / np.linalg.norm(true)

    return {"stacked error": stacked}


def make_data():
    grid = np.linspace(0, 1, POINTS)
    x, y = (axis.ravel() for axis in np.meshgrid(grid, grid, indexing="ij"))
    clean = np.sin(np.pi * x) * np.sin(np.pi * y)
    noisy = clean + NOISE * np.random.default_rng(0).standard_normal(len(clean))
    with FILE.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["x", "y", "u", "clean"])
        for row in zip(x, y, noisy, clean, strict=True):
            writer.writerow([f"{value:.8g}" for value in row])


if __name__ == "__main__":
    make_data()
