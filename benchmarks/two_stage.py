"""The two-stage route of the KINN paper (arXiv 2406.11045) to Young's modulus: a network is fitted to the displacements alone; then
the modulus is the one by which its stress on the right side is the traction. Beside it the joint identification of this library.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

import kinn
from benchmarks.conditions import ROOT, conditions, stated, write, write_table
from benchmarks.runs import middle
from kinn.formulations.blocks import PointBlock
from kinn.formulations.data import Data
from kinn.formulations.program import Program
from kinn.formulations.scaling import initial_surrogate, sample_term
from kinn.formulations.system import System
from kinn.formulations.trial import Trial
from kinn.formulations.unknowns import Unknowns
from kinn.networks import Network
from kinn.optimize import LevenbergMarquardt
from kinn.problem_file import ProblemFile
from kinn.statement.terms import strong_terms

PROBLEM, SIDE = "inverse_youngs_modulus", "right"
NOISES = (0.0, 0.01)
STEPS, POINTS = 200, 1000
HEADER = ("noise", "route", "E: median error", "worst", "parameters", "published")
PUBLISHED = {"KAN": 0.102, "MLP": 0.035}  # without noise, from 38,004 nodes


def run(seeds: int, threads: int, folder: Path) -> str:
    torch.set_num_threads(threads)
    found: list[dict[str, Any]] = []
    for noise in NOISES:
        file = ProblemFile.load(ROOT / "problems" / f"{PROBLEM}.py", {"noise": noise})
        problem = file.problem()
        ((_, truth),) = problem.exact.items()
        makers = {"KAN": lambda k: kinn.KAN([2, 5, 5, 2], kinn.Chebyshev(3), base=False, seed=k),
                  "MLP": lambda k: kinn.MLP([2, 10, 10, 2], seed=k)}  # fmt: skip
        for name, make in makers.items():
            errors = [abs(modulus(problem, fitted(problem, make(seed))) / float(truth) - 1) for seed in range(seeds)]
            found.append({"noise": noise, "route": f"two stages, {name}", "errors": errors,
                          "n_parameters": make(0).n_parameters, "published": PUBLISHED[name] if not noise else None})  # fmt: skip
        joint = [kinn.solve(problem, seed=seed, time_limit=30, progress=False) for seed in range(seeds)]
        errors = [abs(one.parameters["E"].estimate / float(truth) - 1) for one in joint]
        found.append({"noise": noise, "route": "joint (`kinn.solve`)", "errors": errors,
                      "n_parameters": joint[0].result.n_parameters, "published": None})  # fmt: skip
    where = {**conditions(threads), "seeds": seeds}
    write("two_stage", {"conditions": where, "routes": found}, folder)
    rows = [
        [one["noise"], one["route"], middle(one["errors"]), max(one["errors"]), one["n_parameters"], one["published"]]
        for one in found
    ]
    notes = [
        f"`{PROBLEM}`: 120 places, seeds 0 to {seeds - 1}. In two stages {STEPS} steps of Gauss-Newton fit the displacements; the "
        "derivatives of a fit at the edge of the data are worse than the fit, and the physics inside the plate are not used.",
        f"{stated(where)}; {where['date']}.",
    ]
    return write_table("two_stage", "Young's modulus in two stages and jointly", HEADER, rows, notes, folder)


def fitted(problem: kinn.Problem, network: Network) -> Unknowns:
    """The first stage: the network that fits the data, whatever the equations say."""
    like = torch.zeros(0, dtype=torch.float64)
    unknowns = Unknowns.at_guess(problem, initial_surrogate(problem, network, Trial(), like))
    system = System(unknowns, Data.of(problem).blocks(unknowns.surrogate, 1.0), held=True)
    optimizer = LevenbergMarquardt()
    for _ in range(STEPS):
        if optimizer.step(system) is None:
            break
    return unknowns


def modulus(problem: kinn.Problem, unknowns: Unknowns) -> float:
    """The second stage: the traction on a side is linear in the modulus, whose best value least squares give at once."""
    (name,) = problem.parameters
    term = next(term for term in strong_terms(problem) if term.kind == "natural" and SIDE in term.on)
    points = sample_term(problem, term, POINTS, seed=0)
    block = PointBlock(term.name, Program(term.expressions, problem), points, unknowns.surrogate)

    def residual(value: float) -> torch.Tensor:
        unknowns.free[:] = problem.parameters[name].to_free(value)
        return block.residuals(unknowns).flatten()

    slope = residual(2.0) - residual(1.0)
    rest = residual(1.0) - slope
    return -float(slope @ rest / slope.square().sum())
