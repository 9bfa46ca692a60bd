"""The initial networks of a run: the library's own, which race, or those that the user brings, and whether they fit."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import sympy as sp
import torch
from torch import nn

from kinn.bases import BSpline, Chebyshev
from kinn.formulations.choice import Choice
from kinn.formulations.energy import expected
from kinn.formulations.integrals import pointwise
from kinn.formulations.parts import REST
from kinn.formulations.program import Program
from kinn.formulations.trial import Trial
from kinn.networks import KAN, MLP, ModuleNetwork, Network, Separate, TensorSpline, places_of
from kinn.networks.tensor_spline import CELLS
from kinn.statement.calculus import expanded
from kinn.statement.errors import StatementError, suggest
from kinn.statement.fields import FieldComponent
from kinn.statement.priors import GaussianField
from kinn.statement.problem import Problem

NETWORKS = ("kan", "mlp")
CANDIDATES = 5
# Nodes of the hidden layers, in general and for one or two outputs that depend on more than two coordinates and layers, and the first
# degree: at equal parameters and seconds many edges of low degree are more exact than few of high degree, and more edges than these
# take longer to refine, the more so where more points are needed.
HIDDEN, HIDDEN_IN_SPACE, DEGREE, MLP_HIDDEN = 8, 6, 2, 22
# Of one coordinate an edge alone is any function, and linear in its weights: linear equations are solved in one step.
DEGREE_OF_AN_EDGE = 32
FINEST = {1: 4096, 2: 256, 3: 40}  # cells along each axis of splines for fields without derivatives


def candidates(
    problem: Problem, network: Any, trial: Trial, seed: int, dtype: torch.dtype, device: torch.device
) -> tuple[list[Network], Trial]:
    """The initial networks that race, one where the user brings it, and the trial space that they fit.

    `network` is what `solve` takes; a dict has one entry for each field, or tuple of fields, or for each subdomain. A network of
    the user's own may have one output for each component: then the trial space has no parts and no singular functions; or one
    input for each coordinate: then it has no boundary layers and waves.

    Raises StatementError for what is no network, does not fit the problem, or leaves a field out.
    """
    network = None if isinstance(network, str) and network == "kan" else network
    networks = network if isinstance(network, Mapping) else dict.fromkeys(groups(problem, network), network)
    d, (places, plain) = trial.n_inputs(problem.mesh.dimension), _places(problem, networks, trial)
    few_inputs = d - trial.n_features
    solid = problem.mesh.dimension + len(trial.layers) > 2
    splines = _splines(problem, network, trial)
    made = [
        [TensorSpline(d, len(own), *splines[name]) for _ in range(CANDIDATES)]
        if name in splines
        else _made(one, d, len(own), len(networks) * seed + part, few_inputs, solid)
        for part, ((name, one), own) in enumerate(zip(networks.items(), places, strict=True))
    ]
    if trial.features and any(first.n_inputs == few_inputs for first, *_ in made):
        return candidates(problem, network, trial.with_features(problem, ()), seed, dtype, device)
    for (first, *_), own, few in zip(made, places, plain, strict=True):
        if first.n_outputs == len(few) != len(own):
            smooth = Trial.of(problem).with_features(problem, trial.features)
            return candidates(problem, network, smooth, seed, dtype, device)
    found: list[Network] = []
    # splines begin as they are, whatever the seed
    for k in range(1 if len(splines) == len(networks) else max(map(len, made))):
        parts = [
            _checked(
                some[k] if k < len(some) else copy.deepcopy(some[k % len(some)]), d, len(own), len(few), few_inputs
            )
            for some, own, few in zip(made, places, plain, strict=True)
        ]
        found.append(parts[0] if len(parts) == 1 else Separate(parts, places))
    return [one.to(dtype=dtype, device=device) for one in found], trial


def _places(
    problem: Problem, names: Iterable[str | tuple[str, ...]], trial: Trial
) -> tuple[list[list[int]], list[list[int]]]:
    """The outputs of each network of a dict, by fields or by subdomains, and those without materials and singular functions."""
    single = [name for group in names for name in ((group,) if isinstance(group, str) else group)]
    known = {*problem.mesh.subdomains, REST}
    if single and not problem.fields.keys() & set(single) and known.issuperset(single):
        places = places_of(names, trial.owners_by_subdomain(problem, single), "subdomain")
        return places, places
    fields = [component.field for component in problem.components]
    return places_of(names, trial.owners(problem)), places_of(names, fields)


def groups(problem: Problem, network: Any = None) -> list[tuple[str, ...]]:
    """The fields that share a network of the library's: all that equations determine, and each unknown coefficient alone."""
    alone = {component.field for component in problem.identified}
    if not (network is None or isinstance(network, str)) or len(alone) == len(problem.fields):
        return [tuple(problem.fields)]
    shared = tuple(name for name in problem.fields if name not in alone)
    return [shared, *((name,) for name in problem.fields if name in alone)]


Spline = tuple[tuple[int, ...], BSpline | None]


def _splines(problem: Problem, network: Any, trial: Trial) -> dict[tuple[str, ...], Spline]:
    """The groups of fields that tensor splines stand for by default, with the axes that these depend on: unknown coefficients of the
    whole domain, or of a plane side, in the weak form; and all fields of linear equations without derivatives, as finely as the
    mesh is."""
    mesh, d, found = problem.mesh, problem.mesh.dimension, {}
    if network is not None or trial.n_inputs(d) != d:
        return {}
    if _is_pointwise(problem) and not trial.enriched and d <= 3:
        cells = min(max(round(len(mesh.nodes) ** (1 / d)) - 1, 1), FINEST[d])
        shared = groups(problem, network)
        return {shared[0]: (tuple(range(d)), BSpline(1, cells))} if len(shared) == 1 else {}
    if not (trial.enriched and problem.observations and len(problem.components) > len(problem.identified)):
        return {}
    for component in problem.identified:
        facets = mesh.facets_of(component.on) if component.on else slice(None)
        corners = np.asarray(mesh.skfem.p)[:, np.asarray(mesh.skfem.facets)[:, facets]].reshape(d, -1)
        axes = tuple(np.flatnonzero(np.ptp(corners, axis=1) > 1e-9 * mesh.scale).tolist())
        if len(axes) == d - bool(component.on) and 0 < len(axes) <= 3:
            smooth = isinstance(expected(component).prior, GaussianField)
            found[component.field,] = axes, None if smooth else BSpline(2, CELLS[len(axes)])
    return found


def _is_pointwise(problem: Problem) -> bool:
    """Whether linear equations alone, without a derivative of a field, say what the fields are at each place."""
    if problem.conditions or problem.parameters or problem.observations or not problem.is_linear:
        return False
    nodes = [node for row in problem.rows for node in expanded(row.expression).atoms(sp.Derivative)]
    return not any(node.atoms(FieldComponent) for node in nodes)


def _made(network: Any, d: int, c: int, seed: int, few_inputs: int, solid: bool) -> list[Network]:
    """The networks that an argument stands for: one that the user brings, or a few to race with d inputs and c outputs, for fields
    in space if `solid`; a module of the user's has `few_inputs`, without features, if it can."""
    make = network
    if network is None or isinstance(network, str):
        if network not in (None, *NETWORKS):
            raise StatementError(f"network {network!r} is not known{suggest(str(network), NETWORKS)}")
        make = _default_mlp(d, c) if network == "mlp" else _default_kan(d, c, solid)
    if isinstance(make, nn.Module):
        return [_wrapped(make, d, few_inputs)]
    if not callable(make):
        raise StatementError(
            f"network is a {type(make).__name__}; give 'kan', 'mlp', a kinn network, a torch nn.Module, a function of a seed "
            "that makes one, or a dict with one of these for each field, or for each subdomain"
        )
    return [_wrapped(make(CANDIDATES * seed + k), d, few_inputs) for k in range(CANDIDATES)]


def _default_kan(d: int, c: int, solid: bool) -> Callable[[int], Network]:
    hidden = HIDDEN_IN_SPACE if solid and c <= 2 else HIDDEN

    def make(seed: int) -> Network:
        if d == 1 and seed % CANDIDATES == 0:
            return KAN([1, c], Chebyshev(DEGREE_OF_AN_EDGE), base=False, seed=seed)
        return KAN([d, hidden, hidden, c], Chebyshev(DEGREE), base=False, seed=seed)

    return make


def _default_mlp(d: int, c: int) -> Callable[[int], Network]:
    return lambda seed: MLP([d, MLP_HIDDEN, MLP_HIDDEN, c], seed=seed)


def _wrapped(network: Any, d: int, few_inputs: int) -> Network:
    """A copy of the network behind the library's interface; one point tells how many inputs and outputs a module has."""
    if not isinstance(network, nn.Module):
        raise StatementError(f"the network is a {type(network).__name__}; give a kinn network or a torch nn.Module")
    network = copy.deepcopy(network)  # training must not change what the user has
    if isinstance(network, Network):
        return network
    like, reason = next(network.parameters(), torch.zeros(0, dtype=torch.float64)), ""
    for size in sorted({few_inputs, d}):
        try:
            with torch.no_grad():
                shape = tuple(network(like.new_zeros(1, size)).shape)
        except (RuntimeError, AttributeError, TypeError, IndexError, ValueError) as error:
            reason = reason or " ".join(str(error).split())
            continue
        if len(shape) != 2 or shape[0] != 1:
            raise StatementError(
                f"the network maps points (1, {size}) to shape {shape}; give one that maps (n, {size}) to (n, outputs)"
            )
        return ModuleNetwork(network, size, shape[1])
    raise StatementError(f"the network fails on points of shape (1, {few_inputs}), the problem's coordinates: {reason}")


def _checked(network: Network, d: int, c: int, components: int, few_inputs: int) -> Network:
    if (network.n_inputs, network.n_outputs) != (d, c):
        more = "" if c == components else f", or with {c} for the outputs of all materials and singular functions"
        if few_inputs < d:
            more += f"; {d} inputs are the coordinates and {d - few_inputs} boundary layers and waves"
        raise StatementError(
            f"the network maps {network.n_inputs} inputs to {network.n_outputs} outputs, but the problem has {few_inputs} "
            f"coordinates and {components} components; give widths [{few_inputs}, ..., {components}]{more}"
        )
    return network


def describe(network: Network) -> str:
    """A network in one line: widths, basis and number of weights."""
    if isinstance(network, Separate):
        return " + ".join(describe(part) for part in network.parts if isinstance(part, Network))
    if isinstance(network, KAN):
        settings = ", ".join(
            f"{name} {value}" for name, value in network.basis.settings().items() if not isinstance(value, list)
        )
        return f"KAN {network.widths}, {network.basis.name} {settings}, {network.n_parameters} weights"
    if isinstance(network, TensorSpline):
        degree, cells = network.basis.degree, network.basis.cells
        return f"tensor spline of degree {degree}, {cells} cells along each axis, {network.n_parameters} weights"
    if isinstance(network, MLP):
        return f"MLP {network.widths}, tanh, {network.n_parameters} weights"
    return f"{type(getattr(network, 'module', network)).__name__}, {network.n_parameters} weights"


def check_smoothness(problem: Problem, choice: Choice, network: Network) -> None:
    """Refuse a network without the derivatives that the form needs."""
    smoothness = network.smoothness
    if smoothness is None:
        return
    expressions = pointwise(e for term in choice.strong for e in term.expressions)
    if choice.form == "weak" and choice.weak is not None:
        expressions = [e for row in choice.weak.rows for e in (*row.flux, row.source)]
    order = max((sum(index) for _, index in Program(expressions, problem).jets), default=0)
    if order > smoothness:
        raise StatementError(
            f"the {choice.form} form takes derivatives of order {order}, but the network's basis has {smoothness} continuous "
            f"ones; use BSpline(degree={order + 1}) or higher, Chebyshev, Fourier or Gaussian"
        )


__all__ = ["candidates", "check_smoothness", "describe", "groups"]
