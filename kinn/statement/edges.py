"""Unknown laws of a state: the edge of a Kolmogorov-Arnold network, written out in the statement."""

from __future__ import annotations

from typing import Any

import sympy as sp

from kinn.statement.errors import StatementError
from kinn.statement.parameters import Parameter

DEGREE = 4


def law(
    name: str, state: Any, lower: float, upper: float, guess: float = 1.0, degree: int = DEGREE, positive: bool = True
) -> sp.Expr:
    """An unknown function of one state, such as a conductivity k(T) or a stress of a strain.

    `guess exp(sum_j c_j P_j(z))`, or `guess + sum_j c_j P_j(z)` if it may be negative, with the Chebyshev polynomials P_j up to
    `degree` of `z`, the state scaled from [`lower`, `upper`], where data are, to [-1, 1]; the c_j are `Parameter`s `name_0`,
    `name_1`, ... This is what an edge of a KAN is. Evaluate it at values of the state by substituting these.

    Raises StatementError for a range that is empty, a degree below 0 and a positive law with a guess that is not.

    >>> k = law("k", T, 0, 100, guess=2.0)                      # doctest: +SKIP
    >>> solution.evaluate(k.subs(T, 50.0), point)               # k at 50 degrees  # doctest: +SKIP
    """
    if not upper > lower:
        raise StatementError(f"law {name!r} has lower={lower!r} and upper={upper!r}; lower must be below upper")
    if not isinstance(degree, int) or degree < 0:
        raise StatementError(f"law {name!r} has degree={degree!r}; give a whole number of at least 0")
    if positive and not guess > 0:
        raise StatementError(f"law {name!r} is positive and has guess={guess!r}; give a typical value above 0")
    z: Any = sp.Dummy("z", real=True)
    coefficients = [Parameter(f"{name}_{j}", guess=0.0) for j in range(degree + 1)]
    total: Any = sp.horner(sp.expand(sp.Add(*(c * sp.chebyshevt(j, z) for j, c in enumerate(coefficients)))), wrt=z)
    scaled = (2 * sp.sympify(state) - (lower + upper)) / (upper - lower)
    total = total.subs(z, scaled)
    return guess * sp.exp(total) if positive else guess + total


__all__ = ["law"]
