"""Heat conduction, diffusion, seepage: a flux along a gradient."""

from __future__ import annotations

from typing import Any

import sympy as sp

from kinn.statement.calculus import grad


def conduction(T: Any, k: Any) -> Any:
    """The flux k grad T, a column (d, 1), that enters the domain where `flux . n > 0`: Fourier's law without its sign.

    `k` is a number, an expression or, for an anisotropic body, a matrix (d, d). With it `-div(flux) = source` heats,
    `Neumann(flux, q)` gives the heat q that comes in, and `Robin(flux, T, h, ambient)` is Newton's law of cooling.

    >>> flux = conduction(T, 50)                                                  # doctest: +SKIP
    """
    slope = grad(T)
    return sp.ImmutableDenseMatrix(k) * slope if isinstance(k, (list, tuple, sp.MatrixBase)) else k * slope
