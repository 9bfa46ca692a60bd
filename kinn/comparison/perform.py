"""One run of a comparison in this process: a network, finite elements, or a peer, and how near to the reference it came."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from kinn.candidates import groups
from kinn.comparison.conditions import conditions, multiplication_rate
from kinn.comparison.cost import flops, mlp_widths
from kinn.comparison.peers import load_peer
from kinn.comparison.run import FEM, NETWORKS, OPTIMIZERS, Run, seconds_to, thinned
from kinn.fem.identify import identify
from kinn.fem.solve import solve as fem_solve
from kinn.networks import MLP, Network, Separate
from kinn.problem_file import ProblemFile
from kinn.report.errors import Comparison
from kinn.report.plots import plot_error
from kinn.report.quantities import quantities
from kinn.report.reference import Reference
from kinn.solution import Solution
from kinn.solver import solve
from kinn.statement.errors import StatementError
from kinn.statement.problem import Problem
from kinn.training import LARGEST_NETWORK

HISTORY_POINTS = 2_000  # a comparison for every record of the history has to be cheap
CLEAR = 3.0  # how much less exact than its reference a solution has to be for its error to mean something
TOLERANCES = tuple(10 ** (-k / 2) for k in range(2, 15))  # of finite elements, one solution after another
History = list[list[Any]]  # rows of seconds, step, size, error
Size = Sequence[Mapping[str, Any]]  # of the parts of a network, one for each group of fields


class Work:
    """A problem, its reference, and the errors of what is compared with it; made once for each run."""

    def __init__(self, file: ProblemFile) -> None:
        self.file, self.problem = file, file.problem()
        reference = file.reference(self.problem)
        if reference is None:
            raise StatementError(f"{file.path} defines no reference(problem), so there is nothing to compare with")
        self.reference: Reference = reference
        self.derived = file.derived(self.problem)
        self._few = Comparison(self.problem, reference, n=HISTORY_POINTS)
        self._many = Comparison(self.problem, reference, derived=self.derived)

    @property
    def floor(self) -> float | None:
        """The estimated error of a reference that is computed: smaller errors against it say nothing."""
        found = [_finite(getattr(one, "estimate", None)) for one in self.reference.solutions]
        return max((estimate for estimate in found if estimate), default=None)

    def error(self, solution: Any) -> float | None:
        """The largest relative L2 error of a field, at few points."""
        return _worst(self._few.relative_l2(solution).values())

    def values(self, solution: Any) -> dict[str, Any]:
        """Relative L2 errors at many points, of a solution that has only values."""
        errors = {name: _finite(error) for name, error in self._many.relative_l2(solution).items()}
        return {"error": _worst(errors.values()), "errors": {name: {"l2": error} for name, error in errors.items()}}

    def all(self, solution: Any) -> dict[str, Any]:
        """Every error of a solution at many points: fields, derived expressions, quantities, parameters."""
        found = self._many.errors(solution)
        errors = {
            name: {"l2": _finite(e.relative_l2), "h1": _finite(e.relative_h1), "max": _finite(e.maximum)}
            for name, e in found.items()
        }
        numbers = quantities(self.file.quantities(self.problem), solution, self.reference)
        return {
            "error": _worst(e["l2"] for e in errors.values()),
            "errors": errors,
            "derived": {name: _finite(e.relative_l2) for name, e in self._many.derived(solution).items()},
            "quantities": {name: {key: _finite(v) for key, v in entry.items()} for name, entry in numbers.items()},
        }

    def identified(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Estimates beside the truth."""
        truths = self.reference.truths
        return {
            name: {"estimate": _finite(e.estimate), "sd": _finite(e.sd), "truth": _finite(truths.get(name))}
            for name, e in parameters.items()
        }


def perform(run: Run, folder: Path, size: Size | None = None, pictures: Path | None = None) -> dict:
    """The row of a run; `size` is what the network has that this one is matched to (`network_size` of its row).

    Raises StatementError for what cannot be run.
    """
    torch.set_num_threads(run.threads)
    file = ProblemFile.load(folder / run.file, run.options)
    peer = None if run.solver in (*NETWORKS, FEM) else load_peer(file.path, run.solver)
    work = Work(file)
    where = {**conditions(run.threads, run.device, peer.packages if peer else ()), "gflops": multiplication_rate()}
    if peer is not None:
        found = peer.perform(work.problem, run, work)
        where["dtype"] = found.pop("dtype")
    elif run.solver == FEM:
        found = _elements(work, run)
    else:
        found = _network(work, run, size, pictures)
    history = found.pop("history")
    more = {"conditions": where, "floor": work.floor, "seconds_to": seconds_to(history), "history": thinned(history)}
    return run.row(**found, **more)


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
        "seconds": result.seconds, "check": _finite(checks[-1] if checks else None), "estimate": _finite(result.estimate),
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
        axes = plot_error(solution, work.reference)
        axes.get_figure(root=True).savefig(path, dpi=80)  # type: ignore[union-attr]
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
        seconds, estimate = time.perf_counter() - start, _finite(solution.estimate)
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


def _finite(value: float | None) -> float | None:
    """JSON has no infinity and no NaN."""
    return float(value) if value is not None and math.isfinite(value) else None


def _worst(values: Iterable[float | None]) -> float | None:
    """The largest of some errors; None where one is missing or infinite, or there are none."""
    given = list(values)
    found = [value for value in given if value is not None and math.isfinite(value)]
    return max(found) if found and len(found) == len(given) else None


__all__ = ["Size", "Work", "perform"]
