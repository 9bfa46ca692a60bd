"""Which combinations of unknown numbers the data determine, in words."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from kinn.statement.parameters import Parameter

LOOSE = 30.0  # deviations of a free number in its own unit, as logarithms are: beyond that the data say nothing
WEAK = 1e-7  # of the largest singular value: what the data say less of is rounding
NEAR = 1e-3  # of the room between bounds, a tenth of it between bound and guess: an estimate nearer to a bound is at it
SMALL = 0.02  # of a direction's largest part: a smaller part does not belong to it


def covariance_of(root: np.ndarray, symbols: Sequence[Parameter], free: Sequence[float]) -> tuple[np.ndarray, str]:
    """The inverse (p, p) of `root' root`, the information on free numbers, and what it leaves open in words.

    Numbers that take part in a direction that nothing determines have infinite variance. The text is empty if there is none.
    """
    units = _units(symbols, free)
    _, values, directions = np.linalg.svd(root * units, full_matrices=True)
    values = np.concatenate([values, np.zeros(len(symbols) - len(values))])
    blind = (values < WEAK * values.max(initial=0.0)) | (values * LOOSE < 1)
    seen = directions[~blind] / values[~blind, None]
    covariance = seen.T @ seen * units[:, None] * units
    if not blind.any():
        return covariance, ""
    open_ = (np.abs(directions[blind]) > SMALL * np.abs(directions[blind]).max(1, keepdims=True)).any(0)
    covariance[open_, :] = covariance[:, open_] = 0.0
    covariance[open_, open_] = np.inf
    return covariance, describe(directions[blind], symbols, open_, units)


def describe(blind: np.ndarray, symbols: Sequence[Parameter], open_: np.ndarray, units: np.ndarray) -> str:
    """What data leave open that do not see the directions `blind` (m, p) of the numbers `open_`, in `units` (p,), and what
    they determine."""
    names = [symbol.name for symbol, taken in zip(symbols, open_, strict=True) if taken]
    count = len(blind)
    text = f"the data do not determine {_listed(names)}"
    if len(names) > count:
        inside = [symbol for symbol, taken in zip(symbols, open_, strict=True) if taken]
        seen = _reduced(np.linalg.svd(blind[:, open_])[2][count:] / units[open_])
        text += f" one by one, only {_listed([_combination(row, inside) for row in seen])}"
    plural = "direction is" if count == 1 else "directions are"
    return f"{text} ({count} {plural} undetermined); give more data, or hold {_listed(names[:count])} at a known value"


def at_bounds(symbols: Sequence[Parameter], values: Sequence[float]) -> str:
    """Which parameters have run into a bound, in words; empty if none has."""
    found = []
    for symbol, value in zip(symbols, values, strict=True):
        for word, bound in (("lower", symbol.lower), ("upper", symbol.upper)):
            if bound is None:
                continue
            other = symbol.upper if word == "lower" else symbol.lower
            near = 0.1 * NEAR * abs(symbol.guess - bound) if other is None else NEAR * abs(other - bound)
            if abs(value - bound) < near:
                found.append(
                    f"{symbol.name} = {value:.6g} is at its {word} bound {bound:g}: the data ask for more; move the bound, or look "
                    "at the statement and the units"
                )
    return "; ".join(found)


def _units(symbols: Sequence[Parameter], free: Sequence[float]) -> np.ndarray:
    """The size of each free number: 1 for logarithms, else its own or that of its guess; of one that is guessed to be zero a tenth
    of the largest at least."""
    plain = [s.transform == "identity" for s in symbols]
    own = np.array([max(abs(f), abs(s.guess)) for s, f in zip(symbols, map(float, free), strict=True)])
    least = 0.1 * max((size for size, one in zip(own, plain, strict=True) if one), default=0.0)
    found = [
        1.0 if not one else size if s.guess else max(size, least)
        for s, size, one in zip(symbols, own.tolist(), plain, strict=True)
    ]
    return np.array([size or 1.0 for size in found])


def _reduced(rows: np.ndarray) -> np.ndarray:
    """The same span in echelon form, with pivots of 1."""
    rows, done = rows.copy(), 0
    for column in range(rows.shape[1]):
        if done == len(rows):
            break
        pivot = done + int(np.abs(rows[done:, column]).argmax())
        if abs(rows[pivot, column]) < SMALL:
            continue
        rows[[done, pivot]] = rows[[pivot, done]]
        rows[done] /= rows[done, column]
        others = np.arange(len(rows)) != done
        rows[others] -= rows[others, column][:, None] * rows[done]
        done += 1
    return rows


def _combination(row: np.ndarray, symbols: Sequence[Parameter]) -> str:
    """A direction of free numbers as a product of powers where all are logarithms, else as a sum."""
    parts = [(coefficient, s) for coefficient, s in zip(row, symbols, strict=True) if abs(coefficient) > SMALL]
    if all(s.transform == "log" and s.lower is not None for _, s in parts):
        bases = [(c, s.name if s.lower == 0 else f"({s.name} - {s.lower:g})") for c, s in parts]
        above = [_power(base, c) for c, base in bases if c > 0]
        below = [_power(base, -c) for c, base in bases if c < 0]
        product = " * ".join(above) or "1"
        return product if not below else f"{product} / {' / '.join(below)}"
    terms = [_times(c, s.name if s.transform == "identity" else f"{s.transform}({s.name})") for c, s in parts]
    return " + ".join(terms).replace("+ -", "- ")


def _power(base: str, exponent: float) -> str:
    text = _number(exponent)
    return base if text == "1" else f"{base}^{text}" if "/" not in text else f"{base}^({text})"


def _times(coefficient: float, name: str) -> str:
    text = _number(coefficient)
    return {"1": name, "-1": f"-{name}"}.get(text, f"{text} {name}")


def _number(value: float) -> str:
    """A small fraction if the value is near one."""
    near = Fraction(float(value)).limit_denominator(6)
    return str(near) if abs(float(near) - value) < SMALL * max(abs(value), 0.5) else f"{value:.3g}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


__all__ = ["covariance_of", "describe"]
