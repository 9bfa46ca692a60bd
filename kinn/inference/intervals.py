"""Standard deviations and intervals of identified parameters, the network's weights eliminated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from kinn.formulations.prior import weights_of
from kinn.formulations.system import System
from kinn.formulations.unknowns import Unknowns
from kinn.inference.identifiability import covariance_of
from kinn.result import Estimated
from kinn.statement.parameters import Parameter
from kinn.training import Training

NORMAL_95 = 1.959963984540054
UNDETERMINED = 1e-14  # of the largest eigenvalue


@dataclass(frozen=True, eq=False)
class Inferred:
    """What a run says of its unknowns.

    Attributes:
        parameters: estimate, standard deviation and 95 % interval of each parameter.
        note: which combinations the data determine, where they do not determine all.
        bands: for each unknown coefficient field a root B (P, r) of the covariance B B' of the weights of its network, P of all.
    """

    parameters: dict[str, Estimated]
    note: str = ""
    bands: dict[str, Tensor] = field(default_factory=dict)


def infer(unknowns: Unknowns, training: Training | None) -> Inferred:
    """Each parameter's estimate; with a finished `training` that had data, standard deviations, intervals and bands.

    The loss, divided by the weight of the data, is `sum (misfit / sigma)^2` plus priors plus physics that is all but a
    constraint. The covariance of the free parameters is then the inverse of the Schur complement of its Gauss-Newton matrix:
    what the data still say about a parameter when the network may answer every change of it. Intervals are formed for the free
    numbers and mapped back, so that they respect the bounds.
    """
    problem = unknowns.problem
    with torch.no_grad():
        values = unknowns.parameters().tolist()
    symbols, free = list(problem.parameters.values()), unknowns.free.tolist()
    if training is None or not problem.observations or not (symbols or problem.identified):
        return Inferred({s.name: Estimated(value) for s, value in zip(symbols, values, strict=True)})
    system, parameters, note = training.final_system(), {}, ""
    if symbols:
        root = information_root(system, len(symbols), training.data_factor)
        covariance, note = covariance_of(root.numpy(), symbols, free)
        parameters = intervals(symbols, free, np.sqrt(covariance.diagonal()).tolist())
    return Inferred(parameters, note, bands(system, training.data_factor) if problem.identified else {})


def intervals(symbols: Sequence[Parameter], free: Sequence[float], deviations: Sequence[float]) -> dict[str, Estimated]:
    """Estimates, standard deviations and 95 % intervals from free numbers and their standard deviations."""
    found = {}
    for symbol, middle, spread in zip(symbols, map(float, free), map(float, deviations), strict=True):
        ends = sorted(symbol.from_free(middle + side * NORMAL_95 * spread) for side in (-1, 1))
        found[symbol.name] = Estimated(symbol.from_free(middle), abs(symbol.slope(middle)) * spread, ends[0], ends[1])
    return found


def information_root(system: System, n_parameters: int, data_factor: float) -> Tensor:
    """R (p, p) with `R'R` the information on the last `p` unknowns, the others eliminated, where data count `data_factor` in
    the loss.

    With the Jacobian `J = Q R`, columns of the parameters last, the Schur complement is `R_pp' R_pp`: no digits are lost to
    the normal equations.
    """
    found, rounding = system.triangle(), 1e-8
    if found is None:
        rounding = 3e-7  # normal equations lose half the digits
        gram = system.normal_equations()[1].cpu().double()
        scale = gram.diagonal().clamp_min(1e-300).rsqrt()
        values, vectors = torch.linalg.eigh(gram * scale[:, None] * scale)
        triangle = values.clamp_min(0).sqrt()[:, None] * vectors.T
    else:
        triangle = found[0].cpu().double()
        scale = triangle.norm(dim=0).clamp_min(1e-300).reciprocal()
        triangle = triangle * scale
    ridge = torch.full_like(scale, rounding)
    ridge[-n_parameters:] = 0  # weights that nothing determines must not make the parameters look undetermined
    triangle = torch.linalg.qr(torch.cat([triangle, torch.diag(ridge)]), mode="r")[1]
    return triangle[-n_parameters:, -n_parameters:] / scale[-n_parameters:] / data_factor**0.5


def bands(system: System, data_factor: float) -> dict[str, Tensor]:
    """For each unknown coefficient field a root of the covariance of all weights, with rows for its network alone."""
    unknowns, gram = system.unknowns, system.normal_equations()[1].cpu().double() / data_factor
    scale = gram.diagonal().clamp_min(1e-300).rsqrt()
    values, vectors = torch.linalg.eigh(gram * scale[:, None] * scale)
    kept = values > UNDETERMINED * values[-1]  # weights that change no function have no part in a band
    root = scale[:, None] * vectors[:, kept] * values[kept].rsqrt()
    found = {}
    for component in unknowns.problem.identified:
        own = torch.zeros_like(root)
        here = weights_of(unknowns, component)
        own[here] = root[here]
        found[component.name] = torch.linalg.qr(own.T, mode="r")[1].T.contiguous()
    return found
