"""How solutions behave around a corner: the angular eigenproblem of a second-order system div(C grad u) = 0.

Around a vertex with polar coordinates (r, theta), `u = r^lambda U(theta)` solves the system if
`lambda S_r + S_t' = 0` with `S_r = lambda C_rr U + C_rt U'`, `S_t = lambda C_tr U + C_tt U'` and `C_ab = e_a . C . e_b`, for any
Cartesian components of u. In weak form, `int V . lambda S_r - V' . S_t dtheta = 0`, this is a quadratic eigenvalue problem in
lambda, whose natural conditions are those of the boundary value problem (Costabel and Dauge, SIAM J. Math. Anal. 33 (2001)).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.polynomial import legendre

Sector = tuple[float, np.ndarray]
DEGREE = 18
WIDEST = np.pi / 2  # of one polynomial piece: then roundoff is all that is left, for exponents below 2
MOST_PIECES = 24
SHIFT = 0.8137  # eigenvalues are sought around it; no exponent of a usual corner
SMALLEST = 1e-4  # lambda = 0 (constants and the logarithm) is a double eigenvalue that rounding splits
SAME = 1e-5  # exponents that are nearer than this are one multiple exponent


@dataclass(frozen=True, eq=False)
class AngularMode:
    """`Re(r^exponent U(theta))`, with U a Legendre series (pieces, degree + 1, c) on each piece of `breaks` (pieces + 1,).

    theta counts from the first edge; the pieces cover one whole turn with the opening in its middle: outside of it U goes on
    as the solution of the same equation with the material of the nearest sector.
    """

    exponent: complex
    breaks: np.ndarray
    coefficients: np.ndarray


def angular_modes(
    sectors: Sequence[Sector],
    first: Sequence[bool] | None,
    last: Sequence[bool] | None,
    rotation: float = 0.0,
    largest: float = 2.0,
) -> list[AngularMode]:
    """The modes with 0 < Re(exponent) < `largest`, smallest first; those that are polynomials in every sector are left out.

    Args:
        sectors: (opening, C) counterclockwise; C (c, 2, c, 2) maps the gradient (c, 2) to the flux (c, 2).
        first, last: for each component whether it is held at 0 on the first and on the last edge (else its flux is 0);
            None: there are no edges, the sectors fill the whole turn.
        rotation: angle of the first edge with the x-axis.

    A complex pair of exponents gives two modes, a multiple exponent as many as it has eigenvectors. max |U| is 1.

    >>> laplace = np.eye(2).reshape(1, 2, 1, 2)
    >>> [round(mode.exponent.real, 9) for mode in angular_modes([(1.5 * np.pi, laplace)], [True], [True])]
    [0.666666667, 1.333333333]
    """
    scale = max(float(np.abs(c).max()) for _, c in sectors)
    sectors = [(opening, c / scale) for opening, c in sectors]
    breaks, tensors, owner = _pieces(sectors, rotation)
    size = tensors[0].shape[0]
    nodes = DEGREE * (len(breaks) - 1) + (first is not None)
    held = np.zeros((nodes, size), dtype=bool)
    if first is not None and last is not None:
        held[0], held[-1] = first, last
    free = np.flatnonzero(~held.ravel())
    mass, gyroscopic, stiffness = (m[np.ix_(free, free)] for m in _matrices(breaks, tensors, rotation, nodes))
    inverse = np.linalg.inv(legendre.legvander(_nodes(), DEGREE))
    numbers = (DEGREE * np.arange(len(breaks) - 1)[:, None] + np.arange(DEGREE + 1)) % nodes
    found = []
    for exponent, vectors in _eigenspaces(mass, gyroscopic, stiffness, largest):
        whole = np.zeros((nodes * size, vectors.shape[1]), dtype=vectors.dtype)
        whole[free] = vectors
        values = whole.reshape(nodes, size, -1)[numbers]
        series = np.einsum("kn,enca->aekc", inverse, values)
        for coefficients in _not_polynomial(exponent, series, breaks, rotation, owner):
            coefficients = _normalized(coefficients)
            around = breaks, coefficients
            if first is not None:
                around = _whole_turn(exponent, breaks, coefficients, tensors, rotation)
            found.append(AngularMode(exponent, *around))
            if exponent.imag:
                found.append(AngularMode(exponent, around[0], -1j * around[1]))
    return found


def is_elliptic(c: np.ndarray) -> bool:
    """Whether C (c, 2, c, 2) is finite, symmetric, of one sign, and positive for waves in every direction."""
    if not np.isfinite(c).all() or c[0, 0, 0, 0] == 0:
        return False
    c = c * np.sign(c[0, 0, 0, 0])
    matrix, size = c.reshape(2 * len(c), -1), np.abs(c).max()
    if np.abs(matrix - matrix.T).max() > 1e-8 * size or np.linalg.eigvalsh(matrix)[0] < -1e-8 * size:
        return False
    ways = np.stack([np.cos(np.arange(8) * np.pi / 8), np.sin(np.arange(8) * np.pi / 8)], axis=1)
    return bool(np.linalg.eigvalsh(np.einsum("ak,ckdl,al->acd", ways, c, ways)).min() > 1e-8 * size)


def _pieces(sectors: Sequence[Sector], rotation: float) -> tuple[np.ndarray, list[np.ndarray], list[int]]:
    """Cuts of the sectors into pieces narrow enough for one polynomial; C and the sector of each piece."""
    breaks, tensors, owner = [0.0], [], []
    for number, (opening, c) in enumerate(sectors):
        count = min(MOST_PIECES, int(np.ceil(opening / _width(c) - 1e-9)))
        breaks += list(breaks[-1] + opening * np.arange(1, count + 1) / count)
        tensors += [c] * count
        owner += [number] * count
    return np.array(breaks), tensors, owner


def _width(c: np.ndarray) -> float:
    # In an anisotropic material U has poles off the real axis, at a distance of the root of the contrast.
    tangential = [float(np.linalg.norm(_polar(c, angle)[3], 2)) for angle in np.linspace(0, np.pi, 12)]
    return float(WIDEST / np.sqrt(max(tangential) / min(tangential)))


def _polar(c: np.ndarray, angle: np.ndarray | float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """C_rr, C_rt, C_tr, C_tt (..., c, c) at angles (...)."""
    radial = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    tangent = np.stack([-np.sin(angle), np.cos(angle)], axis=-1)
    pairs = [(a, b) for a in (radial, tangent) for b in (radial, tangent)]
    rr, rt, tr, tt = (np.einsum("...k,ckdl,...l->...cd", a, c, b) for a, b in pairs)
    return rr, rt, tr, tt


def _nodes() -> np.ndarray:
    return -np.cos(np.pi * np.arange(DEGREE + 1) / DEGREE)


def _derivative(count: int = 1) -> np.ndarray:
    """The matrix that differentiates Legendre series on [-1, 1]."""
    matrix = np.zeros((DEGREE + 1, DEGREE + 1))
    matrix[: DEGREE + 1 - count] = legendre.legder(np.eye(DEGREE + 1), count)
    return matrix


def _matrices(breaks: np.ndarray, tensors: list[np.ndarray], rotation: float, nodes: int) -> list[np.ndarray]:
    """M, G and K of `lambda^2 M + lambda G - K`, in nodal values; the last node is the first one on a closed turn."""
    points, weights = legendre.leggauss(DEGREE + 6)
    inverse = np.linalg.inv(legendre.legvander(_nodes(), DEGREE))
    basis = legendre.legvander(points, DEGREE) @ inverse
    slopes = legendre.legvander(points, DEGREE) @ _derivative() @ inverse
    size = tensors[0].shape[0]
    whole = [np.zeros((nodes * size, nodes * size)) for _ in range(3)]
    for piece, c in enumerate(tensors):
        half = (breaks[piece + 1] - breaks[piece]) / 2
        rr, rt, tr, tt = _polar(c, rotation + breaks[piece] + half * (1 + points))
        numbers = (DEGREE * piece + np.arange(DEGREE + 1)) % nodes
        place = np.ix_(*2 * [(numbers[:, None] * size + np.arange(size)).ravel()])
        entries = (
            half * np.einsum("q,qcd,qn,qm->ncmd", weights, rr, basis, basis, optimize=True),
            np.einsum("q,qcd,qn,qm->ncmd", weights, rt, basis, slopes, optimize=True)
            - np.einsum("q,qcd,qn,qm->ncmd", weights, tr, slopes, basis, optimize=True),
            np.einsum("q,qcd,qn,qm->ncmd", weights, tt, slopes, slopes, optimize=True) / half,
        )
        for matrix, entry in zip(whole, entries, strict=True):
            matrix[place] += entry.reshape(len(place[0]), -1)
    return whole


def _eigenspaces(
    mass: np.ndarray, gyroscopic: np.ndarray, stiffness: np.ndarray, largest: float
) -> list[tuple[complex, np.ndarray]]:
    """(exponent, basis of its eigenvectors); of a complex pair the one with positive imaginary part."""
    # With lambda = SHIFT + 1 / mu the wanted eigenvalues are the largest mu, which rounding harms least.
    at_shift = SHIFT**2 * mass + SHIFT * gyroscopic - stiffness
    solved = np.linalg.solve(at_shift, np.hstack([2 * SHIFT * mass + gyroscopic, mass]))
    size = len(mass)
    companion = np.vstack([-solved, np.eye(size, 2 * size)])
    mu, vectors = np.linalg.eig(companion)
    wide = np.abs(mu) > 0.2
    exponents, vectors = SHIFT + 1 / mu[wide], vectors[:size, wide]
    keep = (exponents.real > SMALLEST) & (exponents.real < largest) & (exponents.imag > -SAME)
    exponents, vectors = exponents[keep], vectors[:, keep] / np.linalg.norm(vectors[:, keep], axis=0)
    spaces: list[tuple[complex, np.ndarray]] = []
    open_ = np.ones(len(exponents), dtype=bool)
    for k in np.lexsort((exponents.imag, exponents.real)):
        if not open_[k]:
            continue
        group = open_ & (np.abs(exponents - exponents[k]) < SAME)
        open_ &= ~group
        value, members = complex(exponents[group].mean()), vectors[:, group]
        if abs(value.imag) < SAME:
            value, members = complex(value.real), np.hstack([members.real, members.imag])
        left, singular, _ = np.linalg.svd(members, full_matrices=False)
        # Fewer than there are eigenvalues: a Jordan block, whose other solutions hold a logarithm.
        count = min(int(group.sum()), int((singular > 1e-4 * singular[0]).sum()))
        spaces.append((value, _canonical(left[:, :count])))
    return spaces


def _canonical(basis: np.ndarray) -> np.ndarray:
    """The orthonormal basis of the same space that diagonalizes a fixed form, with fixed signs: the same one on every computer."""
    weights = np.linspace(1, 2, len(basis))
    found = basis @ np.linalg.eigh(basis.conj().T @ (weights[:, None] * basis))[1]
    sums = weights @ found
    return found * np.conj(np.sign(np.where(sums == 0, 1, sums)))


def _not_polynomial(
    exponent: complex, series: np.ndarray, breaks: np.ndarray, rotation: float, owner: list[int]
) -> np.ndarray:
    """Of an eigenspace, series (a, pieces, degree + 1, c), a basis of what is no polynomial in x, y in some sector."""
    degree = round(exponent.real)
    if abs(exponent - degree) > 1e-6 or not len(series):
        return series
    xi = np.linspace(-1, 1, 2 * degree + 5)
    values = np.einsum("qk,aekc->aeqc", legendre.legvander(xi, DEGREE), series)
    rest = []
    for sector in sorted(set(owner)):
        pieces = np.array([piece for piece, number in enumerate(owner) if number == sector])
        angles = rotation + (breaks[pieces, None] * (1 - xi) + breaks[pieces + 1, None] * (1 + xi)) / 2
        here = np.moveaxis(values[:, pieces], 0, -1).reshape(angles.size, -1)
        powers = np.arange(degree + 1)
        monomials = np.cos(angles).reshape(-1, 1) ** powers * np.sin(angles).reshape(-1, 1) ** (degree - powers)
        fit = monomials @ np.linalg.lstsq(monomials, here, rcond=None)[0]
        rest.append((here - fit).reshape(-1, len(series)))
    _, singular, right = np.linalg.svd(np.concatenate(rest), full_matrices=False)
    return np.einsum("ba,aekc->bekc", right[singular > 1e-6 * np.abs(values).max()], series)


def _normalized(coefficients: np.ndarray) -> np.ndarray:
    """With the largest |U| equal to 1, and the sign or phase for which a weighted mean of U is positive."""
    values = (legendre.legvander(np.linspace(-1, 1, 101), DEGREE) @ coefficients).ravel()
    mean = values @ np.linspace(1, 2, len(values))
    return _chopped(coefficients * np.conj(mean) / np.abs(mean) / np.abs(values).max())


def _chopped(coefficients: np.ndarray) -> np.ndarray:
    # The last terms are rounding alone, which a fourth derivative would raise by 1e7.
    return np.where(np.abs(coefficients) < 1e-13, 0, coefficients)


def _whole_turn(
    exponent: complex, breaks: np.ndarray, coefficients: np.ndarray, tensors: list[np.ndarray], rotation: float
) -> tuple[np.ndarray, np.ndarray]:
    """Breaks and series with pieces on both sides of the opening, up to the middle of what lies outside."""
    outside = np.pi - breaks[-1] / 2
    if outside < 1e-9:
        return breaks, coefficients
    for end, c in ((-1, tensors[-1]), (0, tensors[0])):
        count = min(MOST_PIECES, int(np.ceil(outside / _width(c))))
        for _ in range(count):
            edge = np.array([breaks[end] - outside / count if end == 0 else breaks[end] + outside / count])
            piece = _continued(exponent, breaks, coefficients, end, float(edge[0]), c, rotation)[None]
            parts = [piece, coefficients] if end == 0 else [coefficients, piece]
            cuts = [edge, breaks] if end == 0 else [breaks, edge]
            coefficients, breaks = np.concatenate(parts), np.concatenate(cuts)
    return breaks, coefficients


def _continued(
    exponent: complex,
    breaks: np.ndarray,
    coefficients: np.ndarray,
    end: int,
    edge: float,
    c: np.ndarray,
    rotation: float,
) -> np.ndarray:
    """The series (degree + 1, c) on the piece up to `edge`, from value and slope at its near end by collocation.

    The equation without a div: C_tt U'' + (lambda - 1) (C_rt + C_tr) U' + lambda ((lambda - 1) C_rr + C_tt) U = 0.
    """
    size, unit = c.shape[0], np.eye(c.shape[0])
    sign = -1 if end == 0 else 1  # the near end of the new piece is -sign on [-1, 1]
    old = abs(breaks[1] - breaks[0] if end == 0 else breaks[-1] - breaks[-2]) / 2
    half, middle = abs(edge - breaks[end]) / 2, (edge + breaks[end]) / 2
    points, _ = legendre.leggauss(DEGREE - 1)
    basis, near = legendre.legvander(points, DEGREE), legendre.legvander(np.array([-sign]), DEGREE)
    rr, rt, tr, tt = _polar(c, rotation + middle + half * points)
    factors = (tt, (exponent - 1) * (rt + tr), exponent * ((exponent - 1) * rr + tt))
    terms = zip(factors, (_derivative(2) / half**2, _derivative() / half, np.eye(DEGREE + 1)), strict=True)
    inner = sum(np.einsum("qcd,qk->qckd", factor, basis @ change) for factor, change in terms)
    value = np.einsum("qk,cd->qckd", near, unit)
    slope = np.einsum("qk,cd->qckd", near @ _derivative() / half, unit)
    matrix = np.concatenate([np.asarray(inner), value, slope]).reshape(-1, (DEGREE + 1) * size)
    far = legendre.legvander(np.array([sign]), DEGREE)
    known = np.concatenate([far @ coefficients[end], far @ _derivative() @ coefficients[end] / old])
    right = np.concatenate([np.zeros(((DEGREE - 1), size)), known]).ravel()
    solved = np.linalg.solve(matrix, right).reshape(DEGREE + 1, size)
    return _chopped(solved if np.iscomplexobj(coefficients) else solved.real)


def slit_mode() -> AngularMode:
    """`r sin(theta' / 2)`, theta' from the continuation of a slit: its gradient is bounded, and it jumps by 2 r.

    It is no solution: it gives a smooth trial space the jump, where it has no singular functions.
    """
    breaks, nodes = np.linspace(0, 2 * np.pi, 5), _nodes()
    angles = (breaks[:-1, None] * (1 - nodes) + breaks[1:, None] * (1 + nodes)) / 2
    series = np.linalg.solve(legendre.legvander(nodes, DEGREE), np.sin((angles - np.pi) / 2).T).T
    return AngularMode(1.0 + 0j, breaks, series[..., None])


__all__ = ["AngularMode", "DEGREE", "angular_modes", "is_elliptic", "slit_mode"]
