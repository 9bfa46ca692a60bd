"""Which equation moves these data? Both coefficients of Burgers' equation from 2,000 values, a task of Raissi et al.

u_t + lambda_1 u u_x = lambda_2 u_xx for -1 < x < 1 and 0 < t < 1, u = -sin(pi x) at first and 0 at both ends; the truth is
lambda_1 = 1 and lambda_2 = 0.01 / pi, with a shock of width 0.004 at x = 0. Raissi et al. (doi:10.1016/j.jcp.2018.10.045)
find them to 0.04 % and 1.2 % from clean data, without the conditions.

The data (data/inverse_burgers.csv) are the solution by Cole and Hopf at 2,000 places and times drawn all over.
`python problems/inverse_burgers.py` makes the file.
Options: `noise` is the standard deviation of a value relative to the largest (0.01; 0 takes the data as they are), `draw`
another draw of it, `length` stretches the interval (lambda_1 grows with it, lambda_2 with its square), `size` scales u
(lambda_1 is divided by it), `shift` moves the interval.
"""

import csv
from pathlib import Path

import numpy as np
import sympy as sp

import kinn
from kinn import div, grad

FILE = Path(__file__).parent / "data" / "inverse_burgers.csv"
TRUTH = {"lambda_1": 1.0, "lambda_2": 0.01 / np.pi}
PLACES = 2000


def solution(x, t):
    """u (n,) at places and times by the formula of Cole and Hopf (doi:10.1090/qam/42889), which holds for TRUTH.

    The mean of sin(pi y) with the weight exp(-cos(pi y) / (2 pi lambda_2)) under a Gaussian around x, by trapezoids.
    """
    viscosity = TRUTH["lambda_2"]
    z = np.linspace(-9, 9, 2001)
    found = np.empty(len(x))
    for start in range(0, len(x), 1000):  # (1000, 2001) numbers at once
        part = slice(start, start + 1000)
        y = x[part, None] - np.sqrt(4 * viscosity * t[part, None]) * z
        power = -np.cos(np.pi * y) / (2 * np.pi * viscosity) - z**2
        weight = np.exp(power - power.max(axis=1, keepdims=True))
        found[part] = -(np.sin(np.pi * y) * weight).sum(1) / weight.sum(1)
    return found


def problem(noise=0.01, draw=0, length=1.0, size=1.0, shift=0.0):
    mesh = kinn.Mesh.box(shift - length, shift + length) * kinn.Interval("t", 0, 1)
    (x, t), u = mesh.coordinates, kinn.Field("u", mesh)
    carrying = kinn.Parameter("lambda_1", guess=0.1 * length / size)
    spreading = kinn.Parameter("lambda_2", guess=0.05 * length**2, lower=0)
    clean = kinn.Observations.read(u, FILE)
    values = clean.values + noise * np.random.default_rng(draw).standard_normal(len(clean))
    points = clean.points * [length, 1] + [shift, 0]
    data = kinn.Observations(u, points, size * values, sigma=size * noise if noise else None)
    return kinn.Problem(
        mesh,
        {"Burgers": u.diff(t) + carrying * u * u.diff(x) - div(spreading * grad(u))},
        [kinn.Initial(u, -size * sp.sin(sp.pi * (x - shift) / length)), kinn.Dirichlet(u, 0, on=("left", "right"))],
        [data],
        exact={carrying: TRUTH["lambda_1"] * length / size, spreading: TRUTH["lambda_2"] * length**2},
    )


def reference(problem):
    mesh, ((_, first), (_, second)) = problem.mesh, problem.exact.items()
    length = (float(mesh.upper[0]) - float(mesh.lower[0])) / 2
    size, middle = length / float(first), float(mesh.lower[0]) + length
    field = lambda points: size * solution((points[:, 0] - middle) / length, points[:, 1])  # noqa: E731
    return {"lambda_1": first, "lambda_2": second, "u": field}


def make_data():
    places = np.random.default_rng(2026).uniform((-1, 0), (1, 1), (PLACES, 2)).round(5)
    with FILE.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["x", "t", "u"])
        for place, value in zip(places, solution(*places.T), strict=True):
            writer.writerow([*place, f"{value:.10f}"])


if __name__ == "__main__":
    make_data()
