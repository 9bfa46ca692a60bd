"""The setting of DeepXDE's example "Heat equation" (deepxde.readthedocs.io, heat.py): 20 tanh units in each of 3 layers, 2,540
points inside, 80 on the walls, 160 at the start, Adam with 1e-3 for 20,000 iterations, then L-BFGS."""

import deepxde_training as training
import numpy as np

dde, PACKAGES, DTYPE = training.dde, ("deepxde",), "float64"


def run(seed, seconds, report):
    training.seeded(seed)
    watch = training.Watch(report, lambda values: {"u": values})

    def pde(x, u):
        return dde.grad.jacobian(u, x, i=0, j=1) - dde.grad.hessian(u, x, i=0, j=0)

    rod = dde.geometry.GeometryXTime(dde.geometry.Interval(0, 1), dde.geometry.TimeDomain(0, 1))
    walls = dde.icbc.DirichletBC(rod, lambda _: 0, lambda _, on_boundary: on_boundary)
    start = dde.icbc.IC(rod, lambda x: np.sin(np.pi * x[:, 0:1]), lambda _, on_initial: on_initial)
    data = dde.data.TimePDE(rod, pde, [walls, start], num_domain=2540, num_boundary=80, num_initial=160)
    net = dde.nn.FNN([2] + 3 * [20] + [1], "tanh", "Glorot normal")
    return training.train(data, net, watch, seconds, iterations=20_000)
