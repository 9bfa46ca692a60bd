"""Singular functions at corners, material junctions and crack tips, and their jets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import factorial

import numpy as np
import torch
from numpy.polynomial import legendre
from scipy.spatial import KDTree
from torch import Tensor

from kinn.formulations.pencil import DEGREE, AngularMode, angular_modes, slit_mode
from kinn.formulations.sectors import Fan, Operator, Plane, differ
from kinn.networks.jets import JetSpace
from kinn.statement.forms import PeriodicTie, WeakForm
from kinn.statement.problem import Problem

SINGULAR = 0.95  # exponents below make a corner singular: above, smooth functions follow r^lambda well
LARGEST = 1.6  # of the further exponents at such a corner
MAX_MODES, MAX_CORNERS, MAX_CANDIDATES = 4, 6, 500
EXCESS = 0.07  # an angle above pi by less gives exponents above SINGULAR
MARGIN = 0.9  # of the room that a mode has
SMALLEST = 0.01  # radius of a mode, relative to the extent


@dataclass(frozen=True, eq=False)
class SingularMode:
    """`s = chi(r) Re(r^exponent U(theta))` around `corner`, theta from the first edge counterclockwise through the material.

    Attributes:
        corner: (2,). rotation: angle of the first edge. opening: of the material, 2 pi at a crack tip.
        exponent: complex; the real part of s uses `coefficients`, Legendre series (pieces, degree + 1, c) on `breaks`.
        components: the c components of the problem that it belongs to. size: how many components there are.
        radius: chi = (1 - (r / radius)^2)^4 inside, 0 outside; 1 everywhere for inf.
        closest: derivatives at smaller r are those at this distance.
        jumps: whether s is no solution at the corner, but only jumps across a slit.

    theta jumps in the middle of what lies outside of the opening; a point on a slit has to be moved to its side.
    """

    corner: np.ndarray
    rotation: float
    opening: float
    exponent: complex
    breaks: np.ndarray
    coefficients: np.ndarray
    components: tuple[int, ...]
    size: int
    radius: float = float("inf")
    closest: float = 1e-12
    jumps: bool = False

    def jets(self, x: Tensor, space: JetSpace) -> Tensor:
        """Derivatives (m, n, size) at x (n, 2) for the multi-indices of `space`; a third coordinate has no influence."""
        found = x.new_zeros(len(space.indices), len(x), self.size)
        rows = [k for k, index in enumerate(space.indices) if not any(index[2:])]
        plane = JetSpace(tuple(space.indices[k][:2] for k in rows))
        shifted = x[:, :2].double() - torch.tensor(self.corner, dtype=torch.float64, device=x.device)
        distance = torch.hypot(shifted[:, 0], shifted[:, 1])
        near = torch.nonzero(distance < self.radius).ravel()
        if not len(near):
            return found
        z, at_corner = torch.complex(*shifted[near].unbind(1)), distance[near] == 0
        middle = self.rotation + self.opening / 2
        ahead = torch.polar(z.abs().new_tensor(self.closest), z.abs().new_tensor(middle))
        z = torch.where(at_corner, ahead, z * (self.closest / z.abs().clamp(min=1e-300)).clamp(min=1.0))
        local = self._values(z, middle, plane)
        if np.isfinite(self.radius):
            local = plane.multiply(self._cutoff(shifted[near], plane)[..., None], local)
        local[0, at_corner] = 0
        columns = torch.tensor(self.components, device=x.device)
        place = torch.tensor(rows, device=x.device)[:, None, None], near[None, :, None], columns[None, None, :]
        found[place] = local.to(x.dtype)
        return found

    def _values(self, z: Tensor, middle: float, plane: JetSpace) -> Tensor:
        """Jets (m, n, c) of Re(r^lambda U) at complex places z."""
        turned = z * torch.polar(z.abs().new_tensor(1.0), z.abs().new_tensor(-middle))
        # d^a/dx^a d^b/dy^b log z = i^b (-1)^(k-1) (k-1)! z^-k with k = a + b: ln r and theta in one.
        rows = [torch.complex(torch.log(z.abs()), self.opening / 2 + turned.angle())]
        for a, b in plane.indices[1:]:
            k = a + b
            rows.append(1j**b * (-1) ** (k - 1) * factorial(k - 1) * z**-k)
        logarithm = torch.stack(rows)
        exponent = self.exponent if np.iscomplexobj(self.coefficients) else self.exponent.real
        power = torch.exp(exponent * logarithm.real[0])
        orders = range(plane.order + 1)
        radial = plane.compose(torch.stack([exponent**k * power for k in orders]), logarithm.real)
        angular = plane.compose(self._angular(logarithm.imag[0], plane.order), logarithm.imag[..., None])
        local = plane.multiply(radial[..., None], angular)
        return local.real if local.is_complex() else local

    def _angular(self, theta: Tensor, order: int) -> Tensor:
        """U and its derivatives (order + 1, n, c) at angles (n,)."""
        angles, breaks = theta.cpu().numpy(), self.breaks
        piece = np.clip(np.searchsorted(breaks, angles, side="right") - 1, 0, len(breaks) - 2)
        found = np.zeros((order + 1, len(angles), len(self.components)), dtype=self.coefficients.dtype)
        for number in np.unique(piece):
            here = piece == number
            half = (breaks[number + 1] - breaks[number]) / 2
            basis = legendre.legvander((angles[here] - breaks[number]) / half - 1, DEGREE)
            for k in range(order + 1):
                series = legendre.legder(self.coefficients[number], k) / half**k
                found[k, here] = basis[:, : len(series)] @ series
        return torch.as_tensor(found, device=theta.device)

    def _cutoff(self, shifted: Tensor, plane: JetSpace) -> Tensor:
        jets = plane.coordinates(shifted)
        square = sum(plane.multiply(jets[..., axis], jets[..., axis]) for axis in (0, 1))
        assert isinstance(square, Tensor)
        rest = (1 - square[0] / self.radius**2).clamp(min=0)
        factors = [factorial(4) / factorial(4 - k) * (-(self.radius**-2)) ** k for k in range(plane.order + 1)]
        return plane.compose(torch.stack([f * rest ** (4 - k) for k, f in enumerate(factors)]), square)


def singular_modes(problem: Problem, weak: WeakForm | None, singular: bool = True) -> list[SingularMode]:
    """The functions that the solution of a 2-D problem needs beside smooth ones, the most singular corners first.

    With `singular=False`, and at tips without singular functions, one function per component that jumps across the slit.
    """
    mesh, count = problem.mesh, len(problem.components)
    if weak is None or mesh.spatial_dimension != 2:
        return []
    found = singular_corners(problem, weak)[:MAX_CORNERS] if singular else []
    modes = [mode for corner in found for mode in corner]
    if not len(mesh.slit):
        return modes
    plane, jump = Plane(mesh), slit_mode()
    for fan in [fan for tip in plane.tips for fan in plane.fans(int(tip), plane.exterior)]:
        corner = Corner(plane, fan, fan.rotation, ((2 * np.pi, np.zeros(0)),), None, None, (), _behind(plane, fan))
        known = {c for mode in modes if np.array_equal(mode.corner, corner.point) for c in mode.components}
        modes += [corner.mode(jump, (c,), count, True) for c in range(count) if c not in known]
    return modes


def singular_corners(problem: Problem, weak: WeakForm) -> list[list[SingularMode]]:
    """For each singular corner its modes, smallest exponents first; `singular_modes` uses the first MAX_CORNERS of them."""
    whole = {row.component_index for row in weak.rows} == set(range(len(problem.components)))
    if problem.mesh.spatial_dimension != 2 or not whole:
        return []
    known: dict[object, list[AngularMode]] = {}
    found = []
    for corner in _corners(problem, weak):
        key = corner.key
        if key not in known:
            modes = angular_modes(corner.sectors, corner.first, corner.last, corner.rotation, LARGEST)
            singular = any(mode.exponent.real < SINGULAR for mode in modes)
            known[key] = modes[:MAX_MODES] if singular else []
        modes = [corner.mode(mode, corner.components, len(problem.components)) for mode in known[key]]
        # Where a curved interface leaves its tangent at once, or on a staircase of cells, no mode has room.
        least = max(corner.plane.shortest(corner.fan), SMALLEST * corner.plane.extent)
        found += [modes] if modes and modes[0].radius > least else []
    lower, extent = problem.mesh.lower[:2], 2 * float(problem.mesh.scale[:2].max())

    def rank(modes: list[SingularMode]) -> tuple[float, ...]:
        """Of equal corners the order is that of their places, whatever rounding in other units says."""
        place = np.round((np.asarray(modes[0].corner)[:2] - lower) / extent, 6)
        return (round(modes[0].exponent.real, 9), *place.tolist())

    return sorted(found, key=rank)


@dataclass(frozen=True, eq=False)
class Corner:
    """One block of components at one vertex: (opening, C) of its sectors, counterclockwise from the angle `rotation`.

    `first` and `last` say which components are held on the two edges; None inside the domain. `rays` are direction, mask
    of edges and first edge of the interfaces, and of what is behind the corner.
    """

    plane: Plane
    fan: Fan
    rotation: float
    sectors: tuple[tuple[float, np.ndarray], ...]
    first: tuple[bool, ...] | None
    last: tuple[bool, ...] | None
    components: tuple[int, ...]
    rays: tuple[tuple[float, np.ndarray, int], ...]

    @property
    def point(self) -> np.ndarray:
        return self.plane.points[self.fan.vertex]

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for corners with the same angular modes."""
        scale = max(float(np.abs(c).max()) for _, c in self.sectors)
        sectors = tuple((round(opening, 9), np.round(c / scale + 0.0, 9).tobytes()) for opening, c in self.sectors)
        return round(self.rotation, 9), sectors, self.first, self.last

    @cached_property
    def radius(self) -> float:
        """How far the sectors go on: to where what is behind the corner is domain again, or an interface ends."""
        room, plane = np.inf, self.plane
        for direction, mask, edge in self.rays:
            length = plane.straight(mask, self.fan.vertex, edge, direction)
            steps = length + np.geomspace(plane.shortest(self.fan) / 10, 2 * plane.extent, 400)
            points = self.point + steps[:, None] * np.array([np.cos(direction), np.sin(direction)])
            inside = np.flatnonzero(plane.mesh.contains(plane.lifted(points), 1e-9))
            if len(inside):
                room = min(room, float(steps[inside[0] - 1]) if inside[0] else length)
        return MARGIN * room

    def mode(self, mode: AngularMode, components: tuple[int, ...], size: int, jumps: bool = False) -> SingularMode:
        """The singular function here with an angular mode."""
        opening = sum(opening for opening, _ in self.sectors)
        return SingularMode(
            self.point, self.rotation, opening, mode.exponent, mode.breaks, mode.coefficients, components, size,
            self.radius, 1e-12 * self.plane.extent, jumps,
        )  # fmt: skip


def _corners(problem: Problem, weak: WeakForm) -> Iterator[Corner]:
    """The corners that may be singular, each block of components for itself."""
    operator = Operator(problem, weak)
    if not operator.blocks:
        return
    plane = Plane(problem.mesh)
    held = np.zeros((len(problem.components), len(plane.edges)), dtype=bool)
    for component, _, on in weak.essential:
        held[component, plane.edges_of(problem.mesh.facets_of(on))] = True
    interface = operator.interfaces(plane)
    for vertex in _candidates(problem, weak, plane, held, interface)[:MAX_CANDIDATES]:
        for fan in plane.fans(int(vertex), interface):
            for block in operator.blocks:
                tensors = operator.around(plane, fan, block)
                if tensors is not None:
                    yield from _corner(plane, fan, block, tensors, held[list(block)], interface)


def _candidates(problem: Problem, weak: WeakForm, plane: Plane, held: np.ndarray, interface: np.ndarray) -> np.ndarray:
    """The vertices (m,) at which exponents below 1 are possible, widest angle first."""
    corners = problem.mesh.reentrant_corners()[:, :2]
    reentrant = np.zeros(len(plane.points), dtype=bool)
    if len(corners):
        near, _ = KDTree(corners).query(plane.points, distance_upper_bound=1e-9 * plane.extent)
        reentrant = np.isfinite(near) & (plane.angle > np.pi + EXCESS)
    reentrant[plane.tips] = True
    sides, lines = plane.incident(plane.exterior), plane.incident(interface)
    some = [plane.incident(own & plane.exterior) for own in held]
    changes = np.any([(own > 0) & (own < sides) for own in some], axis=0) & (plane.angle > np.pi / 3 + 1e-6)
    junction = ((sides > 0) & (lines > 0)) | (lines > 2) | ((lines == 2) & ~plane.smooth(interface))
    chosen = ((sides > 0) & (reentrant | changes)) | junction
    for tie in weak.ties:
        if isinstance(tie, PeriodicTie):  # a vertex there sees a part of its surroundings only
            chosen[plane.edges[plane.edges_of(problem.mesh.facets_of((*tie.first, *tie.second)))]] = False
    vertices = np.flatnonzero(chosen)
    return vertices[np.argsort(-plane.angle[vertices], kind="stable")]


def _corner(
    plane: Plane, fan: Fan, block: tuple[int, ...], tensors: np.ndarray, held: np.ndarray, interface: np.ndarray
) -> Iterator[Corner]:
    """The corner of a fan with C of each of its cells; none where one material goes straight on."""
    cuts = [k for k in range(0 if fan.ring else 1, len(tensors)) if differ(tensors[k - 1], tensors[k])]
    ends = None if fan.ring else [tuple(held[:, edge].tolist()) for edge in (fan.edges[0], fan.edges[-1])]
    if not cuts and (ends is None or (ends[0] == ends[1] and fan.opening < np.pi + EXCESS)):
        return
    turn = fan.rotation + np.concatenate([[0.0], np.cumsum(fan.angles)])
    rays = tuple((float(turn[k]), interface, fan.edges[k]) for k in cuts)
    bounds = [*cuts, cuts[0] + len(tensors)] if ends is None else [0, *cuts, len(tensors)]
    turn = np.concatenate([turn, turn[1:] + 2 * np.pi])
    sectors = tuple((float(turn[b] - turn[a]), tensors[a]) for a, b in zip(bounds, bounds[1:], strict=False))
    first, last = ends or (None, None)
    behind = () if fan.ring else _behind(plane, fan)
    yield Corner(plane, fan, float(turn[bounds[0]]), sectors, first, last, block, rays + behind)


def _behind(plane: Plane, fan: Fan) -> tuple[tuple[float, np.ndarray, int]]:
    """The ray in the middle of what lies outside of a fan, on which a slit may lie."""
    return ((fan.rotation + fan.opening / 2 + np.pi, plane.exterior, fan.edges[0]),)


def describe(mode: SingularMode) -> str:
    """What a mode is, in a few words.

    >>> at = np.zeros(2), 0.0, 1.5 * np.pi, 2 / 3 + 0j, np.zeros(2), np.zeros((1, DEGREE + 1, 1)), (0,), 1
    >>> describe(SingularMode(*at))
    'r^0.667 at (0, 0), opening 270 degrees'
    """
    at = f"({', '.join(f'{v:.4g}' for v in mode.corner + 0.0)})"
    if mode.jumps:
        return f"a jump across the slit with its tip at {at}"
    power = f"{mode.exponent.real:.3g}"
    if mode.exponent.imag:
        power = f"({power} + {mode.exponent.imag:.3g}i)"
    return f"r^{power} at {at}, opening {np.degrees(mode.opening):.4g} degrees"


__all__ = ["SingularMode", "describe", "singular_corners", "singular_modes"]
