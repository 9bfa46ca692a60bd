"""The effective conductivity of a composite: a square array of disks, 10 times as conductive, that fill 30 % of the plane.

div(k grad T) = 0 in the unit cell [-1/2, 1/2]^2 (meshes/periodic_cell.msh, second order), k = 10 in the disk and 1 around
it. T is 1 higher on the right than on the left and the same at the top as at the bottom, with equal fluxes; it is free up
to a constant. The mean of k dT/dx is the effective conductivity, 1.65204 by the series of Perrins, McKenzie and McPhedran
(Proc. R. Soc. Lond. A 369, 207, 1979, equation 14).
Options: `length` stretches the cell, `size` scales the temperature, `shift` moves the cell.
"""

from pathlib import Path

import kinn
from kinn import div, grad

FILE = Path(__file__).parent / "meshes" / "periodic_cell.msh"
CONDUCTIVITY = {"matrix": 1, "inclusion": 10}


def flux_of(temperature, mesh):
    return kinn.Coefficient("k", mesh, CONDUCTIVITY) * grad(temperature)


def problem(length=1.0, size=1.0, shift=0.0):
    mesh = kinn.Mesh.read(FILE).moved(length, shift)
    temperature = kinn.Field("T", mesh)
    return kinn.Problem(
        mesh,
        equations={"heat": -div(flux_of(temperature, mesh))},
        conditions=[
            kinn.Periodic(temperature, "left", "right", jump=size),
            kinn.Periodic(temperature, "bottom", "top"),
        ],
    )


def reference(problem):
    return kinn.fem.solve(problem, tolerance=1e-3)


def quantities(problem):
    """The mean flux along x for a unit slope, and along y, which is zero by symmetry."""
    mesh = problem.mesh
    (temperature,) = problem.components
    (drop,) = problem.conditions[0].jump
    slope = drop / (mesh.upper[0] - mesh.lower[0])
    along, across = flux_of(temperature, mesh)
    return {"effective conductivity": along / slope / mesh.measure, "cross conductivity": across / slope / mesh.measure}
