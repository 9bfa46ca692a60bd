"""The setting of PINA's tutorial "Resolution of an inverse problem" (mathlab.github.io/PINA, tutorial 7): 20 Softplus units in each
of 3 layers, a grid of 20 x 20 points inside, 1,000 random ones on each side, Adam with 0.005, for as long as there is time (5,000
epochs there). Temperatures are counted from 20 degrees in units of 50 K; unknowns begin anywhere in k of 0.5 to 5, h of 1 to 15."""

import csv
from pathlib import Path

import numpy as np
import pina_training as training
import torch
from pina import Condition, LabelTensor
from pina.domain import CartesianDomain
from pina.equation import Equation, FixedValue
from pina.model import FeedForward
from pina.operator import grad, laplacian
from pina.problem import InverseProblem, SpatialProblem

PACKAGES, DTYPE = ("pina-mathlab",), "float32"
FILE = Path(__file__).parents[1] / "data" / "inverse_conductivity.csv"
HEATING, WIDTH, OUTSIDE, UNIT = 275.0, 0.8, 20.0, 50.0


def residual(x, u, unknown):
    heater = torch.exp(-((x.extract(["x"]) - 1.5) ** 2 + (x.extract(["y"]) - 0.5) ** 2) / WIDTH**2)
    return unknown["k"] * UNIT / HEATING * laplacian(u, x, components=["u"], d=["x", "y"]) + heater


def insulated(x, u):
    return grad(u, x, components=["u"], d=["y"])


def cooled(x, u, unknown):
    return grad(u, x, components=["u"], d=["x"]) + unknown["h"] / unknown["k"] * u.extract(["u"])


def readings():
    with FILE.open(encoding="utf-8") as stream:
        rows = np.array([[float(row[name]) for name in ("x", "y", "T")] for row in csv.DictReader(stream)])
    values = torch.tensor((rows[:, 2:] - OUTSIDE) / UNIT, dtype=torch.float32)
    return LabelTensor(torch.tensor(rows[:, :2], dtype=torch.float32), ["x", "y"]), LabelTensor(values, ["u"])


class Plate(SpatialProblem, InverseProblem):
    output_variables = ["u"]
    spatial_domain = CartesianDomain({"x": [0, 2], "y": [0, 1]})
    unknown_parameter_domain = CartesianDomain({"k": [0.5, 5], "h": [1, 15]})
    domains = {
        "inside": spatial_domain,
        "left": CartesianDomain({"x": 0, "y": [0, 1]}),
        "right": CartesianDomain({"x": 2, "y": [0, 1]}),
        "bottom": CartesianDomain({"x": [0, 2], "y": 0}),
        "top": CartesianDomain({"x": [0, 2], "y": 1}),
    }
    conditions = {
        "inside": Condition(domain="inside", equation=Equation(residual)),
        "left": Condition(domain="left", equation=FixedValue(0.0, components=["u"])),
        "right": Condition(domain="right", equation=Equation(cooled)),
        "bottom": Condition(domain="bottom", equation=Equation(insulated)),
        "top": Condition(domain="top", equation=Equation(insulated)),
        "data": Condition(input=readings()[0], target=readings()[1]),
    }


def run(seed, seconds, report):
    torch.manual_seed(seed)
    problem = Plate()
    problem.discretise_domain(20, "grid", domains=["inside"])
    problem.discretise_domain(1000, "random", domains=["left", "right", "bottom", "top"])
    model = FeedForward(input_dimensions=2, output_dimensions=1, layers=[20, 20, 20], func=torch.nn.Softplus)
    found = training.train(
        problem, model, lambda values: {"T": OUTSIDE + UNIT * values}, report, rate=0.005, epochs=10_000_000
    )
    return {**found, "parameters": {name: float(value) for name, value in problem.unknown_parameters.items()}}
