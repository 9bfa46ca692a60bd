"""The setting of PINA's tutorial "Two dimensional Poisson problem" (mathlab.github.io/PINA, tutorial 2) in space and time: 10
Softplus units in each of 2 layers, a grid of 25 x 25 points inside and 25 on each side, Adam with 0.006 and a weight decay of 1e-8, for
as long as there is time (1,000 epochs there)."""

import pina_training as training
import torch
from pina import Condition
from pina.domain import CartesianDomain
from pina.equation import Equation, FixedValue
from pina.model import FeedForward
from pina.operator import grad, laplacian
from pina.problem import SpatialProblem, TimeDependentProblem

PACKAGES, DTYPE = ("pina-mathlab",), "float32"


def residual(x, u):
    return grad(u, x, components=["u"], d=["t"]) - laplacian(u, x, components=["u"], d=["x"])


def start(x, u):
    return u.extract(["u"]) - torch.sin(torch.pi * x.extract(["x"]))


class Rod(TimeDependentProblem, SpatialProblem):
    output_variables = ["u"]
    spatial_domain = CartesianDomain({"x": [0, 1]})
    temporal_domain = CartesianDomain({"t": [0, 1]})
    domains = {
        "inside": CartesianDomain({"x": [0, 1], "t": [0, 1]}),
        "left": CartesianDomain({"x": 0, "t": [0, 1]}),
        "right": CartesianDomain({"x": 1, "t": [0, 1]}),
        "start": CartesianDomain({"x": [0, 1], "t": 0}),
    }
    conditions = {
        "inside": Condition(domain="inside", equation=Equation(residual)),
        "left": Condition(domain="left", equation=FixedValue(0.0, components=["u"])),
        "right": Condition(domain="right", equation=FixedValue(0.0, components=["u"])),
        "start": Condition(domain="start", equation=Equation(start)),
    }


def run(seed, seconds, report):
    torch.manual_seed(seed)
    problem = Rod()
    problem.discretise_domain(25, "grid", domains=list(problem.domains))
    model = FeedForward(input_dimensions=2, output_dimensions=1, layers=[10, 10], func=torch.nn.Softplus)
    return training.train(
        problem, model, lambda values: {"u": values}, report, rate=0.006, epochs=10_000_000, decay=1e-8
    )
