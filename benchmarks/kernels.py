"""Neural tangent kernels of a KAN and an MLP during training, as in section 3.1 of the KINN paper (arXiv 2406.11045)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

import kinn
from benchmarks.conditions import ROOT, conditions, stated, write, write_table
from kinn.comparison.kernel import kernel_spectrum
from kinn.comparison.run import NEVER
from kinn.problem_file import ProblemFile

PROBLEMS = ("heat_multiscale", "poisson_square")
POINTS = 100
SHARES = (0.0, 0.1, 1.0)  # of the steps of a run, after which spectra are kept
PLACES = (1, 2, 6, 11, 21, 51, 100)
HEADER = ("problem", "network", "after", *(f"eigenvalue {place}" for place in PLACES))


def run(seconds: float, threads: int, folder: Path) -> str:
    torch.set_num_threads(threads)
    found = []
    for name in PROBLEMS:
        problem = ProblemFile.load(ROOT / "problems" / f"{name}.py").problem()
        points = np.random.default_rng(0).uniform(
            problem.mesh.lower, problem.mesh.upper, (POINTS, problem.mesh.dimension)
        )
        for network in ("kan", "mlp"):
            spectra = spectra_of(problem, network, seconds, points)
            found += [{"problem": name, "network": network, **one} for one in spectra]
    document = {"conditions": conditions(threads), "seconds": seconds, "spectra": found}
    write("kernels", document, folder)
    picture(found).savefig(folder / "kernels.png", dpi=110)
    rows = [[one["problem"], one["network"], one["after"], *values_of(one["eigenvalues"])] for one in found]
    notes = [
        f"Eigenvalues of J J' at {POINTS} random points over the largest one, J the derivatives of the solution in the weights; "
        f"runs of {seconds:g} s, Gauss-Newton, seed 0. The picture is `kernels.png`.",
        f"{stated(document['conditions'])}; {document['conditions']['date']}.",
    ]
    return write_table("kernels", "Neural tangent kernels during training", HEADER, rows, notes, folder)


def spectra_of(problem: kinn.Problem, network: str, seconds: float, points: np.ndarray) -> list[dict[str, Any]]:
    """At the first record, after a part of the steps, and at the end."""
    seen: list[tuple[int, np.ndarray]] = []

    def follow(step: int, _: float, solution: kinn.Solution) -> None:
        seen.append((step, kernel_spectrum(solution, points)))

    solution = kinn.solve(
        problem, network=network, time_limit=seconds, tolerance=NEVER, progress=False, callback=follow
    )
    seen.append((solution.result.steps, kernel_spectrum(solution, points)))
    wanted = [share * seen[-1][0] for share in SHARES]
    chosen = [min(seen, key=lambda pair, at=at: abs(pair[0] - at)) for at in wanted]
    return [{"after": f"{step} steps", "eigenvalues": values.tolist()} for step, values in chosen]


def values_of(eigenvalues: Sequence[float]) -> list[float]:
    return [eigenvalues[place - 1] / eigenvalues[0] for place in PLACES]


def picture(found: Sequence[dict[str, Any]]) -> Figure:
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for axes, name in zip(np.ravel(figure.subplots(1, len(PROBLEMS))), PROBLEMS, strict=True):
        for one in found:
            if one["problem"] == name:
                style = "-" if one["network"] == "kan" else "--"
                values = np.array(one["eigenvalues"])
                axes.semilogy(
                    np.arange(1, len(values) + 1), values / values[0], style, label=f"{one['network']}, {one['after']}"
                )
        axes.set(title=name, xlabel="number", ylabel="eigenvalue over the largest", ylim=(1e-16, 2))
        axes.legend(fontsize=7)
    return figure
