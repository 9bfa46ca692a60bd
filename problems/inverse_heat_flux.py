"""How much heat enters through a wall? The unknown flux in time from thermometers inside (inverse heat conduction).

A wall of thickness 1 (in units of itself, time in units of thickness^2 / diffusivity) is warmed from the left by an unknown
flux q(t) per conductivity and insulated on the right: T_t = T_xx, -T_x = q at x = 0, T = 0 at first. The truth is two pulses,
q = exp(-((t - 0.3) / 0.1)^2) + 0.6 exp(-((t - 0.7) / 0.12)^2).

The data (data/inverse_heat_flux.csv) are temperatures at depths 0.05, 0.15 and 0.3 at 60 times each, by finite elements in
space and time. `python problems/inverse_heat_flux.py` makes the file.
Options: `noise` is the standard deviation of a reading relative to the largest temperature (0.01; 0 takes the data as they
are), `draw` another draw of it, `length` stretches the wall (time stays, so the diffusivity is length^2), `size` scales the
temperature, `shift` moves the wall.
"""

import csv
from pathlib import Path

import numpy as np
import sympy as sp

import kinn
from kinn import div, grad

FILE = Path(__file__).parent / "data" / "inverse_heat_flux.csv"
PULSES = ((1.0, 0.3, 0.1), (0.6, 0.7, 0.12))
DEPTHS, TIMES = (0.05, 0.15, 0.3), 60


def truth(t):
    """The flux at a time."""
    return sp.Add(*(q * sp.exp(-(((t - middle) / width) ** 2)) for q, middle, width in PULSES))


def wall(flux_of, length=1.0, shift=0.0):
    """Mesh, temperature, equations and conditions for a flux of the mesh."""
    mesh = kinn.Mesh.box(shift, shift + length) * kinn.Interval("t", 0, 1)
    temperature = kinn.Field("T", mesh)
    flux = length**2 * grad(temperature)
    conditions = [
        kinn.Initial(temperature, 0),
        kinn.Neumann(flux, length * flux_of(mesh), on="left"),
        kinn.Neumann(flux, 0, on="right"),
    ]
    return mesh, temperature, {"heat": temperature.diff(mesh.coordinates[-1]) - div(flux)}, conditions


def problem(noise=0.01, draw=0, length=1.0, size=1.0, shift=0.0):
    mesh, temperature, equations, conditions = wall(lambda mesh: kinn.Field("q", mesh, on="left"), length, shift)
    clean = kinn.Observations.read(temperature, FILE)
    sigma = noise * float(np.abs(clean.values).max())
    values = clean.values + sigma * np.random.default_rng(draw).standard_normal(len(clean))
    points = clean.points * [length, 1] + [shift, 0]
    readings = kinn.Observations(temperature, points, size * values, sigma=size * sigma if noise else None)
    flux = kinn.Field("q", mesh, on="left")
    return kinn.Problem(mesh, equations, conditions, [readings], exact={flux: size * truth(mesh.coordinates[-1])})


def reference(problem):
    """The true flux, and finite elements for the temperature that it makes."""
    (flux,) = problem.exact.values()
    lower, upper = (float(end[0]) for end in (problem.mesh.lower, problem.mesh.upper))
    mesh, _, equations, conditions = wall(lambda _: flux, upper - lower, lower)
    return {"q": flux, "T": kinn.fem.solve(kinn.Problem(mesh, equations, conditions), tolerance=1e-3)}


def make_data():
    mesh, _, equations, conditions = wall(lambda mesh: truth(mesh.coordinates[-1]))
    found = kinn.fem.solve(kinn.Problem(mesh, equations, conditions), tolerance=2e-4)
    times = (np.arange(TIMES) + 1) / TIMES
    with FILE.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["x", "t", "T"])
        for depth in DEPTHS:
            for time, value in zip(times, found([[depth, time] for time in times]), strict=True):
                writer.writerow([depth, f"{time:.6f}", f"{value:.6f}"])


if __name__ == "__main__":
    make_data()
