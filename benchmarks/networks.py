"""KANs beside MLPs: same stages, scaling, race and seconds, parameters within 5 % of the KAN's final number.

An MLP cannot grow, so the number of parameters that a KAN ends with may be too many for an MLP in the same time. A second
MLP, the library's default of about 600 parameters, shows what a smaller one reaches.
"""

from __future__ import annotations

from collections.abc import Callable
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

AHEAD, LEVEL = 0.5, 1.5
MUST_LEAD = ("poisson_square", "helmholtz_1_4", "heat_1d")
SECONDS = {"poisson_lshape": 20.0, "helmholtz_1_4": 10.0}
NEVER = 1e-14  # a tolerance that nobody meets: both networks use all the time
HEADER = (
    "run", "seconds", "KAN parameters", "KAN median", "worst", "MLP parameters", "MLP median", "worst",
    "KAN / MLP", "asked", "met", "small MLP median", "worst",
)  # fmt: skip


def mlp_widths(d: int, c: int, n_parameters: int) -> list[int]:
    """`[d, w, v, c]` with v = w, or nearly, so that the number of parameters is as close as it can be."""

    def count(w: int, v: int) -> int:
        return w * (d + 1) + v * (w + 1) + c * (v + 1)

    pairs = [(w, w + more) for w, more in product(range(2, 200), (0, -1, 1)) if w + more > 0]
    return [d, *min(pairs, key=lambda pair: abs(count(*pair) - n_parameters)), c]


def run_all(problem: kinn.Problem, comparison: Comparison, seed: int, seconds: float) -> dict[str, Any]:
    """The KAN, the MLP of its final size and the default MLP on one problem with one seed."""

    def run(network: str | Callable[[int], kinn.MLP]) -> tuple[kinn.Solution, dict[str, Any]]:
        solution = kinn.solve(problem, network=network, time_limit=seconds, tolerance=NEVER, seed=seed, progress=False)
        errors = comparison.relative_l2(solution)
        return solution, {
            "network": solution.result.network,
            "n_parameters": solution.result.surrogate.network.n_parameters,
            "relative_l2": errors,
            "worst": max(errors.values()),
            "estimate": solution.estimate,
            "status": solution.status.label,
            "steps": solution.result.steps,
            "seconds": solution.result.seconds,
        }

    kan, row = run("kan")
    size = kan.result.surrogate.network.n_parameters
    widths = mlp_widths(problem.mesh.dimension, len(problem.components), size)
    return {"kan": row, "mlp": run(lambda k: kinn.MLP(widths, seed=k))[1], "small_mlp": run("mlp")[1]}


def run(seeds: int, problems: list[str] | None, threads: int, limit: float | None, folder: Path) -> str:
    torch.set_num_threads(threads)
    document: dict[str, Any] = {"conditions": conditions(threads), "seeds": seeds, "time_limit": limit, "cases": {}}
    rows = []
    for case in selected(ONE_EACH, problems):
        file = ProblemFile.load(ROOT / "problems" / f"{case.problem}.py")
        problem = file.problem()
        reference = file.reference(problem)
        assert reference is not None
        seconds = SECONDS.get(case.problem, 5.0) if limit is None else limit
        comparison = Comparison(problem, reference)
        runs = [run_all(problem, comparison, seed, seconds) for seed in range(seeds)]
        names = ("kan", "mlp", "small_mlp")
        errors = {name: [one[name]["worst"] for one in runs] for name in names}
        sizes = {name: middle([one[name]["n_parameters"] for one in runs]) for name in names}
        ratio = middle(errors["kan"]) / middle(errors["mlp"])
        asked = AHEAD if case.problem in MUST_LEAD else LEVEL
        summary = {"ratio": ratio, "asked": asked, "met": ratio <= asked, "seconds": seconds}
        document["cases"][case.name] = {**summary, "runs": runs}
        write("networks", document, folder)
        both = [cell for name in names[:2] for cell in (int(sizes[name]), middle(errors[name]), max(errors[name]))]
        small = [middle(errors["small_mlp"]), max(errors["small_mlp"])]
        rows.append([case.name, seconds, *both, ratio, f"at most {asked:g}", ratio <= asked, *small])
    return write_table("networks", "KAN beside MLP, relative L2 errors", HEADER, rows, document["conditions"], folder)
