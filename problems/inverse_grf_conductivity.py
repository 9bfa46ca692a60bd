"""A random conductivity from temperatures under uniform heating, a task of KINN (arXiv 2406.11045).

-div(k grad T) = 1 in the unit square, T = 0 around it; k(x, y) is unknown: a lognormal random field whose logarithm has the
covariance tau^2 (-Laplace + tau^2)^-2 with tau = 3 and Neumann ends, here its first 20 x 20 cosines. KINN has T on a grid of
256 x 256 from finite differences, without noise; its MLP finds k to 9.8e-2.

The data (data/inverse_grf_conductivity.csv) are T at 41 x 41 points, by finite elements with an estimated relative error below
1e-5. `python problems/inverse_grf_conductivity.py` makes the file.
Options: `noise` is the standard deviation of a reading relative to the highest temperature (0.001; 0 takes the data as they
are), `draw` another draw of it, `length` stretches the square (T keeps its values, so the heating is 1 / length^2), `size`
scales T (with the heating), `shift` moves the square.
"""

import csv
from pathlib import Path

import numpy as np

import kinn
from kinn import div, grad

FILE = Path(__file__).parent / "data" / "inverse_grf_conductivity.csv"
TAU, MODES, POINTS = 3.0, 20, 41


def truth(x, y):
    """The conductivity at coordinates of the unit square, arrays or tensors (n,)."""
    xi = np.random.default_rng(2026).standard_normal((MODES, MODES))
    total = 0.0
    for i in range(MODES):
        for j in range(MODES):
            if i + j:
                deviation = TAU / (np.pi**2 * (i**2 + j**2) + TAU**2)
                shape = (2 if i and j else 2**0.5) * _cosine(i, x) * _cosine(j, y)
                total = total + deviation * xi[i, j] * shape
    return np.e**total


def _cosine(k, x):
    angle = np.pi * k * x
    return angle.cos() if hasattr(angle, "cos") else np.cos(angle)


def problem(noise=0.001, draw=0, length=1.0, size=1.0, shift=0.0):
    mesh = kinn.Mesh.box((shift, shift), (shift + length, shift + length))
    temperature = kinn.Field("T", mesh)
    k = kinn.Field("k", mesh, guess=1.0, lower=0)
    clean = kinn.Observations.read(temperature, FILE)
    sigma = noise * float(np.abs(clean.values).max())
    values = clean.values + sigma * np.random.default_rng(draw).standard_normal(len(clean))
    readings = kinn.Observations(
        temperature, shift + length * clean.points, size * values, sigma=size * sigma if noise else None
    )
    equations = {"heat": -div(k * grad(temperature)) - size / length**2}
    return kinn.Problem(mesh, equations, [kinn.Dirichlet(temperature, 0, on="boundary")], [readings])


def heated(mesh, k, heating):
    """The problem for a known conductivity."""
    temperature = kinn.Field("T", mesh)
    return kinn.Problem(
        mesh, {"heat": -div(k * grad(temperature)) - heating}, [kinn.Dirichlet(temperature, 0, on="boundary")]
    )


def reference(problem):
    """The true conductivity, and finite elements for the temperature with it."""
    mesh = problem.mesh
    length, lower = float(mesh.upper[0] - mesh.lower[0]), float(mesh.lower[0])
    k = kinn.Coefficient("k_true", mesh, lambda x, y: truth((x - lower) / length, (y - lower) / length))
    heating = -problem.equations["heat"].residuals()[0].subs({c: 0 for c in problem.components}).doit()
    return {
        "k": lambda points: truth(*((np.asarray(points) - lower) / length).T),
        "T": kinn.fem.solve(heated(mesh, k, heating), tolerance=1e-4),
    }


def make_data():
    mesh = kinn.Mesh.box((0, 0), (1, 1))
    found = kinn.fem.solve(heated(mesh, kinn.Coefficient("k_true", mesh, truth), 1), tolerance=1e-5)
    grid = np.linspace(0, 1, POINTS)
    points = np.stack(np.meshgrid(grid, grid, indexing="ij"), -1).reshape(-1, 2)
    with FILE.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["x", "y", "T"])
        for point, value in zip(points, found(points), strict=True):
            writer.writerow([*(f"{entry:.4g}" for entry in point), f"{value:.9f}"])


if __name__ == "__main__":
    make_data()
