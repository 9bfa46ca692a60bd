"""The setting of DeepXDE's example "Poisson equation over L-shaped domain" (deepxde.readthedocs.io, Poisson_Lshape.py): 50 tanh
units in each of 4 layers, 1,200 points inside, 120 on the boundary, Adam with 1e-3 (50,000 iterations there), then L-BFGS."""

import deepxde_training as training
import numpy as np
import torch

dde, PACKAGES, DTYPE = training.dde, ("deepxde",), "float64"


def run(seed, seconds, report):
    training.seeded(seed)
    watch = training.Watch(report, lambda values: {"u": values})

    def pde(x, u):
        source = 2 * np.pi**2 * torch.sin(np.pi * x[:, 0:1]) * torch.sin(np.pi * x[:, 1:2])
        return dde.grad.hessian(u, x, i=0, j=0) + dde.grad.hessian(u, x, i=1, j=1) + source

    square = dde.geometry.Rectangle([-1, -1], [1, 1])
    walls = dde.icbc.DirichletBC(square, lambda _: 0, lambda _, on_boundary: on_boundary)
    data = dde.data.PDE(square, pde, walls, num_domain=1200, num_boundary=120)
    net = dde.nn.FNN([2] + 4 * [50] + [1], "tanh", "Glorot uniform")
    return training.train(data, net, watch, seconds, iterations=50_000)
