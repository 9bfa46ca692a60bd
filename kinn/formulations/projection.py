"""What data determine, parameters and coefficient fields, moved by finite elements from where a network's physics are exact.

Variable projection: a network's physics give way a little, and what data determine with them; those of elements do not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kinn.formulations.data import Data
from kinn.formulations.energy import expected
from kinn.formulations.estimate import Influence
from kinn.formulations.form import Form
from kinn.formulations.prior import Priors, determined_by_data
from kinn.formulations.unknowns import Unknowns

NEAR = 0.1  # the error of a solution that steps are taken from
LONGEST = 0.5  # a step, in logarithms or relative
STEPS = 12  # in a row
SETTLED = 0.1  # standard deviations: of fields, the step that is the last
SLIGHT = 1e-14  # of a scaled matrix, where rounding made it indefinite
WORSE = 1.5  # times the misfit before, or what noise makes: then a quarter of the step is taken


@dataclass(frozen=True)
class Settled:
    """By how many standard deviations what data determine moved (inf where it could not), how many of these numbers data
    determine, whether the strength of a prior moved, and the `influence` that the last step followed."""

    shift: float
    determined: float
    changed: bool
    influence: Influence | None = None


def begin(
    data: Data,
    priors: Priors,
    form: Form,
    candidates: Sequence[Unknowns],
    n: int,
    seed: int,
    enough: Callable[[], bool],
) -> bool:
    """Coefficient fields by elements alone, as many as a round with `n` tests has, before any network is trained: whether these
    could tell. All candidates get them."""
    first, problem = candidates[0], data.problem
    if not (problem.identified and problem.observations) or first.holding_fields() is None:
        return False
    form.blocks(first, n, seed)
    settled = settle(data, priors, form, first, 0.0, enough)
    if settled is None or math.isinf(settled.shift):
        return False
    columns = determined_by_data(first)
    for candidate in candidates[1:]:
        _assign(candidate, columns, first.vector()[columns])
    return True


def settle(
    data: Data, priors: Priors, form: Form, unknowns: Unknowns, estimate: float | None, enough: Callable[[], bool]
) -> Settled | None:
    """Move what data determine to the best values that finite elements see from a solution with a small `estimate` of its error;
    strengths of priors follow the evidence of the data. None where elements do not have the whole statement.
    """
    columns, nothing = determined_by_data(unknowns), Settled(math.inf, float(len(unknowns.free)), False)
    near, fields = estimate is not None and estimate <= NEAR, bool(unknowns.problem.identified)
    if not data.problem.observations or not len(columns) or not (near or fields):
        return nothing
    found = form.influence(unknowns)
    if found is None:
        return None if priors.energies else nothing
    near = near and (not fields or unknowns.holding_fields() is not None)
    sigma, own, first = np.concatenate(data.sigmas), np.concatenate(data.residuals(unknowns)), found
    moved, start, best, determined, changed = unknowns.copy(), unknowns.vector()[columns], math.inf, 0.0, False
    step, slopes = torch.zeros_like(start), found.slopes
    for _ in range(STEPS if near else 1):
        misfits = None if found is None else (own + found.changes) / sigma
        if found is None or misfits is None or misfits @ misfits > WORSE * max(best, len(misfits)):
            step, found = step / 4, first  # too far for a linear step: less of it, from where it began
            _assign(moved, columns, start + step)
        else:
            slopes, first, start = found.slopes / sigma[:, None], found, moved.vector()[columns]
            best, determined = float(misfits @ misfits), nothing.determined
            if fields:
                determined, changed = priors.settle(moved, slopes, misfits)
            if not near:
                return Settled(math.inf, determined, changed)
            whole = _step(priors, moved, slopes, misfits).to(start)
            part = _part(priors, moved, columns, whole)
            step = part * whole
            _assign(moved, columns, start + step)
            size = float(np.linalg.norm(slopes @ whole.cpu().double().numpy())) / math.sqrt(max(determined, 1.0))
            # elements alone would add their own error: the next round goes on from the network
            if enough() or part == 1.0 and (not fields or size < SETTLED):
                break
        found = form.influence(unknowns, moved, found.state)
    way = (moved.vector() - unknowns.vector())[columns].cpu().double().numpy()
    _assign(unknowns, columns, moved.vector()[columns])
    shift = float(np.linalg.norm(slopes @ way))
    return Settled(shift / math.sqrt(max(determined, 1.0)) if fields else shift, determined, changed, first)


def _assign(unknowns: Unknowns, columns: Tensor, values: Tensor) -> None:
    theta = unknowns.vector()
    theta[columns] = values
    unknowns.assign(theta)


def _step(priors: Priors, unknowns: Unknowns, slopes: np.ndarray, misfits: np.ndarray) -> Tensor:
    """(q,): to the smallest sum of squared misfits and energies."""
    if not priors.energies:
        units = np.maximum(np.linalg.norm(slopes, axis=0), 1e-300)
        return torch.from_numpy(-np.linalg.lstsq(slopes / units, misfits, rcond=1e-7)[0] / units)
    _, matrix, slope = priors.form(unknowns)
    scale, root = _factorized(matrix, slopes)
    toward = slope + torch.from_numpy(slopes.T @ misfits)
    return -scale * torch.cholesky_solve((scale * toward)[:, None], root)[:, 0]


def posterior_factor(priors: Priors, unknowns: Unknowns, slopes: np.ndarray) -> tuple[Tensor, Tensor]:
    """Scales s (q,) and a lower triangle L (q, q): `diag(s) H diag(s) = L L'` with H what standardized data, which change by `slopes`
    (n, q), and priors say of all that data determine."""
    return _factorized(priors.form(unknowns)[1], slopes)


def _factorized(matrix: Tensor, slopes: np.ndarray) -> tuple[Tensor, Tensor]:
    jacobian = torch.from_numpy(slopes)
    matrix = matrix + jacobian.T @ jacobian
    scale, slight = matrix.diagonal().clamp_min(1e-300).rsqrt(), SLIGHT
    scaled, unit = matrix * scale[:, None] * scale, torch.eye(len(matrix), dtype=matrix.dtype)
    root, info = torch.linalg.cholesky_ex(scaled)
    while bool(info > 0) and slight < 1:
        root, info = torch.linalg.cholesky_ex(scaled + slight * unit)
        slight *= 10
    return scale, root


def moved(unknowns: Unknowns, before: Tensor) -> float:
    """The largest change of a parameter since its free numbers were `before` (p,), of its logarithm or relative."""
    changes = [0.0]
    for symbol, now, then in zip(
        unknowns.problem.parameters.values(), unknowns.free.tolist(), before.tolist(), strict=True
    ):
        size = 1.0 if symbol.transform != "identity" else max(abs(now), abs(then), 1e-300)
        changes.append(abs(now - then) / size)
    return max(changes)


def _part(priors: Priors, unknowns: Unknowns, columns: Tensor, step: Tensor) -> float:
    """What part of a step is not too long."""
    symbols, count = unknowns.problem.parameters.values(), len(unknowns.free)
    ratios = [1e-300]
    for symbol, now, change in zip(symbols, unknowns.free.tolist(), step[len(step) - count :].tolist(), strict=True):
        # of a number that is guessed to be zero nothing is known
        size = max(abs(now), abs(symbol.guess)) if symbol.guess else math.inf
        ratios.append(abs(change) / (1.0 if symbol.transform != "identity" else size))
    trial, start = unknowns.copy(), unknowns.vector()[columns]
    _assign(trial, columns, start + step)
    for energy in priors.energies:
        known = expected(energy.component)
        if known.bounded or known.guess:
            change = float((energy.values(trial) - energy.values(unknowns)).abs().max())
            ratios.append(change / (1.0 if known.bounded else abs(known.guess or 1.0)))
    return min(1.0, LONGEST / max(ratios))
