"""Standard deviations and intervals of identified parameters, the network's weights eliminated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from kinn.formulations import projection
from kinn.formulations.prior import determined_by_data
from kinn.formulations.system import System
from kinn.formulations.unknowns import Unknowns
from kinn.inference.contradiction import contradictions
from kinn.inference.identifiability import at_bounds, covariance_of
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
        note: which combinations the data determine, where they do not determine all, and which data contradict the statement.
        root, leverage: as `Result` holds them.
    """

    parameters: dict[str, Estimated]
    note: str = ""
    root: Tensor = field(default_factory=lambda: torch.zeros(0, 0, dtype=torch.float64))
    leverage: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.float64))


def infer(unknowns: Unknowns, training: Training | None) -> Inferred:
    """Each parameter's estimate; with a finished `training` that had data, standard deviations, intervals and bands.

    The covariance of what data determine is the inverse of what data and priors say of it, `S' S + P` with S what standardized data
    change by with each number while the statement holds, and P half the second derivative of the priors. Finite elements tell S.
    Where they do not have the whole statement, it is the Schur complement of the Gauss-Newton matrix of the loss, divided by the
    weight of the data: `sum (misfit / sigma)^2` plus priors plus physics that is all but a constraint. Intervals are formed for the
    free numbers and mapped back, so that they respect the bounds.
    """
    problem = unknowns.problem
    with torch.no_grad():
        values = unknowns.parameters().tolist()
    symbols, free = list(problem.parameters.values()), unknowns.free.tolist()
    if training is None or not problem.observations:
        return Inferred({s.name: Estimated(value) for s, value in zip(symbols, values, strict=True)})
    settled, misfits = training.settled, training.data.residuals(unknowns)
    # for fields one solve for each weight: what the last step followed, where it was a small one
    near = problem.identified and settled is not None and settled.shift < projection.SETTLED
    influence = settled.influence if settled is not None and near else training.form.influence(unknowns)
    if influence is not None:  # what is left of them once the solution fulfills the statement
        ends = np.cumsum([len(data) for data in problem.observations])[:-1]
        misfits = [one + change for one, change in zip(misfits, np.split(influence.changes, ends), strict=True)]
    against = contradictions(problem, misfits, training.data.sigmas)
    if not (symbols or problem.identified):
        return Inferred({}, against)
    count, parameters, note, root = len(symbols), {}, "", torch.zeros(0, 0, dtype=torch.float64)
    slopes = None if influence is None else influence.slopes / np.concatenate(training.data.sigmas)[:, None]
    if slopes is None:
        system, factor = training.final_system(), training.data_factor
        information = information_root(system, count, factor).numpy() if symbols else None
        root = posterior_root(system, factor) if problem.identified else root
    else:  # elements hold the statement to all digits, where the network's loss lets it give way a little
        if problem.identified:
            scale, triangle = projection.posterior_factor(training.priors, unknowns, slopes)
            root = scale[:, None] * torch.linalg.inv(triangle).T
            information = (triangle[-count:, -count:].T / scale[-count:]).numpy()
        else:
            information = np.asarray(np.linalg.qr(slopes, mode="r"))
    if symbols and information is not None:
        covariance, note = covariance_of(information, symbols, free)
        parameters = intervals(symbols, free, np.sqrt(covariance.diagonal()).tolist())
        if not (note or problem.identified):
            values, vectors = np.linalg.eigh(covariance)
            root = torch.from_numpy(vectors * np.sqrt(np.maximum(values, 0)))
    leverage = torch.zeros(0, dtype=torch.float64)
    if slopes is not None and len(root):
        leverage = (torch.from_numpy(slopes) @ root).square().sum(1)
    texts = note, at_bounds(symbols, unknowns.parameters().tolist()), against
    return Inferred(parameters, "; ".join(text for text in texts if text), root, leverage)


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
    return triangle[-n_parameters:, -n_parameters:] / scale[-n_parameters:] / data_factor**0.5


def posterior_root(system: System, data_factor: float) -> Tensor:
    """B (q, r) with the covariance B B' of the weights of unknown coefficient fields and the parameters, all else eliminated."""
    unknowns, gram = system.unknowns, system.normal_equations()[1].cpu().double() / data_factor
    scale = gram.diagonal().clamp_min(1e-300).rsqrt()
    values, vectors = torch.linalg.eigh(gram * scale[:, None] * scale)
    kept = values > UNDETERMINED * values[-1]  # weights that change no function have no part in a deviation
    rows = determined_by_data(unknowns)
    root = scale[rows, None] * vectors[rows][:, kept] * values[kept].rsqrt()
    return torch.linalg.qr(root.T, mode="r")[1].T.contiguous()
