"""KANs beside MLPs: same stages, scaling, race, trial space and seconds, parameters within 5 % of the KAN's final number.

An MLP cannot grow, so the number of parameters that a KAN ends with may be too many for an MLP in the same time. A second
MLP, the library's default of about 600 parameters, shows what a smaller one reaches.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import kinn
from benchmarks import kept
from benchmarks.conditions import ROOT, conditions, write_table
from benchmarks.runs import finite, middle, worst
from benchmarks.suite import MESHES, ONE_EACH, Case, selected
from kinn.comparison.cost import mlp_widths
from kinn.comparison.run import NEVER
from kinn.problem_file import ProblemFile
from kinn.report.errors import Comparison

AHEAD, LEVEL = 0.5, 1.5
MUST_LEAD = ("poisson_square", "helmholtz_1_4", "heat_1d")
TOGETHER = 9  # of the problems with meshes, KANs must be ahead or level on so many
SEEDS, MESH_SEEDS = 5, 3
SECONDS = {
    "poisson_square": 5.0, "helmholtz_1_4": 10.0, "heat_1d": 5.0, "nonlinear_diffusion": 5.0, "poisson_lshape": 20.0,
    "inverse_conductivity": 5.0,
}  # fmt: skip
SECONDS_BY_DIMENSION = {1: 5.0, 2: 10.0, 3: 30.0}
NAMES = ("kan", "mlp", "small_mlp")
HEADER = (
    "run", "seconds", "KAN parameters", "KAN median", "worst", "MLP parameters", "MLP median", "worst",
    "KAN / MLP", "asked", "met", "small MLP median", "worst",
)  # fmt: skip


def run_all(problem: kinn.Problem, comparison: Comparison, seed: int, seconds: float) -> dict[str, Any]:
    """The KAN, the MLP of its final size and the default MLP on one problem with one seed."""

    def run(network: str | Callable[[int], kinn.MLP]) -> tuple[kinn.Solution, dict[str, Any]]:
        solution = kinn.solve(problem, network=network, time_limit=seconds, tolerance=NEVER, seed=seed, progress=False)
        errors = {name: finite(error) for name, error in comparison.relative_l2(solution).items()}
        return solution, {
            "network": solution.result.network,
            "n_parameters": solution.result.surrogate.network.n_parameters,
            "relative_l2": errors,
            "worst": finite(worst(errors)),
            "estimate": solution.estimate,
            "status": solution.status.label,
            "steps": solution.result.steps,
            "seconds": solution.result.seconds,
        }

    kan, row = run("kan")
    # Inputs and outputs as the KAN has them, with those for periodic axes, parts and singular functions.
    network = kan.result.surrogate.network
    widths = mlp_widths(network.n_inputs, network.n_outputs, network.n_parameters)
    return {"kan": row, "mlp": run(lambda k: kinn.MLP(widths, seed=k))[1], "small_mlp": run("mlp")[1]}


def run(seeds: int | None, problems: str | None, threads: int, within: float, limit: float | None, folder: Path) -> str:
    torch.set_num_threads(threads)
    for case in selected(ONE_EACH, problems):
        file = ProblemFile.load(ROOT / "problems" / f"{case.problem}.py")
        problem = file.problem()
        reference = file.reference(problem)
        assert reference is not None
        seconds = SECONDS.get(case.problem, SECONDS_BY_DIMENSION[problem.mesh.dimension])
        seconds = within * seconds if limit is None else min(limit, seconds)
        comparison = Comparison(problem, reference)
        count = seeds or (MESH_SEEDS if case in MESHES else SEEDS)
        where = {**conditions(threads), "seeds": count, "within": within, "limit": limit}
        runs = [run_all(problem, comparison, seed, seconds) for seed in range(count)]
        kept.keep(
            "networks", case, {"conditions": where, "seconds": seconds, **summary(case, runs), "runs": runs}, folder
        )
    return table(folder)


def errors_of(runs: list[dict[str, Any]], name: str) -> list[float]:
    """The errors of one kind of network, inf where there is none."""
    return [worst({"": one[name]["worst"]}) for one in runs]


def summary(case: Case, runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The ratio of the median errors, and whether it is as low as asked."""
    ratio = middle(errors_of(runs, "kan")) / middle(errors_of(runs, "mlp"))
    asked = AHEAD if case.problem in MUST_LEAD else LEVEL
    return {"ratio": finite(ratio), "asked": asked, "met": ratio <= asked}


def table(folder: Path) -> str:
    """The table of the results in a folder, written there too."""
    entries = kept.read("networks", folder)
    rows = [table_row(case, entry) for case, entry in kept.listed(ONE_EACH, entries)]
    notes = [*together(entries), *kept.notes(entries)]
    return write_table("networks", "KAN beside MLP, relative L2 errors", HEADER, rows, notes, folder)


def together(entries: dict[str, Any]) -> list[str]:
    """On how many of the problems with meshes KANs are ahead or level, and whether that is enough once all are measured."""
    wanted = [case for case in ONE_EACH if case in MESHES]
    own = kept.listed(wanted, entries)
    if not own:
        return []
    count = sum(entry["ratio"] is not None and entry["ratio"] <= LEVEL for _, entry in own)
    asked = f"asked on {TOGETHER} of {len(wanted)}"
    if len(own) == len(wanted):
        asked += f": {'met' if count >= TOGETHER else 'not met'}"
    ahead = f"KAN ahead or level (error at most {LEVEL:g} times that of the MLP) on {count} of {len(own)}"
    return [f"Problems with meshes ({', '.join(case.name for case, _ in own)}): {ahead}, {asked}."]


def table_row(case: Case, entry: dict[str, Any]) -> list[Any]:
    runs, cells = entry["runs"], {}
    for name in NAMES:
        errors = errors_of(runs, name)
        cells[name] = [finite(middle(errors)), finite(max(errors))]
    sizes = {name: int(middle([one[name]["n_parameters"] for one in runs])) for name in NAMES}
    both = [sizes["kan"], *cells["kan"], sizes["mlp"], *cells["mlp"]]
    asked = f"at most {entry['asked']:g}"
    return [case.name, entry["seconds"], *both, entry["ratio"], asked, entry["met"], *cells["small_mlp"]]
