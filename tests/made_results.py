"""Results made by hand, without training: networks whose weights are computed so that the solution is known."""

from __future__ import annotations

import numpy as np
import torch

from kinn.bases import Chebyshev
from kinn.formulations.surrogate import Surrogate
from kinn.networks import KAN
from kinn.networks.kan import KANLayer
from kinn.result import Estimated, Record, Result, Status
from kinn.solution import Solution
from kinn.statement import Problem


def fitted_network(mesh, functions, degree: int = 8) -> KAN:
    """A KAN without hidden layers, a sum of one function per axis, fitted to functions that have this shape.

    `functions` take coordinates (n,) in [-1, 1] per axis and give one output each.
    """
    network = KAN([mesh.dimension, len(functions)], Chebyshev(degree), base=False)
    layer = network.layers[0]
    assert isinstance(layer, KANLayer)
    x = torch.as_tensor(np.random.default_rng(0).uniform(-1, 1, (400, mesh.dimension)))
    functions_at = layer.functions(x, 0)[0].reshape(len(x), -1)
    design = torch.cat([functions_at, torch.ones_like(x[:, :1])], 1)
    values = torch.stack([f(*x.unbind(1)) for f in functions], dim=1)
    weight = torch.linalg.lstsq(design, values, driver="gelsd").solution.T
    shape = layer.weight.shape
    edges = weight[:, :-1].reshape(shape[1], shape[0], shape[2])
    layer.weight.data, layer.bias.data = edges.transpose(0, 1).contiguous(), weight[:, -1].clone()
    return network


def made_result(problem: Problem, functions, **changes) -> Result:
    """A result whose fields are `functions` of the scaled coordinates (x - center) / scale."""
    mesh = problem.mesh
    center, scale = torch.as_tensor((mesh.upper + mesh.lower) / 2), torch.as_tensor(mesh.scale)
    zeros, ones = torch.zeros(len(functions)).double(), torch.ones(len(functions)).double()
    entries = {
        "problem": problem,
        "surrogate": Surrogate(fitted_network(mesh, functions), center, scale, zeros, ones),
        "parameters": {
            name: Estimated(p.guess, 0.1, p.guess - 0.2, p.guess + 0.2) for name, p in problem.parameters.items()
        },
        "form": "strong",
        "reason": "statement and mesh promise a smooth solution",
        "network": "KAN [2, 1], Chebyshev degree 8",
        "status": Status.STEP_LIMIT,
        "message": "",
        "seed": 0,
        "seconds": 1.5,
        "steps": 20,
        "tolerance": 1e-6,
        "estimate": 2.5e-5,
        "estimate_note": "",
        "terms": {"laplace": 1e-9, "u on boundary": 2e-8},
        "history": tuple(
            Record(0.1 * k, k, 10.0**-k, 2 * 10.0**-k, None if k % 2 else 3 * 10.0**-k, 9) for k in range(1, 8)
        ),
    }
    return Result(**{**entries, **changes})


def made_solution(problem: Problem, functions, **changes) -> Solution:
    return Solution(made_result(problem, functions, **changes))
