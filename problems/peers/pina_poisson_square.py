"""The setting of PINA's tutorial "Two dimensional Poisson problem" (mathlab.github.io/PINA, tutorial 2): 10 Softplus units in each
of 2 layers, a grid of 25 x 25 points inside and 25 on each side, Adam with 0.006 and a weight decay of 1e-8, for as long as there is
time (1,000 epochs there)."""

import pina_training as training
import torch
from pina import Condition
from pina.domain import CartesianDomain
from pina.equation import Equation, FixedValue
from pina.model import FeedForward
from pina.operator import laplacian
from pina.problem import SpatialProblem

PACKAGES, DTYPE = ("pina-mathlab",), "float32"


def residual(x, u):
    source = torch.sin(torch.pi * x.extract(["x"])) * torch.sin(torch.pi * x.extract(["y"]))
    return laplacian(u, x, components=["u"], d=["x", "y"]) + 2 * torch.pi**2 * source


class Square(SpatialProblem):
    output_variables = ["u"]
    spatial_domain = CartesianDomain({"x": [-1, 1], "y": [-1, 1]})
    domains = {
        "inside": spatial_domain,
        "left": CartesianDomain({"x": -1, "y": [-1, 1]}),
        "right": CartesianDomain({"x": 1, "y": [-1, 1]}),
        "bottom": CartesianDomain({"x": [-1, 1], "y": -1}),
        "top": CartesianDomain({"x": [-1, 1], "y": 1}),
    }
    conditions = {
        "inside": Condition(domain="inside", equation=Equation(residual)),
        **{
            side: Condition(domain=side, equation=FixedValue(0.0, components=["u"]))
            for side in ("left", "right", "bottom", "top")
        },
    }


def run(seed, seconds, report):
    torch.manual_seed(seed)
    problem = Square()
    problem.discretise_domain(25, "grid", domains=list(problem.domains))
    model = FeedForward(input_dimensions=2, output_dimensions=1, layers=[10, 10], func=torch.nn.Softplus)
    return training.train(
        problem, model, lambda values: {"u": values}, report, rate=0.006, epochs=10_000_000, decay=1e-8
    )
