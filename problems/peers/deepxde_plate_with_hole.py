"""The setting of DeepXDE's example "Linear elastostatic equation over a 2D square domain" (deepxde.readthedocs.io,
elasticity_plate.py): displacement and stress by 5 parallel networks of 40 tanh units in each of 4 layers, first-order residuals of
equilibrium and of the law, 500 points inside, 500 on the boundary, Adam with 1e-3 for 5,000 iterations; then L-BFGS. Lengths are
counted in widths of the plate, stresses in tractions."""

import deepxde_training as training
import numpy as np

dde, PACKAGES, DTYPE = training.dde, ("deepxde",), "float64"
WIDTH, RADIUS, YOUNG, POISSON, TRACTION = 20, 5, 1000, 0.3, 100
HOLE, UNIT = RADIUS / WIDTH, TRACTION * WIDTH / YOUNG  # of displacements


def run(seed, seconds, report):
    training.seeded(seed)
    watch = training.Watch(report, lambda values: {"u": UNIT * values[:, :2]}, scale=WIDTH)

    def slope(f, x, i, j):
        return dde.grad.jacobian(f, x, i=i, j=j)

    def pde(x, f):
        xx, yy, shear = slope(f, x, 0, 0), slope(f, x, 1, 1), slope(f, x, 0, 1) + slope(f, x, 1, 0)
        factor = 1 / (1 - POISSON**2)
        return [
            slope(f, x, 2, 0) + slope(f, x, 4, 1),
            slope(f, x, 4, 0) + slope(f, x, 3, 1),
            factor * (xx + POISSON * yy) - f[:, 2:3],
            factor * (yy + POISSON * xx) - f[:, 3:4],
            shear / (2 * (1 + POISSON)) - f[:, 4:5],
        ]

    corner = dde.geometry.Rectangle([0, 0], [1, 1])
    plate = dde.geometry.CSGDifference(corner, dde.geometry.Disk([0, 0], HOLE))

    def side(axis, value):
        return lambda x, on_boundary: on_boundary and bool(np.isclose(x[axis], value))

    def on_hole(x, on_boundary):
        return on_boundary and bool(np.isclose(np.hypot(*x), HOLE))

    def free(first, second):
        """The traction on the hole, whose normal is along the radius."""
        return lambda x, f, _: f[:, first] * x[:, 0] / HOLE + f[:, second] * x[:, 1] / HOLE

    def given(component, where, value=0.0):
        return dde.icbc.DirichletBC(plate, lambda _: value, where, component=component)

    left, bottom, right, top = side(0, 0.0), side(1, 0.0), side(0, 1.0), side(1, 1.0)
    conditions = [
        given(0, left), given(4, left), given(1, bottom), given(4, bottom), given(2, right, 1.0), given(4, right),
        given(3, top), given(4, top),
        dde.icbc.OperatorBC(plate, lambda x, f, _: free(2, 4)(x, f, _)[:, None], on_hole),
        dde.icbc.OperatorBC(plate, lambda x, f, _: free(4, 3)(x, f, _)[:, None], on_hole),
    ]  # fmt: skip
    data = dde.data.PDE(plate, pde, conditions, num_domain=500, num_boundary=500)
    net = dde.nn.PFNN([2] + 4 * [[40] * 5] + [5], "tanh", "Glorot uniform")
    return training.train(data, net, watch, seconds, iterations=5_000)
