"""What networks cost: parameters, floating point operations, and an MLP that costs as much as another network."""

from __future__ import annotations

from itertools import product

from kinn.bases import BSpline
from kinn.networks import KAN, MLP, Network, Separate, TensorSpline

# Of one value: tanh and silu as counted by "KAN or MLP: a fairer comparison" (arXiv 2407.16674).
TANH, SILU = 6, 5
RECURRENCE = 3  # of one function of a three-term recurrence, or of a Gaussian or wave
WIDEST = 200


def flops(network: Network) -> int | None:
    """Floating point operations of the values of one point; None for a network of the user's own.

    As in "KAN or MLP: a fairer comparison" (arXiv 2407.16674), but as this code works: there each edge of a KAN evaluates its
    splines by de Boor's recurrence, here the edges that leave a node share them, and they are polynomials of a cell. So a layer
    of a KAN with `b` functions on each edge takes `i cost(b) + 2 i o b` and `o` for constants, one of an MLP `2 (i + 1) o`, and
    what lies between layers 6 for each tanh.
    """
    if isinstance(network, Separate):
        parts = [flops(part) if isinstance(part, Network) else None for part in network.parts]
        return None if None in parts else sum(part or 0 for part in parts)
    if isinstance(network, KAN):
        total = TANH * sum(network.widths[1:-1])
        for layer in network.layers:
            i, o, b = layer.weight.shape  # type: ignore[union-attr]
            total += int(i) * (_basis_flops(network) + 2 * int(o) * int(b))
            total += len(layer.bias)  # type: ignore[union-attr]
        return total
    if isinstance(network, MLP):
        pairs = zip(network.widths, network.widths[1:], strict=False)
        return sum(2 * (i + 1) * o for i, o in pairs) + TANH * sum(network.widths[1:-1])
    if isinstance(network, TensorSpline):
        degree = network.basis.degree
        return len(network.axes) * _spline_flops(degree) + 2 * network.n_outputs * (degree + 1) ** len(network.axes)
    return None


def _basis_flops(network: KAN) -> int:
    """Of the functions of one node's edges."""
    basis, base = network.basis, network.layers[0].base  # type: ignore[union-attr]
    own = _spline_flops(basis.degree) if isinstance(basis, BSpline) else RECURRENCE * basis.n_functions
    return own + (SILU if base else 0)


def _spline_flops(degree: int) -> int:
    """Of the B-splines that are not zero at a point, as polynomials in the coordinate of its cell."""
    return 2 * (degree + 1) ** 2


def mlp_widths(d: int, c: int, wanted: int, of: str = "parameters") -> list[int]:
    """`[d, w, v, c]` with v = w, or nearly, of an MLP with `wanted` parameters or flops, as nearly as can be.

    >>> mlp_widths(2, 1, 600)
    [2, 22, 22, 1]
    """

    def count(w: int, v: int) -> int:
        parameters = w * (d + 1) + v * (w + 1) + c * (v + 1)
        return parameters if of == "parameters" else 2 * parameters + TANH * (w + v)

    pairs = [(w, w + more) for w, more in product(range(2, WIDEST), (0, -1, 1)) if w + more > 0]
    return [d, *min(pairs, key=lambda pair: abs(count(*pair) - wanted)), c]


__all__ = ["flops", "mlp_widths"]
