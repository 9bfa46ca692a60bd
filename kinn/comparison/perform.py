"""One run of a comparison in this process: a network, finite elements, or a peer, and how near to the reference it came."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from kinn.candidates import groups
from kinn.comparison.conditions import conditions, multiplication_rate
from kinn.comparison.cost import flops, mlp_widths
from kinn.comparison.error_map import error_map
from kinn.comparison.peers import load_peer
from kinn.comparison.run import FEM, NETWORKS, OPTIMIZERS, Run, seconds_to, thinned
from kinn.comparison.work import Work
from kinn.fem.identify import identify
from kinn.fem.solve import solve as fem_solve
from kinn.networks import MLP, Network, Separate
from kinn.problem_file import ProblemFile
from kinn.report.record import plain
from kinn.solution import Solution
from kinn.solver import solve
from kinn.statement.errors import StatementError
from kinn.statement.problem import Problem
from kinn.training import LARGEST_NETWORK

CLEAR = 3.0  # how much less exact than its reference a solution has to be for its error to mean something
TOLERANCES = tuple(10 ** (-k / 2) for k in range(2, 15))  # of finite elements, one solution after another
REFERENCES = "references"  # folder of finite element solutions that runs share
History = list[list[Any]]  # rows of seconds, step, size, error
Size = Sequence[Mapping[str, Any]]  # of the parts of a network, one for each group of fields


def perform(run: Run, folder: Path, size: Size | None = None, pictures: Path | None = None) -> dict:
    """The row of a run; `size` is what the network has that this one is matched to (`network_size` of its row).

    Raises StatementError for what cannot be run.
    """
    torch.set_num_threads(run.threads)
    file = ProblemFile.load(folder / run.file, run.options)
    peer = None if run.solver in (*NETWORKS, FEM) else load_peer(file.path, run.solver)
    work = Work(file, folder / REFERENCES)
    where = {**conditions(run.threads, run.device, peer.packages if peer else ()), "gflops": multiplication_rate()}
    if peer is not None:
        found = peer.perform(run, work)
        where["dtype"] = found.pop("dtype")
    elif run.solver == FEM:
        found = _elements(work, run)
    else:
        found = _network(work, run, size, pictures)
    history = found.pop("history")
    more = {"conditions": where, "floor": work.floor, "seconds_to": seconds_to(history), "history": thinned(history)}
    return plain(run.row(**found, **more))


def _network(work: Work, run: Run, size: Size | None, pictures: Path | None) -> dict[str, Any]:
    network: Any = run.solver
    if run.match in ("parameters", "flops"):
        network = _matched(groups(work.problem), size or [], run.match)
    history: History = []

    def follow(step: int, seconds: float, solution: Solution) -> None:
        history.append([seconds, step, solution.result.n_parameters, work.error(solution)])

    solution = solve(
        work.problem, network=network, form=run.form, stages=OPTIMIZERS[run.optimizer or "gauss_newton"], seed=run.seed,
        time_limit=run.time_limit, tolerance=run.tolerance, device=run.device, progress=False, callback=follow,
    )  # fmt: skip
    result, made = solution.result, solution.result.surrogate.network
    history.append([result.seconds, result.steps, result.n_parameters, work.error(solution)])
    if pictures is not None and work.problem.mesh.dimension == 2 and work.reference.fields:
        _picture(work, solution, pictures / f"{run.key}.png")
    checks = [entry.check for entry in result.history if entry.check is not None]
    return {
        "status": result.status.label, "message": result.message, "network": result.network, "form": result.form,
        "n_parameters": result.n_parameters, "n_points": result.n_points, "flops": flops(made), "steps": result.steps,
        "network_size": _size(made),
        "seconds": result.seconds, "check": checks[-1] if checks else None, "estimate": result.estimate,
        "parameters": work.identified(result.parameters), "history": history, **work.all(solution),
    }  # fmt: skip


def _size(network: Network) -> Size:
    """What an MLP in the place of each part has to have."""
    parts = (
        [part for part in network.parts if isinstance(part, Network)] if isinstance(network, Separate) else [network]
    )
    return [
        {"parameters": part.n_parameters, "flops": flops(part), "n_inputs": part.n_inputs, "n_outputs": part.n_outputs}
        for part in parts
    ]


def _matched(fields: Sequence[tuple[str, ...]], size: Size, match: str) -> dict[tuple[str, ...], Any]:
    """For each group of fields a function of a seed that makes an MLP as large as a part of the other network."""
    if len(fields) != len(size) or any(part.get(match) is None for part in size):
        raise StatementError(f"the network that this one is matched to does not tell its {match}")
    found: dict[tuple[str, ...], Any] = {}
    for group, part in zip(fields, size, strict=True):
        widths = mlp_widths(part["n_inputs"], part["n_outputs"], part[match], match)
        if (count := MLP(widths).n_parameters) > LARGEST_NETWORK:
            raise StatementError(
                f"an MLP of {count} weights for {', '.join(group)}, as its rival has, is more than Gauss-Newton takes "
                f"({LARGEST_NETWORK}); match the time"
            )
        found[group] = lambda seed, widths=widths: MLP(widths, seed=seed)
    return found


def _picture(work: Work, solution: Solution, path: Path) -> None:
    """A map of the error; a run is worth more than its picture."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        error_map(solution, work.reference).savefig(path, dpi=80)
    except (StatementError, OSError, ValueError):
        path.unlink(missing_ok=True)


def _elements(work: Work, run: Run) -> dict[str, Any]:
    """Finite elements, one solution after another to smaller tolerances, as long as there is time: each stands for itself.

    Where the reference is one of them too, as long as they are clearly less exact: their errors mean something.
    """
    begin, history, found, message = time.perf_counter(), [], {}, ""
    for step, tolerance in enumerate(TOLERANCES):
        start = time.perf_counter()
        try:
            solution, parameters = _by_elements(work.problem, tolerance)
        except StatementError as error:
            if not history:
                raise
            message = str(error)
            break
        seconds = time.perf_counter() - start
        estimate = solution.estimate if math.isfinite(solution.estimate) else None
        if history and solution.n_unknowns <= history[-1][2]:
            if estimate is None or estimate > tolerance:  # as large as it gets
                break
            continue
        if work.floor is not None and history and (estimate or tolerance) < CLEAR * work.floor:
            message = "ended where the reference is hardly more exact"
            break
        history.append([seconds, step, solution.n_unknowns, work.error(solution)])
        found = {"seconds": seconds, "estimate": estimate, "n_parameters": solution.n_unknowns,
                 "parameters": work.identified(parameters), **_of_elements(work, solution)}  # fmt: skip
        if time.perf_counter() - begin + 3 * seconds > run.time_limit or (estimate or 0.0) > tolerance:
            break
    text = f"elements, {history[-1][2]} unknowns"
    return {"status": "converged", "message": message, "network": text, "form": "weak", "history": history, **found}


def _by_elements(problem: Problem, tolerance: float) -> tuple[Any, Mapping[str, Any]]:
    if problem.observations and (problem.parameters or problem.identified):
        identified = identify(problem, tolerance=tolerance)
        return identified.solution, identified.parameters
    return fem_solve(problem, tolerance=tolerance), {}


def _of_elements(work: Work, solution: Any) -> dict[str, Any]:
    """Elements have no second derivatives; whatever asks for them is left out."""
    try:
        return work.all(solution)
    except StatementError:
        return work.values(solution)


__all__ = ["Size", "perform"]
