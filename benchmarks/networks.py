"""KANs beside MLPs: same stages, scaling, race and seconds, parameters within 5 % of the KAN's final number."""

from __future__ import annotations

import time
from itertools import product
from pathlib import Path
from typing import Any

import torch

import kinn
from benchmarks.conditions import ROOT, conditions, write, write_table
from benchmarks.runs import middle
from benchmarks.suite import ONE_EACH, selected
from kinn.problem_file import ProblemFile
from kinn.report.errors import Comparison
from kinn.solver import CANDIDATES
from kinn.training import RACE_STEPS

AHEAD, LEVEL = 0.5, 1.5
MUST_LEAD = ("poisson_square", "helmholtz_1_4", "heat_1d")
HEADER = (
    "run", "seconds", "KAN parameters", "KAN median", "worst", "MLP parameters", "MLP median", "worst",
    "KAN / MLP", "asked", "met",
)  # fmt: skip


def mlp_widths(d: int, c: int, n_parameters: int) -> list[int]:
    """`[d, w, v, c]` with v = w, or nearly, so that the number of parameters is as close as it can be."""

    def count(w: int, v: int) -> int:
        return w * (d + 1) + v * (w + 1) + c * (v + 1)

    pairs = [(w, w + more) for w, more in product(range(2, 200), (0, -1, 1)) if w + more > 0]
    return [d, *min(pairs, key=lambda pair: abs(count(*pair) - n_parameters)), c]


def train_mlp(problem: kinn.Problem, widths: list[int], seed: int, seconds: float) -> tuple[kinn.Solution, int, float]:
    """The race that a KAN gets, then the same training, begun again from where it stalled until the time is over.

    Returns the best solution, and the steps and seconds of all of it.
    """
    begin, raced = time.perf_counter(), []
    for k in range(CANDIDATES):
        left = seconds - (time.perf_counter() - begin)
        if left <= 0 and raced:
            break
        network = kinn.MLP(widths, seed=CANDIDATES * seed + k)
        limits = {"steps": RACE_STEPS, "time_limit": max(left, 1e-3)}
        raced.append(kinn.solve(problem, network=network, seed=seed, progress=False, **limits))
    best = latest = min(raced, key=lambda s: s.history[-1].loss)
    steps = sum(solution.result.steps for solution in raced)
    while (left := seconds - (time.perf_counter() - begin)) > 0.02 * seconds:
        latest = kinn.solve(problem, start=latest, time_limit=left, seed=seed, progress=False)
        steps += latest.result.steps
        best = min(best, latest, key=_score)
        if latest.result.steps == 0 or latest.status in (kinn.Status.CONVERGED, kinn.Status.NONFINITE):
            break
    return best, steps, time.perf_counter() - begin


def _score(solution: kinn.Solution) -> float:
    if solution.estimate is not None:
        return solution.estimate
    return next((r.check for r in reversed(solution.history) if r.check is not None), float("inf"))


def pair(problem: kinn.Problem, comparison: Comparison, seed: int, seconds: float) -> dict[str, Any]:
    """Both networks on one problem with one seed."""
    found = {}
    kan = kinn.solve(problem, time_limit=seconds, seed=seed, progress=False)
    size = kan.result.surrogate.network.n_parameters
    widths = mlp_widths(problem.mesh.dimension, len(problem.components), size)
    both = {"kan": (kan, kan.result.steps, kan.result.seconds), "mlp": train_mlp(problem, widths, seed, seconds)}
    for name, (solution, steps, spent) in both.items():
        errors = comparison.relative_l2(solution)
        found[name] = {
            "network": solution.result.network,
            "n_parameters": solution.result.surrogate.network.n_parameters,
            "relative_l2": errors,
            "worst": max(errors.values()),
            "estimate": solution.estimate,
            "status": solution.status.label,
            "steps": steps,
            "seconds": spent,
        }
    return found


def run(seeds: int, problems: list[str] | None, threads: int, limit: float | None, folder: Path) -> str:
    torch.set_num_threads(threads)
    document: dict[str, Any] = {"conditions": conditions(threads), "seeds": seeds, "time_limit": limit, "cases": {}}
    rows = []
    for case in selected(ONE_EACH, problems):
        file = ProblemFile.load(ROOT / "problems" / f"{case.problem}.py")
        problem = file.problem()
        reference = file.reference(problem)
        assert reference is not None
        seconds = case.time_limit if limit is None else min(limit, case.time_limit)
        comparison = Comparison(problem, reference)
        runs = [pair(problem, comparison, seed, seconds) for seed in range(seeds)]
        errors = {name: [one[name]["worst"] for one in runs] for name in ("kan", "mlp")}
        sizes = {name: middle([one[name]["n_parameters"] for one in runs]) for name in errors}
        ratio = middle(errors["kan"]) / middle(errors["mlp"])
        asked = AHEAD if case.problem in MUST_LEAD else LEVEL
        summary = {"ratio": ratio, "asked": asked, "met": ratio <= asked, "seconds": seconds}
        document["cases"][case.name] = {**summary, "runs": runs}
        write("networks", document, folder)
        both = [cell for name in errors for cell in (int(sizes[name]), middle(errors[name]), max(errors[name]))]
        rows.append([case.name, seconds, *both, ratio, f"at most {asked:g}", ratio <= asked])
    return write_table("networks", "KAN beside MLP, relative L2 errors", HEADER, rows, document["conditions"], folder)
