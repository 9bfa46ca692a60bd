"""Values on a line, a plane or the boundary of a solid as matplotlib draws them.

Figures are made without pyplot, so that nothing is shared between threads and no window system is needed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.ticker import MaxNLocator
from matplotlib.tri import Triangulation
from mpl_toolkits.mplot3d.art3d import Line3DCollection, Poly3DCollection

from kinn.report.surface import Surface

COLORS = {"field": "viridis", "error": "RdBu_r", "residual": "magma", "relative error": "magma"}
RELATIVE = (1e-9, 1e-1)  # the same for all relative errors, which are there to be compared
LIGHT = np.array([0.35, -0.65, 0.68])  # from the viewer's side, so that faces turned away are darker


def draw(surface: Surface, values: np.ndarray, name: str, style: str, ax: Axes | None, label: str = "") -> Axes:
    """A picture of values (n,) at the surface's places; `style` is one of COLORS."""
    if len(surface.names) == 1:
        return _line(surface, values, name, style, ax, label)
    norm = norm_of(values, style)
    if isinstance(norm, LogNorm):
        values = np.maximum(values, norm.vmin or 0.0)
    return (_solid if len(surface.names) == 3 else _plane)(surface, values, name, norm, COLORS[style], ax)


def norm_of(values: np.ndarray, style: str) -> Normalize:
    """The range of the colors: of an error even about zero, of a residual logarithmic, of a relative error fixed."""
    if style == "relative error":
        return LogNorm(*RELATIVE)
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if style == "error":
        bound = max(abs(low), abs(high)) or 1.0
        return Normalize(-bound, bound)
    if style == "residual" and high > 0:
        positive = finite[finite > 0]
        return LogNorm(min(max(float(np.quantile(positive, 0.01)), high * 1e-12), high / 10), high)
    return Normalize(low, high if high > low else low + 1.0)


def curve(surface: Surface, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A line's coordinates and values in order, with NaN where the line leaves the domain."""
    x = surface.corners[:, 0]
    if surface.centers:  # each piece has one value
        values, x = np.repeat(values[surface.owner], 2), x[surface.pieces].ravel()
        return curve(
            replace(surface, corners=x[:, None], pieces=np.arange(len(x)).reshape(-1, 2), centers=False), values
        )
    ends = np.take_along_axis(surface.pieces, np.argsort(x[surface.pieces], axis=1), axis=1)
    ends = ends[np.argsort(x[ends[:, 0]])]
    gaps = np.flatnonzero(x[ends[1:, 0]] > x[ends[:-1, 1]] + 1e-9 * np.ptp(x)) + 1
    order = np.insert(ends.ravel(), 2 * gaps, -1)
    return np.where(order < 0, np.nan, x[order]), np.where(order < 0, np.nan, values[order])


def _line(surface: Surface, values: np.ndarray, name: str, style: str, ax: Axes | None, label: str) -> Axes:
    axes = ax or Figure(figsize=(6.4, 4.2), layout="constrained").add_subplot()
    x, y = curve(surface, values)
    if style == "residual" and (values > 0).any():
        axes.semilogy(x, np.where(y > 0, y, np.nan), lw=1.4, label=label)
        low, high = axes.get_ylim()
        axes.set_ylim(min(low, values.max() / 10), max(high, values.max() * 1.3))
    else:
        axes.plot(x, y, lw=1.6, label=label)
    axes.set_xlabel(surface.names[0])
    axes.grid(alpha=0.3)
    axes.set_title(name)
    return axes


def _plane(surface: Surface, values: np.ndarray, name: str, norm: Normalize, colors: str, ax: Axes | None) -> Axes:
    axes = ax or Figure(figsize=_size(surface), layout="constrained").add_subplot()
    grid = Triangulation(surface.corners[:, 0], surface.corners[:, 1], surface.pieces)
    options: Any = {"norm": norm, "cmap": colors, "rasterized": True}
    if surface.centers:
        picture = axes.tripcolor(grid, facecolors=values[surface.owner], **options)
    else:
        picture = axes.tripcolor(grid, values, shading="gouraud", **options)
    # One path: separate short lines would be rounded to pixels one by one.
    outline = Path(surface.outline.reshape(-1, 2), [Path.MOVETO, Path.LINETO] * len(surface.outline))
    axes.add_patch(PathPatch(outline, facecolor="none", edgecolor="black", lw=0.8))
    axes.figure.colorbar(picture, ax=axes, shrink=0.9)
    axes.set_xlabel(surface.names[0])
    axes.set_ylabel(surface.names[1])
    if surface.spatial:
        axes.set_aspect("equal")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(6))
    axes.set_title(name)
    return axes


def _solid(surface: Surface, values: np.ndarray, name: str, norm: Normalize, colors: str, ax: Axes | None) -> Axes:
    axes: Any = ax or Figure(figsize=(6.8, 5.4), layout="constrained").add_subplot(projection="3d")
    on_pieces = values[surface.owner] if surface.centers else values[surface.pieces].mean(axis=1)
    corners = surface.corners[surface.pieces]
    low, high = surface.corners.min(axis=0), surface.corners.max(axis=0)
    scaled = corners / (1.0 if surface.spatial else high - low)
    normals = np.cross(scaled[:, 1] - scaled[:, 0], scaled[:, 2] - scaled[:, 0])
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    # A little shade shows the shape and leaves the colors readable.
    paint = colormaps[colors](norm(on_pieces))
    paint[:, :3] *= (0.78 + 0.22 * np.abs(normals @ LIGHT))[:, None]
    axes.add_collection3d(Poly3DCollection(list(corners), facecolors=paint, edgecolors=paint, linewidths=0.2))
    if len(surface.outline):
        lines = list(surface.outline)
        axes.add_collection3d(Line3DCollection(lines, colors="black", linewidths=0.6, alpha=0.35))
    axes.figure.colorbar(ScalarMappable(norm, colors), ax=axes, shrink=0.7, pad=0.1)
    for k, axis in enumerate("xyz"):
        getattr(axes, f"set_{axis}label")(surface.names[k])
        getattr(axes, f"set_{axis}lim")(low[k], high[k])
    if surface.spatial:
        axes.set_aspect("equal")
    extent = high - low
    for axis, length in zip((axes.xaxis, axes.yaxis, axes.zaxis), extent, strict=True):
        axis.set_major_locator(MaxNLocator(5 if length > 0.4 * extent.max() else 2))
    axes.set_title(name)
    return axes


def arrows(axes: Axes, surface: Surface, vectors: np.ndarray) -> None:
    """About 15 x 15 arrows at the corners nearest to an even grid; the longest is as long as the grid is wide."""
    x = surface.corners
    low, extent = x.min(axis=0), np.ptp(x, axis=0).max()
    square = np.floor((x - low) / extent * 15 - 1e-9)
    away = np.abs((x - low) / extent * 15 - square - 0.5).max(axis=1)
    order = np.argsort(away, kind="stable")
    chosen = order[np.unique(square[order], axis=0, return_index=True)[1]]
    chosen = chosen[away[chosen] < 0.3]
    longest = np.linalg.norm(vectors[chosen], axis=1).max(initial=0.0)
    if longest > 0:
        axes.quiver(
            *x[chosen].T, *(vectors[chosen] * (extent / 15 / longest)).T, angles="xy", scale_units="xy", scale=1.0,
            color="white", edgecolor="black", linewidth=0.3, pivot="mid", width=0.004,
        )  # fmt: skip


def _size(surface: Surface) -> tuple[float, float]:
    if not surface.spatial:
        return 6.4, 4.4
    width, height = np.ptp(surface.corners, axis=0)
    return (6.4, float(np.clip(5.2 * height / width, 2.2, 7.0)) + 0.4)


__all__ = ["arrows", "curve", "draw", "norm_of"]
