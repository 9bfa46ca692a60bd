"""Steady heat in a bracket of steel and aluminum, in W, m and degrees Celsius, per meter of thickness.

An L of 100 mm x 100 mm with legs of 40 mm and a fillet (meshes/heat_bracket_2d.msh, second order): steel (k = 50), and from
x = 60 mm on aluminum (k = 200). A pipe through the upper leg is at 100 degrees; a bolt through the other leg and the side
at the right are cooled, k dT/dn = h (T_air - T) with h = 500 and 50 and air of 20 degrees; the lower side takes up
5000 W/m^2; the other sides are insulated. The slope of T jumps at the joint, the flux does not.
Options: `length` stretches the bracket (k stays, so h and the flux are divided by it), `size` scales the temperature,
`shift` moves the bracket.
"""

from pathlib import Path

import kinn
from kinn import div, grad

FILE = Path(__file__).parent / "meshes" / "heat_bracket_2d.msh"
CONDUCTIVITY = {"steel": 50, "aluminum": 200}
HOT, AIR = 100, 20
BOLT, SIDE = 500, 50
HEATING = 5000
PARTS = ("pipe", "bolt", "right", "bottom")


def flux_of(temperature, mesh):
    return kinn.Coefficient("k", mesh, CONDUCTIVITY) * grad(temperature)


def problem(length=1.0, size=1.0, shift=0.0):
    mesh = kinn.Mesh.read(FILE).moved(length, shift)
    temperature = kinn.Field("T", mesh)
    flux = flux_of(temperature, mesh)
    return kinn.Problem(
        mesh,
        equations={"heat": -div(flux)},
        conditions=[
            kinn.Dirichlet(temperature, HOT * size, on="pipe"),
            kinn.Robin(flux, temperature, BOLT / length, AIR * size, on="bolt"),
            kinn.Robin(flux, temperature, SIDE / length, AIR * size, on="right"),
            kinn.Neumann(flux, HEATING * size / length, on="bottom"),
            kinn.Neumann(flux, 0, on=("left", "top", "inside")),
        ],
    )


def reference(problem):
    return kinn.fem.solve(problem, tolerance=3e-4)


def quantities(problem):
    """The heat that enters through each part of the boundary that is not insulated; together they are zero."""
    mesh = problem.mesh
    (temperature,) = problem.components
    entering = flux_of(temperature, mesh).dot(mesh.normal)
    return {f"heat through {part}": lambda solution, on=part: solution.integral(entering, over=on) for part in PARTS}
