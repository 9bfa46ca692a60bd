"""Unknown numbers, with a first guess and bounds that decide how the optimizer sees them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, Self

import sympy as sp

from kinn.statement.errors import StatementError, suggest


class Parameter(sp.Symbol):
    """An unknown number `name` that is identified with the fields.

    The optimizer moves a free number s: with no bound the value is s ("identity"), with one bound
    lower + exp(s) or upper - exp(s) ("log"), with both lower + (upper - lower) / (1 + exp(-s)) ("logit"),
    so that a bound is never crossed.

    Raises StatementError for a guess that is not finite or not strictly inside its bounds.

    >>> Parameter("k", guess=1.0, lower=0).transform
    'log'
    """

    __slots__ = ("guess", "lower", "upper")

    guess: float
    lower: float | None
    upper: float | None

    def __new__(cls, name: str, guess: float, lower: float | None = None, upper: float | None = None) -> Self:
        if not isinstance(name, str) or not name.isidentifier():
            raise StatementError(f"parameter name {name!r}: take letters, digits and underscores, a letter first")
        value, low, high = _number(name, "guess", guess), None, None
        if lower is not None and lower != -math.inf:
            low = _number(name, "lower", lower)
        if upper is not None and upper != math.inf:
            high = _number(name, "upper", upper)
        if low is not None and high is not None and low >= high:
            raise StatementError(f"parameter {name!r} has lower={low:g} and upper={high:g}; lower must be below upper")
        # __xnew__ passes by the cache of Symbol.__new__, whose key is the name alone.
        self: Any = sp.Symbol.__xnew__(cls, name, real=True)
        self.guess, self.lower, self.upper = value, low, high
        if not self.admits(value):
            text = f"({'-inf' if low is None else f'{low:g}'}, {'inf' if high is None else f'{high:g}'})"
            raise StatementError(
                f"parameter {name!r} has guess={value:g} outside its bounds {text}; give a guess strictly inside them"
            )
        return self

    @property
    def transform(self) -> Literal["identity", "log", "logit"]:
        """How the value depends on the free number that the optimizer moves."""
        if self.lower is not None and self.upper is not None:
            return "logit"
        return "identity" if self.lower is None and self.upper is None else "log"

    def to_free(self, value: float) -> float:
        """The free number of a value inside the bounds; infinite for one that rounding has brought to a bound."""
        lower, upper = self.lower, self.upper
        if lower is not None and upper is not None:
            return _log(value - lower) - _log(upper - value)
        if lower is not None:
            return _log(value - lower)
        return value if upper is None else _log(upper - value)

    def from_free(self, free: float) -> float:
        """The value of a free number; the inverse of `to_free`."""
        lower, upper = self.lower, self.upper
        if lower is not None and upper is not None:
            return lower + (upper - lower) * 0.5 * (1.0 + math.tanh(0.5 * free))
        if lower is not None:
            return lower + _exp(free)
        return free if upper is None else upper - _exp(free)

    def admits(self, value: float) -> bool:
        """Whether a value lies inside the bounds."""
        return (self.lower is None or value > self.lower) and (self.upper is None or value < self.upper)

    def slope(self, free: float) -> float:
        """The derivative of the value in the free number."""
        lower, upper = self.lower, self.upper
        if lower is not None and upper is not None:
            return (upper - lower) * 0.25 / math.cosh(0.5 * free) ** 2 if abs(free) < 700 else 0.0
        if lower is not None:
            return _exp(free)
        return 1.0 if upper is None else -_exp(free)

    def __getnewargs_ex__(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (self.name, self.guess, self.lower, self.upper), {}

    def _hashable_content(self) -> tuple[Any, ...]:
        # Texts, so that SymPy can order parameters with and without bounds.
        return (self.name, repr(self.guess), repr(self.lower), repr(self.upper))


def guesses(parameters: Mapping[str, Parameter], other: Mapping[Any, float] | None) -> dict[str, float]:
    """Name -> first guess of every parameter, those of `other` (by parameter or name) in place of their own.

    Raises StatementError for a name that is none of theirs, and for a guess outside its bounds.
    """
    if not isinstance(other, Mapping | None):
        raise StatementError(f"guess={other!r}; give a dict with a number for each parameter, such as {{'k': 2.0}}")
    found = {name: symbol.guess for name, symbol in parameters.items()}
    for key, value in (other or {}).items():
        name = str(key)
        if name not in parameters:
            raise StatementError(
                f"guess= names {name!r}, which is no parameter of the problem{suggest(name, parameters)}"
            )
        symbol = parameters[name]
        found[name] = Parameter(name, value, symbol.lower, symbol.upper).guess
    return found


def _log(distance: float) -> float:
    return math.log(distance) if distance != 0 else -math.inf


def _exp(free: float) -> float:
    return math.exp(free) if free < 709 else math.inf


def _number(name: str, what: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise StatementError(f"parameter {name!r} has {what}={value!r}; give a finite number")
    return number
