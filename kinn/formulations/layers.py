"""Advection and boundary layers: how far a solution is from one that diffusion makes smooth, and where it falls steeply."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import sympy as sp
import torch
from torch import Tensor

from kinn.formulations.growth import LARGEST_SPACE
from kinn.formulations.program import Program
from kinn.geometry import Mesh, Points, gauss
from kinn.networks import Layer
from kinn.statement.errors import StatementError
from kinn.statement.forms import WeakForm, WeakRow
from kinn.statement.places import subdomain_facets
from kinn.statement.problem import Problem

THIN = 0.1  # of half the extent: a layer of that width or less has an input of its own
MAX_LAYERS = 8
CELL = 1.2  # largest height of a cell at a layer over the width of the layer
# Cells along layers that the tests of one component have room for, and the thinnest layer in 1-D over half the extent:
# thinner ones get wider inputs.
ROOM, THINNEST = {2: 220, 3: 150}, 1e-6
SAMPLE = 64
SAME = 1e-6
SMALLEST_SIDE = 0.5  # of the domain's half extents along it


@dataclass(frozen=True)
class Transport:
    """A row linearized in its own component at zero fields and guessed parameters: `-div(K grad u) + b . grad u + c u`.

    K (n, s, s), b (n, s), c (n,) at points; s is the number of space coordinates.
    """

    diffusion: Tensor
    wind: Tensor
    reaction: Tensor

    @staticmethod
    def of(problem: Problem, row: WeakRow, points: np.ndarray) -> Transport | None:
        """None where it is not to be had at zero fields, or not finite."""
        component, mesh = problem.components[row.component_index], problem.mesh
        space = mesh.coordinates[: mesh.spatial_dimension]
        guess = {p: sp.Float(p.guess) for p in problem.parameters.values()}
        zero = {node: sp.S.Zero for c in problem.components for node in [*(c.diff(x) for x in mesh.coordinates), c]}
        slopes = [component.diff(x) for x in space]
        found = [sp.diff(f, slope) for f in row.flux for slope in slopes]
        # the part of the flux that carries u counts as wind
        found += [sp.diff(row.source, slope) - sp.diff(f, component) for f, slope in zip(row.flux, slopes, strict=True)]
        found.append(sp.diff(row.source, component))
        try:
            program = Program([sp.sympify(e.xreplace(zero).xreplace(guess)) for e in found], problem)  # type: ignore[misc]
            x = torch.as_tensor(points, dtype=torch.float64)
            values = program(x.new_zeros(len(program.jets), len(x)), x, None, None, program.tabulate(x))
        except (StatementError, ValueError):
            return None
        s = len(space)
        if not torch.isfinite(values).all():
            return None
        return Transport(values[: s * s].T.reshape(-1, s, s), values[s * s : -1].T, values[-1])


def peclet(problem: Problem, weak: WeakForm) -> float:
    """The largest |b| L / k of the rows, with L half the largest extent in space and k the smallest diagonal entry of K."""
    mesh, largest = problem.mesh, 0.0
    for row in weak.rows:
        middles = mesh.points[mesh.cells[mesh.cells_of(row.on or None)]].mean(1)
        transport = Transport.of(problem, row, middles[:: max(1, len(middles) // SAMPLE)])
        if transport is not None and transport.wind.any():
            diffusion = transport.diffusion.diagonal(dim1=1, dim2=2).abs().amin(1)
            ratio = transport.wind.norm(dim=1) * _length(mesh) / diffusion.clamp_min(1e-300)
            largest = max([largest, *ratio[diffusion > 0].tolist()])
    return largest


def boundary_layers(problem: Problem, weak: WeakForm) -> tuple[Layer, ...]:
    """The plane sides of the domain with boundary values at which the equations make thin layers, the thinnest first.

    Across a layer `-k u'' + b u' + c u = 0`, so `u` falls like `exp(-d / w)` with `1 / w = (b_n + sqrt(b_n^2 + 4 k c)) / 2 k`,
    b_n to the outside. Where flow runs along a side for the length L of the domain, a layer grows as if c were b / L (Roos,
    Stynes and Tobiska, doi:10.1007/978-3-540-34467-4). A side with a part of the domain behind its plane, as at a
    re-entrant corner, has none; nor have curves, and meshes with time or parameters among their axes.
    """
    mesh, length = problem.mesh, _length(problem.mesh)
    if mesh.spatial_dimension < mesh.dimension:
        return ()
    found: dict[tuple[tuple[float, ...], float], float] = {}
    sizes: dict[tuple[tuple[float, ...], float], float] = {}
    for row in weak.rows:
        on = [mesh.facets_of(on) for component, _, on in weak.essential if component == row.component_index]
        facets = np.intersect1d(np.concatenate(on), subdomain_facets(mesh, row.on)) if on else np.zeros(0, dtype=int)
        for plane, side in _planes(mesh, facets).items() if len(facets) else ():
            transport = Transport.of(problem, row, side.x[:: max(1, len(side) // SAMPLE)])
            steep = 0.0 if transport is None else _steepness(transport, plane[0], length)
            if steep:
                found[plane], sizes[plane] = min(found.get(plane, steep), steep), float(side.weight.sum())
    smallest = _thinnest(mesh, list(sizes), sum(sizes.values()), len(problem.components))
    # a whole multiple: the layer is a polynomial of the input then
    layers = [Layer(*plane, math.ceil(max(1.0, smallest * steep)) / steep) for plane, steep in found.items()]
    layers = [layer for layer in layers if layer.width < 2 * THIN * length]
    return tuple(sorted(layers, key=lambda layer: layer.width)[:MAX_LAYERS])


def coarse_cells(mesh: Mesh, layers: Sequence[Layer]) -> np.ndarray:
    """Which cells at layers are larger than the layers are wide, (nc,) booleans.

    Inputs of networks are as steep as layers from the start: on larger cells a quadrature does not see between its points.
    """
    found = np.zeros(len(mesh.cells), dtype=bool)
    for layer in layers:
        gap, height = _at_plane(mesh, layer.normal, layer.edge)
        found |= (gap < 0.5 * layer.width) & (height > CELL * layer.width)
    return found


def _at_plane(mesh: Mesh, normal: tuple[float, ...], edge: float) -> tuple[np.ndarray, np.ndarray]:
    """How far each cell is from a plane, and how high it stands on it."""
    heights = mesh.points[mesh.cells] @ np.array(normal)
    return edge - heights.max(1), np.ptp(heights, axis=1)


def _thinnest(mesh: Mesh, planes: list[tuple[tuple[float, ...], float]], size: float, components: int) -> float:
    """The thinnest layer at `planes` of total measure `size` that refined test functions resolve."""
    if mesh.dimension == 1:
        return THINNEST * _length(mesh)
    if mesh.kind.is_simplex:
        return (size * components / ROOM[mesh.dimension]) ** (1 / (mesh.dimension - 1))
    # other cells are refined everywhere or nowhere
    halvings = math.log2(max(1.0, LARGEST_SPACE / (len(mesh.points) * components))) // mesh.dimension
    found = [_at_plane(mesh, *plane) for plane in planes]
    touching = [height[gap < SAME * _length(mesh)].max() for gap, height in found]
    return max(touching, default=0.0) / 2**halvings / CELL


def _steepness(transport: Transport, normal: tuple[float, ...], length: float) -> float:
    """The smallest 1 / w along a side, of all that make a layer thin; 0 if none does. A narrower layer is a smooth function
    of a wider one, not the other way round."""
    n = transport.wind.new_tensor(normal)
    k = torch.einsum("i,nij,j->n", n, transport.diffusion, n)
    sign = torch.where(k < 0, -1.0, 1.0)  # the statement may be written with either sign
    k, wind, reaction = k * sign, transport.wind * sign[:, None], transport.reaction * sign
    across, c = wind @ n, reaction.clamp_min(0)

    def steepness(c: Tensor) -> Tensor:
        return (across + (across**2 + 4 * k * c).sqrt()) / (2 * k).clamp_min(1e-300)

    steep = steepness(c)
    steep = torch.where(steep * length * THIN > 1, steep, steepness(c + wind.norm(dim=1) / length))
    thin = steep[(k > 0) & (steep * length * THIN > 1)]
    return float(thin.min()) if len(thin) else 0.0


def _planes(mesh: Mesh, facets: np.ndarray) -> dict[tuple[tuple[float, ...], float], Points]:
    """(normal, edge) -> midpoints of its facets with their sizes, for each plane with the whole domain on one side.

    Facets on a curve are each too small a part of the boundary to make one.
    """
    points = gauss(mesh, 1, facets=facets.tolist())
    assert points.normal is not None
    extent = 2 * float(mesh.scale.max())
    keys = np.round(np.column_stack([points.normal, (points.normal * points.x).sum(1) / extent]), 6)
    found = {}
    for key in np.unique(keys, axis=0):
        own = (keys == key).all(1)
        normal = points.normal[own][0]
        edge = float((points.x[own] @ normal).mean())
        bounds = (mesh.nodes @ normal).max() <= edge + SAME * extent
        large = points.weight[own].sum() >= SMALLEST_SIDE * np.delete(mesh.scale, np.abs(normal).argmax()).prod()
        if bounds and large:
            found[tuple((np.round(normal, 12) + 0.0).tolist()), edge] = Points(points.x[own], points.weight[own])
    return found


def _length(mesh: Mesh) -> float:
    return float(mesh.scale[: mesh.spatial_dimension].max())


def describe(layers: tuple[Layer, ...]) -> tuple[str, ...]:
    """Each layer in a few words."""
    return tuple(
        f"exp(-distance / {layer.width:.3g}) from the side with normal ({', '.join(f'{n:.3g}' for n in layer.normal)})"
        for layer in layers
    )


__all__ = ["boundary_layers", "coarse_cells", "describe", "peclet"]
