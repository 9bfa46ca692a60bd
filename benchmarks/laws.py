"""Scaling laws: the error of KANs of fixed size against the number of cells and the degree of their splines, and fitted slopes, as
in sections 4.1 and 5.5 of the KINN paper (arXiv 2406.11045)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import kinn
from benchmarks.conditions import ROOT, conditions, stated, write, write_table
from benchmarks.runs import finite, middle, worst
from kinn.comparison.run import NEVER
from kinn.problem_file import ProblemFile
from kinn.report.errors import Comparison

PROBLEMS = {"poisson_square": (3, 4, 5), "crack_mode_iii": (2, 3, 4)}  # with the degrees of the splines
HIDDEN = 5
CELLS = (1, 2, 4, 8, 16)
FALLING = 0.7  # a law holds as long as twice the cells make at least this of the error
HEADER = ("problem", "degree", *(f"{cells} cells" for cells in CELLS), "slope in cells", "slope in parameters")


def run(seeds: int, seconds: float, threads: int, folder: Path) -> str:
    torch.set_num_threads(threads)
    found: list[dict[str, Any]] = []
    for name, degrees in PROBLEMS.items():
        file = ProblemFile.load(ROOT / "problems" / f"{name}.py")
        problem = file.problem()
        comparison = Comparison(problem, file.reference(problem))
        for degree in degrees:
            errors, sizes = [], []
            for cells in CELLS:
                solutions = [solved(problem, degree, cells, seed, seconds) for seed in range(seeds)]
                errors.append(middle([worst(comparison.relative_l2(one)) for one in solutions]))
                sizes.append(solutions[0].result.n_parameters)
            found.append({"problem": name, "degree": degree, "errors": [finite(e) for e in errors], "sizes": sizes})
    where = {**conditions(threads), "seeds": seeds}
    write("laws", {"conditions": where, "seconds": seconds, "laws": found}, folder)
    rows = [[one["problem"], one["degree"], *one["errors"], *slopes(one["errors"], one["sizes"])] for one in found]
    notes = [
        f"Relative L2 errors, medians of {seeds} seeds, of KANs [2, {HIDDEN}, {HIDDEN}, 1] (without the singular function of the crack) "
        f"that keep their size, after {seconds:g} s of Gauss-Newton. Slopes are those of log error over log cells, or log parameters, "
        f"as long as twice the cells make at most {FALLING:g} of the error.",
        f"{stated(where)}; {where['date']}.",
    ]
    return write_table("laws", "Scaling laws of splines on edges", HEADER, rows, notes, folder)


def solved(problem: kinn.Problem, degree: int, cells: int, seed: int, seconds: float) -> kinn.Solution:
    """A KAN that keeps its size; without singular functions, whose share no grid changes."""

    def network(k: int) -> kinn.KAN:
        return kinn.KAN([problem.mesh.dimension, HIDDEN, HIDDEN, 1], kinn.BSpline(degree, cells), seed=k)

    stages = [kinn.GaussNewton(refine=False)]
    return kinn.solve(
        problem,
        network=network,
        stages=stages,
        time_limit=seconds,
        tolerance=NEVER,
        seed=seed,
        singular=False,
        progress=False,
    )


def slopes(errors: Sequence[float | None], sizes: Sequence[int]) -> list[float | None]:
    """The slopes in cells and in parameters over the leading part of the errors that falls; None where none does."""
    count = 1
    while count < len(errors):
        before, now = errors[count - 1], errors[count]
        if before is None or now is None or now > FALLING * before:
            break
        count += 1
    if count < 2:
        return [None, None]
    heights = [math.log(error) for error in errors[:count] if error is not None]
    return [float(np.polyfit(np.log(axis[:count]), heights, 1)[0]) for axis in (CELLS, sizes)]
