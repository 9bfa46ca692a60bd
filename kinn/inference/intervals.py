"""Standard deviations and intervals of identified parameters, the network's weights eliminated."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from kinn.formulations.system import System
from kinn.formulations.unknowns import Unknowns
from kinn.result import Estimated
from kinn.statement.parameters import Parameter
from kinn.training import Training

NORMAL_95 = 1.959963984540054


def estimated_parameters(unknowns: Unknowns, training: Training | None) -> dict[str, Estimated]:
    """Each parameter's estimate; with a finished `training` that had data, its standard deviation and 95 % interval.

    The loss, divided by the weight of the data, is `sum (misfit / sigma)^2` plus physics that is all but a constraint. The
    covariance of the free parameters is then the inverse of the Schur complement of its Gauss-Newton matrix: what the data
    still say about a parameter when the network may answer every change of it. Intervals are formed for the free numbers and
    mapped back, so that they respect the bounds.
    """
    with torch.no_grad():
        values = unknowns.parameters().tolist()
    names = list(unknowns.problem.parameters)
    if training is None or not unknowns.problem.observations or not names:
        return {name: Estimated(value) for name, value in zip(names, values, strict=True)}
    covariance = parameter_covariance(training.final_system(), len(names), training.data_factor)
    deviations = covariance.diagonal().clamp_min(0).sqrt()
    return intervals(list(unknowns.problem.parameters.values()), unknowns.free.tolist(), deviations.tolist())


def intervals(symbols: Sequence[Parameter], free: Sequence[float], deviations: Sequence[float]) -> dict[str, Estimated]:
    """Estimates, standard deviations and 95 % intervals from free numbers and their standard deviations."""
    found = {}
    for symbol, middle, spread in zip(symbols, map(float, free), map(float, deviations), strict=True):
        ends = sorted(_value(symbol, middle + side * NORMAL_95 * spread) for side in (-1, 1))
        found[symbol.name] = Estimated(symbol.from_free(middle), abs(symbol.slope(middle)) * spread, ends[0], ends[1])
    return found


def parameter_covariance(system: System, n_parameters: int, data_factor: float) -> Tensor:
    """Covariance (p, p) of the last `p` unknowns, the others eliminated, where data count `data_factor` in the loss.

    With the Jacobian `J = Q R`, columns of the parameters last, the Schur complement is `R_pp' R_pp`: no digits are lost to
    the normal equations.
    """
    found = system.triangle()
    if found is None:
        gram = system.normal_equations()[1].cpu().double()
        scale = gram.diagonal().clamp_min(1e-300).rsqrt()
        values, vectors = torch.linalg.eigh(gram * scale[:, None] * scale)
        triangle = values.clamp_min(1e-13).sqrt()[:, None] * vectors.T
    else:
        triangle = found[0].cpu().double()
        scale = triangle.norm(dim=0).clamp_min(1e-300).reciprocal()
        triangle = triangle * scale
    ridge = torch.full_like(scale, 1e-8)
    ridge[-n_parameters:] = 0  # weights that nothing determines must not make the parameters look undetermined
    triangle = torch.linalg.qr(torch.cat([triangle, torch.diag(ridge)]), mode="r")[1]
    corner = triangle[-n_parameters:, -n_parameters:] / scale[-n_parameters:] / data_factor**0.5
    return torch.linalg.pinv(corner.T @ corner, hermitian=True)


def _value(symbol: Parameter, free: float) -> float:
    try:
        return symbol.from_free(free)
    except OverflowError:
        return float("inf")
