"""The setting of DeepXDE's example "Inverse problem for the diffusion equation" (deepxde.readthedocs.io, diffusion_1d_inverse.py):
32 tanh units in each of 3 layers, unknowns as external trainable variables, Adam with 1e-3 (50,000 iterations there); then L-BFGS.
400 points inside and 200 on the boundary, for two dimensions. Temperatures are counted from 20 degrees in units of 50 K."""

import csv
from pathlib import Path

import deepxde_training as training
import numpy as np
import torch

dde, PACKAGES, DTYPE = training.dde, ("deepxde",), "float64"
FILE = Path(__file__).parents[1] / "data" / "inverse_conductivity.csv"
HEATING, WIDTH, OUTSIDE, UNIT = 275.0, 0.8, 20.0, 50.0


def run(seed, seconds, report):
    training.seeded(seed)
    watch = training.Watch(report, lambda values: {"T": OUTSIDE + UNIT * values})
    k, h = dde.Variable(1.2), dde.Variable(10.0)

    def pde(x, u):
        heater = torch.exp(-((x[:, 0:1] - 1.5) ** 2 + (x[:, 1:2] - 0.5) ** 2) / WIDTH**2)
        return k * UNIT / HEATING * (dde.grad.hessian(u, x, i=0, j=0) + dde.grad.hessian(u, x, i=1, j=1)) + heater

    plate = dde.geometry.Rectangle([0, 0], [2, 1])

    def side(axis, *values):
        return lambda x, on_boundary: on_boundary and any(np.isclose(x[axis], value) for value in values)

    with FILE.open(encoding="utf-8") as stream:
        rows = [[float(row[name]) for name in ("x", "y", "T")] for row in csv.DictReader(stream)]
    points, values = np.array(rows)[:, :2], (np.array(rows)[:, 2:] - OUTSIDE) / UNIT
    conditions = [
        dde.icbc.DirichletBC(plate, lambda _: 0, side(0, 0.0)),
        dde.icbc.NeumannBC(plate, lambda _: 0, side(1, 0.0, 1.0)),
        dde.icbc.RobinBC(plate, lambda _, u: -h / k * u, side(0, 2.0)),
        dde.icbc.PointSetBC(points, values),
    ]
    data = dde.data.PDE(plate, pde, conditions, num_domain=400, num_boundary=200, anchors=points)
    net = dde.nn.FNN([2] + 3 * [32] + [1], "tanh", "Glorot uniform")
    found = training.train(data, net, watch, seconds, iterations=50_000, variables=(k, h))
    return {**found, "parameters": {"k": k.item(), "h": h.item()}}
