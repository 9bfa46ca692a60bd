"""A cooled block in three dimensions, in W, m and degrees Celsius: the heat of a chip spreads to a cold plate and a bore.

A block of 80 mm x 40 mm x 40 mm of steel (k = 15) with a bore from front to back (meshes/conduction_3d.msh, tetrahedra of
second order). The chip gives 60,000 exp(-r^2 / (15 mm)^2) W/m^2 to the top, r the distance from x = 50 mm, y = 12 mm. The
bore is cooled by water of 15 degrees, k dT/dn = h (15 - T) with h = 2000, the bottom is held at 20 degrees, and the other
faces are insulated.
Options: `length` stretches the block (k stays, so h and the flux are divided by it), `size` scales the temperature,
`shift` moves the block.
"""

from pathlib import Path

import numpy as np
import sympy as sp

import kinn
from kinn import div, grad

FILE = Path(__file__).parent / "meshes" / "conduction_3d.msh"
CONDUCTIVITY = 15
HEATING, CHIP, RADIUS = 60_000, (0.05, 0.012), 0.015
WATER, TRANSFER = 15, 2000
COLD = 20


def problem(length=1.0, size=1.0, shift=0.0):
    mesh = kinn.Mesh.read(FILE).moved(length, shift)
    x, y = ((c - shift) / length - middle for c, middle in zip(mesh.coordinates, CHIP, strict=False))
    temperature = kinn.Field("T", mesh)
    flux = CONDUCTIVITY * grad(temperature)
    return kinn.Problem(
        mesh,
        equations={"heat": -div(flux)},
        conditions=[
            kinn.Dirichlet(temperature, COLD * size, on="bottom"),
            kinn.Robin(flux, temperature, TRANSFER / length, WATER * size, on="bore"),
            kinn.Neumann(flux, HEATING * size / length * sp.exp(-(x**2 + y**2) / RADIUS**2), on="top"),
            kinn.Neumann(flux, 0, on=("left", "right", "front", "back")),
        ],
    )


def reference(problem):
    return kinn.fem.solve(problem, tolerance=3e-2)


def quantities(problem):
    """The heat that water and cold plate take, together what the chip gives, and the temperature under the chip."""
    mesh = problem.mesh
    (temperature,) = problem.components
    leaving = -(CONDUCTIVITY * grad(temperature)).dot(mesh.normal)
    unit = (mesh.upper[0] - mesh.lower[0]) / 0.08
    under = np.array([[*(mesh.lower[:2] + unit * np.array(CHIP)), mesh.upper[2]]])
    return {
        "heat of the chip": lambda solution: solution.integral(-leaving, over="top"),
        "heat to the water": lambda solution: solution.integral(leaving, over="bore"),
        "heat to the cold plate": lambda solution: solution.integral(leaving, over="bottom"),
        "peak": lambda solution: solution.evaluate(temperature, under)[0],
    }
