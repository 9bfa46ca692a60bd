"""`solve(problem)`: the door to everything behind it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from kinn.bases import Chebyshev
from kinn.formulations.choice import Choice, choose
from kinn.formulations.dual import DualForm
from kinn.formulations.form import Form
from kinn.formulations.lift import BoxLift
from kinn.formulations.program import Program
from kinn.formulations.scaling import initial_surrogate
from kinn.formulations.strong import StrongForm
from kinn.formulations.surrogate import Surrogate
from kinn.formulations.unknowns import Unknowns
from kinn.inference.intervals import estimated_parameters
from kinn.limits import Clock, Limits
from kinn.networks import KAN, MLP, ModuleNetwork, Network
from kinn.optimize import Adam, GaussNewton
from kinn.report.progress import ProgressLine
from kinn.result import Record, Result, Status
from kinn.solution import Solution
from kinn.statement.errors import StatementError, suggest
from kinn.statement.problem import Problem
from kinn.training import POINTS_PER_PARAMETER, Training

NETWORKS = ("kan", "mlp")
CANDIDATES = 5
HIDDEN, MLP_HIDDEN = 5, 22


@dataclass(frozen=True)
class Plan:
    """What `solve` would do: form and reason, network, number of points, names of the terms."""

    form: str
    reason: str
    network_text: str
    n_points: int
    terms: tuple[str, ...]


def plan(problem: Problem, network: Any = None, form: str | None = None) -> Plan:
    """What `solve` would do with these arguments, without training."""
    problem.check()
    choice = choose(problem, form)
    first = _candidates(problem, network, 0, torch.float64, torch.device("cpu"))[0]
    terms = [term.name for term in choice.strong] if choice.form == "strong" else list(problem.equations)
    terms += [f"data {data.name}" for data in problem.observations]
    size = first.n_parameters + len(problem.parameters)
    return Plan(choice.form, choice.reason, _describe(first), POINTS_PER_PARAMETER * size, tuple(terms))


def solve(
    problem: Problem,
    network: str | nn.Module | Callable[[int], nn.Module] | None = None,
    form: str | None = None,
    stages: Sequence[Adam | GaussNewton] | None = None,
    tolerance: float = 1e-6,
    steps: int | None = None,
    time_limit: float | None = None,
    start: Solution | None = None,
    seed: int = 0,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float64,
    progress: bool = True,
    callback: Callable[[int, float, Solution], None] | None = None,
) -> Solution:
    """Train a network on a problem until its estimated relative H1 error is below `tolerance`.

    Args:
        problem: the statement; it is checked first.
        network: "kan" (default), "mlp", a network or any `nn.Module` that maps (n, d) to (n, components), or a function of
            a seed that makes one: then a few of them race at first, as the defaults do.
        form: "strong" or "weak"; by default the one that fits, see `choose`.
        stages: optimizers one after another; by default Gauss-Newton with refinement.
        tolerance: relative H1 error at which the estimate ends the run.
        steps, time_limit: other ends, in optimizer steps and seconds.
        start: an earlier solution of a problem with the same fields, to go on from with its network (`network` is not read).
        seed: of initial weights and points.
        device, dtype: where and in which precision networks are evaluated.
        progress: whether a line on stderr shows the state.
        callback: called as `callback(step, seconds, solution)` after each record of the history; not counted in the time.

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
    choice = choose(problem, form)
    like = torch.zeros(0, dtype=dtype, device=where)
    networks = (
        [_network_of(start, problem).to(like)]
        if start is not None
        else _candidates(problem, network, seed, dtype, where)
    )
    _check_smoothness(problem, choice, networks[0])
    surrogate = initial_surrogate(problem, networks[0], BoxLift.of(problem), like)
    guess = Unknowns.at_guess(problem, surrogate)
    prepared, surrogate = _prepare(problem, choice, surrogate, guess.parameters())
    if start is not None:
        surrogate = _continued(start.result.surrogate, surrogate, networks[0])
        guess.free = like.new_tensor([p.to_free(_started(start, p)) for p in problem.parameters.values()])
    candidates = [Unknowns(problem, Surrogate(n, *_parts(surrogate)), guess.free.clone()) for n in networks]
    line = ProgressLine(enabled=progress)

    def result(training: Training, unknowns: Unknowns, status: Status, message: str, final: bool) -> Result:
        parameters = estimated_parameters(unknowns, training if final else None)
        return Result(
            problem=problem, surrogate=unknowns.surrogate, parameters=parameters, form=choice.form, reason=choice.reason,
            network=_describe(unknowns.surrogate.network), status=status, message=message, seed=seed,
            seconds=clock.seconds(), steps=training.steps, tolerance=tolerance, estimate=training.estimate,
            estimate_note=_note(problem, choice, prepared), terms=dict(training.terms), history=tuple(training.history),
            sigmas={d.name or "": float(s.mean()) for d, s in zip(problem.observations, training.data.sigmas, strict=True)},
        )  # fmt: skip

    def on_record(record: Record, unknowns: Unknowns, terms: dict[str, float]) -> None:
        line.show(record, terms)
        if callback is not None:
            callback(
                record.step, record.seconds, Solution(result(training, unknowns, Status.STEP_LIMIT, "", final=False))
            )

    training = Training(problem, prepared, candidates, Limits(tolerance, steps, time_limit), seed, clock, on_record)
    # SciPy's BLAS threads would spin against torch's: on two cores a step of the weak form took four times as long.
    with line, threadpool_limits(limits=1, user_api="blas"):
        status, message = training.run(stages)
    return Solution(result(training, training.unknowns, status, message, final=True))


def _parts(surrogate: Surrogate) -> tuple[Tensor, Tensor, Tensor, Tensor, BoxLift | None]:
    return surrogate.center, surrogate.scale, surrogate.offset, surrogate.amplitude, surrogate.lift


def _note(problem: Problem, choice: Choice, form: Form) -> str:
    if choice.weak is None or form.lacking:
        return choice.lacking or form.lacking
    if choice.weak.other:
        return f"{choice.weak.other[0].name!r} is a general condition, which finite elements do not take"
    return "for the parameters as they were identified" if problem.parameters else ""


def _prepare(problem: Problem, choice: Choice, surrogate: Surrogate, parameters: Tensor) -> tuple[Form, Surrogate]:
    if choice.form == "weak":
        assert choice.weak is not None
        return DualForm.prepare(problem, choice.weak, surrogate, parameters)
    return StrongForm.prepare(problem, choice, surrogate, parameters)


def _candidates(problem: Problem, network: Any, seed: int, dtype: torch.dtype, device: torch.device) -> list[Network]:
    """The initial networks that race; one where the user brings it."""
    d, c = problem.mesh.dimension, len(problem.components)
    make = network
    if network is None or isinstance(network, str):
        if network not in (None, *NETWORKS):
            raise StatementError(f"network {network!r} is not known{suggest(str(network), NETWORKS)}")
        make = _default_mlp(d, c) if network == "mlp" else _default_kan(d, c)
    if isinstance(make, nn.Module):
        return [_fitted(make, d, c).to(dtype=dtype, device=device)]
    if not callable(make):
        raise StatementError(
            f"network is a {type(make).__name__}; give 'kan', 'mlp', a kinn network, a torch nn.Module, or a function of a "
            "seed that makes one"
        )
    return [_fitted(make(CANDIDATES * seed + k), d, c).to(dtype=dtype, device=device) for k in range(CANDIDATES)]


def _default_kan(d: int, c: int) -> Callable[[int], Network]:
    return lambda seed: KAN([d, HIDDEN, HIDDEN, c], Chebyshev(3), base=False, seed=seed)


def _default_mlp(d: int, c: int) -> Callable[[int], Network]:
    return lambda seed: MLP([d, MLP_HIDDEN, MLP_HIDDEN, c], seed=seed)


def _fitted(network: Any, d: int, c: int) -> Network:
    """The network behind the library's interface; refused if it does not map d coordinates to c components."""
    if not isinstance(network, nn.Module):
        raise StatementError(f"the network is a {type(network).__name__}; give a kinn network or a torch nn.Module")
    network = copy.deepcopy(network)  # training must not change what the user has
    wrapped = network if isinstance(network, Network) else ModuleNetwork(network, d, c)
    if (wrapped.n_inputs, wrapped.n_outputs) != (d, c):
        raise StatementError(
            f"the network maps {wrapped.n_inputs} inputs to {wrapped.n_outputs} outputs, but the problem has {d} coordinates "
            f"and {c} components; give widths [{d}, ..., {c}]"
        )
    return wrapped


def _check_smoothness(problem: Problem, choice: Choice, network: Network) -> None:
    """Refuse a network without the derivatives that the form needs."""
    smoothness = network.smoothness
    if smoothness is None:
        return
    expressions = [e for term in choice.strong for e in term.expressions]
    if choice.form == "weak" and choice.weak is not None:
        expressions = [e for row in choice.weak.rows for e in (*row.flux, row.source)]
    order = max((sum(index) for _, index in Program(expressions, problem).jets), default=0)
    if order > smoothness:
        raise StatementError(
            f"the {choice.form} form takes derivatives of order {order}, but the network's basis has {smoothness} continuous "
            f"ones; use BSpline(degree={order + 1}) or higher, Chebyshev or Gaussian"
        )


def _network_of(start: Solution, problem: Problem) -> Network:
    surrogate = start.result.surrogate
    known = [str(component) for component in start.problem.components]
    if known != [str(component) for component in problem.components]:
        raise StatementError(
            f"start= is a solution for {', '.join(known)}, not for this problem's fields; leave start out"
        )
    return copy.deepcopy(surrogate.network)  # the earlier solution stays as it is


def _continued(earlier: Surrogate, fresh: Surrogate, network: Network) -> Surrogate:
    """The earlier network with its own scaling and this problem's boundary values."""
    center, scale, offset, amplitude = (
        part.to(fresh.center) for part in (earlier.center, earlier.scale, earlier.offset, earlier.amplitude)
    )
    return Surrogate(network, center, scale, offset, amplitude, fresh.lift)


def _started(start: Solution, parameter: Any) -> float:
    """The earlier estimate of a parameter, or the guess where that lies outside the present bounds."""
    known = start.parameters.get(parameter.name)
    if known is None:
        return parameter.guess
    above = parameter.lower is None or known.estimate > parameter.lower
    below = parameter.upper is None or known.estimate < parameter.upper
    return known.estimate if above and below else parameter.guess


def _device(device: str | torch.device) -> torch.device:
    try:
        where = torch.device(device)
        torch.zeros(1, device=where)
    except (RuntimeError, AssertionError) as error:
        there = "cpu, cuda" if torch.cuda.is_available() else "cpu"
        reason = str(error).splitlines()[0]
        raise StatementError(f"device {str(device)!r} is not there ({reason}); this machine has: {there}") from None
    return where


def _describe(network: Network) -> str:
    if isinstance(network, KAN):
        settings = ", ".join(
            f"{name} {value}" for name, value in network.basis.settings().items() if not isinstance(value, list)
        )
        return f"KAN {network.widths}, {network.basis.name} {settings}, {network.n_parameters} weights"
    if isinstance(network, MLP):
        return f"MLP {network.widths}, tanh, {network.n_parameters} weights"
    return f"{type(getattr(network, 'module', network)).__name__}, {network.n_parameters} weights"


__all__ = ["Plan", "plan", "solve"]
