"""What is known of an unknown coefficient field before there are data: bounds, a guess, and how smooth it is."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp

from kinn.statement.errors import StatementError

ORDERS = (2, 3, 4, 6)  # of Gaussian fields, the first one to begin with


def _positive(kind: str, what: str, value: Any) -> None:
    if value is not None and not (isinstance(value, (int, float)) and math.isfinite(value) and value > 0):
        raise StatementError(f"{kind} has {what}={value!r}; give a number above 0, or None")


@dataclass(frozen=True)
class GaussianField:
    """A smooth random field: the energy of the local equation `(kappa^2 - Laplace)^(order / 2) s = white noise` of a Matern field.

    `length` is the distance at which values are correlated by about 0.1 (doi:10.1111/j.1467-9868.2011.00777.x), a number or
    one per coordinate; `deviation` the standard deviation of the field (of its logarithm where it has a bound), `order` the number
    of derivatives that the energy holds, 2 for fields with kinks to 6 for very smooth ones. None estimates them from the data, by
    their evidence: a length from the extents of the mesh to a sixth of them, of a field that is a network the extents; its order
    is 4 at most.

    Raises StatementError for a length or deviation that is not positive, and for another order.

    >>> GaussianField(length=0.2)
    GaussianField(length=0.2, deviation=None, order=None)
    """

    length: float | tuple[float, ...] | None = None
    deviation: float | None = None
    order: int | None = None

    def __post_init__(self) -> None:
        if isinstance(self.length, list):
            object.__setattr__(self, "length", tuple(self.length))
        lengths = self.length if isinstance(self.length, tuple) else (self.length,)
        for what, value in (*(("length", one) for one in lengths), ("deviation", self.deviation)):
            _positive("GaussianField", what, value)
        if self.order is not None and self.order not in ORDERS:
            raise StatementError(f"GaussianField has order={self.order!r}; give 2, 3, 4 or 6, or None")

    @property
    def orders(self) -> tuple[int, ...]:
        """The orders that may be, the first one to begin with."""
        return ORDERS if self.order is None else (self.order,)

    def lengths(self, extents: tuple[float, ...]) -> tuple[float, ...]:
        """The correlation length along each coordinate of a mesh with these extents."""
        if self.length is None:
            return extents
        return self.length if isinstance(self.length, tuple) else (self.length,) * len(extents)

    def rows(self, s: Any, lengths: tuple[float, ...], dimension: int, order: int) -> list[sp.Expr]:
        """Expressions whose squares, integrated in units of the lengths, are the energy of a field of deviation 1.

        `sum_k binomial(order, k) kappa^(2 order - 2 k) |D^k s|^2`, which is `((kappa^2 - Laplace)^(order / 2) s)^2` up to the
        boundary.
        """
        found = []
        for factor, counts in self.derivatives(lengths, dimension, order):
            slope = (
                s.diff(*((x, count) for x, count in zip(s.args, counts, strict=True) if count)) if any(counts) else s
            )
            found.append(factor * slope)
        return found

    def derivatives(
        self, lengths: tuple[float, ...], dimension: int, order: int
    ) -> list[tuple[float, tuple[int, ...]]]:
        """The rows as derivatives (multi-indices) with their factors."""
        kappa, size = spectrum(order, dimension)
        found = []
        for k in range(order + 1):
            # without size the variance would be 1 / size
            factor = math.sqrt(size * math.comb(order, k)) * kappa ** (order - k)
            for chosen in itertools.combinations_with_replacement(range(len(lengths)), k):
                counts = tuple(chosen.count(axis) for axis in range(len(lengths)))
                times = math.factorial(k) // math.prod(math.factorial(count) for count in counts)
                found.append((factor * math.sqrt(times) * math.prod(lengths[axis] for axis in chosen), counts))
        return found


def spectrum(order: int, dimension: int) -> tuple[float, float]:
    """kappa and tau^2 of the field `tau (kappa^2 - Laplace)^(order / 2) s = white noise` of deviation and length 1."""
    nu = order - dimension / 2
    kappa = math.sqrt(8 * nu)
    return kappa, math.gamma(nu) / ((4 * math.pi) ** (dimension / 2) * math.gamma(order) * kappa ** (2 * nu))


@dataclass(frozen=True)
class TotalVariation:
    """A field of pieces: the energy `int |grad s|`, rounded below `edge` times the slope of a field of deviation 1.

    Raises StatementError for a deviation or an edge that is not positive.
    """

    deviation: float | None = None
    edge: float = 0.1

    def __post_init__(self) -> None:
        _positive("TotalVariation", "deviation", self.deviation)
        _positive("TotalVariation", "edge", self.edge)

    @property
    def orders(self) -> tuple[int, ...]:
        return (1,)

    def lengths(self, extents: tuple[float, ...]) -> tuple[float, ...]:
        """The unit of length along each coordinate."""
        return extents

    def rows(self, s: Any, lengths: tuple[float, ...], dimension: int, order: int) -> list[sp.Expr]:
        """Expressions whose squares, integrated in units of the lengths, are the energy."""
        slopes = [length * s.diff(x) for x, length in zip(s.args, lengths, strict=True)]
        root = (sp.Add(*(slope**2 for slope in slopes)) + self.edge**2) ** sp.Rational(1, 4)
        return [slope / root for slope in slopes]


Prior = GaussianField | TotalVariation


@dataclass(frozen=True)
class Expectation:
    """What a statement says of an unknown coefficient field; networks and elements stand for a free field s.

    The value is `guess + s` without bounds, `lower + (guess - lower) exp(s)` or `upper - (upper - guess) exp(s)` with one, and
    a logistic function of s with both: s = 0 is the guess, and no bound is ever crossed.
    """

    guess: float | None = None
    lower: float | None = None
    upper: float | None = None
    prior: Prior = GaussianField()

    def value(self, s: Any) -> sp.Expr:
        """The field as an expression of the free field."""
        low, high, guess = self.lower, self.upper, self.guess
        if low is not None and high is not None:
            odds = ((guess or 0.0) - low) / (high - (guess or 0.0))
            return low + (high - low) / (1 + sp.exp(-s) / odds)
        if low is not None:
            return low + ((guess or 0.0) - low) * sp.exp(s)
        if high is not None:
            return high - (high - (guess or 0.0)) * sp.exp(s)
        return s + guess if guess else s

    def slope(self, s: np.ndarray) -> np.ndarray:
        """The derivative of the value at values of the free field."""
        symbol = sp.Dummy(real=True)
        return np.broadcast_to(sp.lambdify(symbol, self.value(symbol).diff(symbol), "numpy")(s), np.shape(s))

    @property
    def bounded(self) -> bool:
        return self.lower is not None or self.upper is not None


def expectation(name: str, guess: Any, lower: Any, upper: Any, prior: Any) -> Expectation | None:
    """What a field's arguments say; None if they say nothing.

    Raises StatementError for numbers that are not finite, for a guess that is missing or not strictly between the bounds, and
    for a prior that is none.
    """
    if guess is None and lower is None and upper is None and prior is None:
        return None
    if prior is not None and not isinstance(prior, Prior):
        raise StatementError(f"field {name!r} has prior={prior!r}; give kinn.GaussianField(...) or TotalVariation(...)")
    numbers: dict[str, float | None] = {}
    for what, value in (("guess", guess), ("lower", lower), ("upper", upper)):
        try:
            numbers[what] = None if value is None else float(value)
        except (TypeError, ValueError):
            numbers[what] = math.nan
        if not math.isfinite(numbers[what] or 0.0):
            raise StatementError(f"field {name!r} has {what}={value!r}; give a finite number")
    first, low, high = numbers["guess"], numbers["lower"], numbers["upper"]
    if low is not None and high is not None:
        if low >= high:
            raise StatementError(f"field {name!r} has lower={low:g} and upper={high:g}; lower must be below upper")
        first = (low + high) / 2 if first is None else first
    if (low is None) != (high is None) and first is None:
        raise StatementError(
            f"field {name!r} has one bound and no guess; give guess=, a typical value inside the bound"
        )
    if first is not None and ((low is not None and first <= low) or (high is not None and first >= high)):
        raise StatementError(f"field {name!r} has guess={first:g} outside its bounds; give one strictly inside them")
    return Expectation(first, low, high, GaussianField() if prior is None else prior)


__all__ = ["Expectation", "GaussianField", "Prior", "TotalVariation", "expectation", "spectrum"]
