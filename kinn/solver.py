"""`solve(problem)`: the door to everything behind it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from kinn.candidates import candidates, check_smoothness, describe
from kinn.checkpoints import Checkpoints
from kinn.formulations.choice import Choice, choose
from kinn.formulations.form import Form
from kinn.formulations.galerkin_form import GalerkinForm
from kinn.formulations.layers import describe as describe_layers
from kinn.formulations.scaling import initial_surrogate
from kinn.formulations.singular import MAX_CORNERS, singular_corners
from kinn.formulations.strong import StrongForm
from kinn.formulations.surrogate import Surrogate
from kinn.formulations.trial import Trial
from kinn.formulations.unknowns import Unknowns
from kinn.formulations.waves import describe as describe_waves
from kinn.inference.intervals import infer
from kinn.limits import Clock, Limits
from kinn.networks import Network
from kinn.optimize import LBFGS, Adam, GaussNewton
from kinn.report.progress import ProgressLine
from kinn.report.tables import singular_texts
from kinn.result import Record, Result, Status
from kinn.solution import Solution
from kinn.statement.errors import StatementError
from kinn.statement.parameters import guesses
from kinn.statement.problem import Problem
from kinn.statement.terms import WeakForm
from kinn.training import POINTS_PER_PARAMETER, Training


@dataclass(frozen=True)
class Plan:
    """What `solve` would do: form and reason, network, number of points, names of the terms, what no term determines, and
    what the trial space has besides networks: materials, singular functions, axes along which it is periodic, layers, waves."""

    form: str
    reason: str
    network_text: str
    n_points: int
    terms: tuple[str, ...]
    left_open: str
    materials: str = ""
    singular: tuple[str, ...] = ()
    periodic: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    waves: tuple[str, ...] = ()


def plan(problem: Problem, network: Any = None, form: str | None = None, singular: bool = True) -> Plan:
    """What `solve` would do with these arguments, without training."""
    problem.check()
    choice = choose(problem, form)
    wanted = Trial.of(problem, _enriching(choice), singular)
    (first, *_), trial = candidates(problem, network, wanted, 0, torch.float64, torch.device("cpu"))
    terms = [term.name for term in choice.strong] if choice.form == "strong" else list(problem.equations)
    terms += [f"data {data.name}" for data in problem.observations]
    modes = singular_texts(trial.modes)
    if singular and any(not mode.jumps for mode in trial.modes) and choice.weak is not None:
        more = len(singular_corners(problem, choice.weak)) - MAX_CORNERS
        modes += [f"none at {more} more corners: the {MAX_CORNERS} most singular ones have them"] if more > 0 else []
    axes = zip(problem.mesh.coordinate_names, trial.periods or (None,) * problem.mesh.dimension, strict=True)
    return Plan(
        choice.form,
        choice.reason,
        describe(first),
        POINTS_PER_PARAMETER * (first.n_parameters + len(problem.parameters)),
        tuple(terms),
        str(choice.left_open or ""),
        "" if trial.parts is None else str(trial.parts),
        tuple(modes),
        tuple(name for name, period in axes if period is not None),
        describe_layers(trial.layers),
        describe_waves(trial.waves, problem.mesh),
    )


def solve(
    problem: Problem,
    network: str | nn.Module | Callable[[int], nn.Module] | Mapping[Any, Any] | None = None,
    form: str | None = None,
    stages: Sequence[Adam | LBFGS | GaussNewton] | None = None,
    tolerance: float = 1e-6,
    steps: int | None = None,
    time_limit: float | None = None,
    start: Solution | None = None,
    guess: Mapping[Any, float] | None = None,
    seed: int = 0,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float64,
    progress: bool = True,
    callback: Callable[[int, float, Solution], None] | None = None,
    checkpoint: str | Path | None = None,
    resume: str | Path | None = None,
    singular: bool = True,
) -> Solution:
    """Train a network on a problem until its estimated relative H1 error is below `tolerance`.

    Args:
        problem: the statement; it is checked first.
        network: "kan" (default; unknown coefficient fields are tensor splines then, see `TensorSpline`), "mlp", a network or any `nn.Module` that maps (n, d) to (n, components), or a function of
            a seed that makes one: then a few of them race at first, as the defaults do. A dict gives fields networks of their
            own, `{"p": "mlp", ("u", "v"): "kan"}`, or the subdomains between which gradients jump,
            `{"steel": "kan", "rest": "mlp"}`.
        form: "strong" or "weak"; by default the one that fits, see `choose`.
        stages: optimizers one after another, `[Adam(2000), LBFGS()]`; by default Gauss-Newton with refinement. Without Gauss-Newton
            no networks race: the first one is trained as it is.
        tolerance: relative H1 error at which the estimate ends the run.
        steps, time_limit: other ends, in optimizer steps and seconds.
        start: an earlier solution of a problem with the same fields, to go on from with its network (`network` is not read).
        guess: first guesses in place of the parameters' own (or those of `start`), by parameter or name: `{"k": 2.0}`; where
            boundary layers are expected is still read from the parameters' own.
        seed: of initial weights and points.
        device, dtype: where and in which precision networks are evaluated.
        progress: whether a line on stderr shows the state.
        callback: called as `callback(step, seconds, solution)` after each record of the history; not counted in the time.
        checkpoint: folder that keeps the state of the run while it trains, and where Ctrl-C or a limit ended it.
        resume: folder of an earlier run with the same arguments, to go on as if it had never ended (bit for bit on one thread);
            `steps` and `time_limit` count from its start and may be larger. Its checkpoints go on there too.
        singular: whether the singular functions of corners, crack tips and junctions of materials belong to the trial space.

    Raises StatementError for a mistake in the statement or the arguments, before anything is trained.

    >>> solution = kinn.solve(problem, time_limit=10)       # doctest: +SKIP
    """
    clock = Clock()
    where = _device(device)
    if not tolerance > 0:
        raise StatementError(f"tolerance is {tolerance}; give a relative error above 0, such as 1e-4")
    stages = [GaussNewton()] if stages is None else list(stages)
    if not stages or any(isinstance(stage, GaussNewton) for stage in stages[:-1]):
        raise StatementError(
            "stages: give at least one; a GaussNewton stage goes on until the run ends, so it comes last"
        )
    problem.check()
    first = guesses(problem.parameters, guess)
    checkpoints = Checkpoints(problem, checkpoint, resume)
    choice = choose(problem, form)
    like = torch.zeros(0, dtype=dtype, device=where)
    trial = Trial.of(problem, _enriching(choice), singular)
    if start is None:
        networks, trial = candidates(problem, network, trial, seed, dtype, where)
    else:
        earlier = start.result.surrogate.trial
        networks = [_network_of(start, problem).to(like)]
        trial = Trial.of(problem, _enriching(choice) if earlier.enriched else None, earlier.singular)
        fresh, trial = trial.waves, trial.with_features(problem, earlier.features)
        sizes = trial.n_inputs(problem.mesh.dimension), trial.n_outputs(len(problem.components))
        same = str(trial.parts) == str(earlier.parts) and len(trial.modes) == len(earlier.modes)
        same = same and all(layer.bounds(problem.mesh.nodes) for layer in earlier.layers)
        same = same and earlier.waves in ((), fresh)
        if (networks[0].n_inputs, networks[0].n_outputs) != sizes or not same:
            raise StatementError(
                "start= is a solution with other materials, singular corners, periodic axes, sides with boundary layers or "
                "short waves than this problem; leave it out"
            )
    check_smoothness(problem, choice, networks[0])
    checkpoints.agree(
        {"seed": seed, "tolerance": tolerance, "form": choice.form, "network": describe(networks[0]), "dtype": str(dtype),
         "stages": ", ".join(map(str, stages)), "singular": singular, "guess": first or None}
    )  # fmt: skip
    surrogate = initial_surrogate(problem, networks[0], trial, like)
    prepared, surrogate = _prepare(
        problem, choice, surrogate, Unknowns.at_guess(problem, surrogate, first).parameters()
    )
    if start is not None:
        surrogate = _continued(start.result.surrogate, surrogate, networks[0])
        first = guesses(problem.parameters, _started(start, problem) | dict(guess or {}))
    racers = [Unknowns.at_guess(problem, replace(surrogate, network=n), first) for n in networks]
    line = ProgressLine(enabled=progress)

    def result(training: Training, unknowns: Unknowns, status: Status, message: str, final: bool) -> Result:
        inferred = infer(unknowns, training if final else None)
        return Result(
            problem=problem, surrogate=unknowns.surrogate, parameters=inferred.parameters, form=choice.form, reason=choice.reason,
            network=describe(unknowns.surrogate.network), status=status, message=message, seed=seed,
            seconds=clock.seconds(), steps=training.steps, tolerance=tolerance, estimate=training.estimate,
            estimate_note=_note(problem, choice, prepared), terms=dict(training.terms), history=tuple(training.history),
            sigmas={d.name or "": float(np.median(s)) for d, s in zip(problem.observations, training.data.sigmas, strict=True)},
            note=inferred.note, root=inferred.root, leverage=inferred.leverage, n_points=training.n_points,
        )  # fmt: skip

    def on_record(record: Record, unknowns: Unknowns, terms: dict[str, float]) -> None:
        line.show(record, terms)
        if callback is not None:
            callback(
                record.step, record.seconds, Solution(result(training, unknowns, Status.STEP_LIMIT, "", final=False))
            )

    limits = Limits(tolerance, steps, time_limit)
    training = Training(problem, prepared, racers, limits, seed, clock, on_record, checkpoints.keep, start is not None)
    checkpoints.restore(training)
    # SciPy's BLAS threads would spin against torch's: on two cores a step of the weak form took four times as long.
    with checkpoints, line, threadpool_limits(limits=1, user_api="blas"):
        status, message = training.run(stages)
    return Solution(result(training, training.unknowns, status, message, final=True))


def _enriching(choice: Choice) -> WeakForm | None:
    """The weak form by which materials and corners enrich the trial space; smooth solutions need none of it."""
    return choice.weak if choice.form == "weak" else None


def _note(problem: Problem, choice: Choice, form: Form) -> str:
    note = "for the parameters as they were identified" if problem.parameters else ""
    for term in [] if choice.weak is None else choice.weak.other:
        if term.kind != "integral":
            note = f"{term.name!r} is a general condition, which finite elements do not take"
    note = choice.lacking or form.lacking or note
    left = str(choice.left_open or "")
    return "; ".join(text for text in (note, f"the solution is determined up to: {left}" * bool(left)) if text)


def _prepare(problem: Problem, choice: Choice, surrogate: Surrogate, parameters: Tensor) -> tuple[Form, Surrogate]:
    if choice.form == "weak":
        assert choice.weak is not None
        return GalerkinForm.prepare(problem, choice.weak, surrogate, parameters)
    return StrongForm.prepare(problem, choice, surrogate, parameters)


def _network_of(start: Solution, problem: Problem) -> Network:
    surrogate = start.result.surrogate
    known = [str(component) for component in start.problem.components]
    if known != [str(component) for component in problem.components]:
        raise StatementError(
            f"start= is a solution for {', '.join(known)}, not for this problem's fields; leave start out"
        )
    return copy.deepcopy(surrogate.network)  # the earlier solution stays as it is


def _continued(earlier: Surrogate, fresh: Surrogate, network: Network) -> Surrogate:
    """The earlier network with its own scaling in this problem's trial space, with its boundary values."""
    center, scale, offset, amplitude = (
        part.to(fresh.center) for part in (earlier.center, earlier.scale, earlier.offset, earlier.amplitude)
    )
    return Surrogate(network, center, scale, offset, amplitude, fresh.trial)


def _started(start: Solution, problem: Problem) -> dict[Any, float]:
    """The earlier estimates of parameters that lie inside the present bounds."""
    found = {name: known.estimate for name, known in start.parameters.items() if name in problem.parameters}
    return {name: value for name, value in found.items() if problem.parameters[name].admits(value)}


def _device(device: str | torch.device) -> torch.device:
    try:
        where = torch.device(device)
        torch.zeros(1, device=where)
    except (RuntimeError, AssertionError) as error:
        there = "cpu, cuda" if torch.cuda.is_available() else "cpu"
        reason = str(error).splitlines()[0]
        raise StatementError(f"device {str(device)!r} is not there ({reason}); this machine has: {there}") from None
    return where


__all__ = ["Plan", "plan", "solve"]
