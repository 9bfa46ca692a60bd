"""A field in motion: one picture for each of evenly spaced times, or values of a parameter, in a GIF file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image
from scipy.spatial import KDTree

from kinn.report.drawing import COLORS, curve, draw
from kinn.report.matching import scalars
from kinn.report.plots import name_of, tabulate
from kinn.report.reference import Evaluable
from kinn.report.section import running_axis
from kinn.report.surface import surface_of
from kinn.statement.errors import StatementError

PER_SECOND = 12
DOTS = 90  # per inch


def animate(
    solution: Evaluable, path: str | Path, what: Any = None, frames: int = 40, at: Mapping[str, Any] | None = None
) -> None:
    """Write an animated GIF of a field or expression along time, or the axis of a parameter that `at` does not hold.

    Colors and scales are the same in all frames; vectors are shown by their length.

    Raises StatementError for another ending than .gif, a problem without such an axis and fewer than two frames.
    """
    problem, path, held = solution.problem, Path(path), dict(at or {})
    mesh = problem.mesh
    name = running_axis(mesh, held)
    if path.suffix.lower() != ".gif":
        raise StatementError(f"cannot write {str(path)!r}: an animation is a .gif file; change the ending")
    if not path.resolve().parent.is_dir():
        raise StatementError(f"cannot write {str(path)!r}: its folder does not exist; make it first")
    if frames < 2:
        raise StatementError(f"an animation of {frames} frames does not move; give 2 or more")
    expressions = scalars(next(iter(problem.fields)) if what is None else what, problem)
    title = name_of(what, expressions) if what is not None else next(iter(problem.fields))
    title = title if len(expressions) == 1 else f"|{title}|"
    axis = mesh.coordinate_names.index(name)
    values = np.linspace(mesh.lower[axis], mesh.upper[axis], frames)
    surface = surface_of(mesh, {**held, name: float(values[0])})
    rows = []
    for value in values:
        places = surface.places.copy()
        places[:, axis] = value
        found = tabulate(solution, expressions, replace(surface, places=places))
        rows.append(found[:, 0] if len(expressions) == 1 else np.linalg.norm(found, axis=1))
    low, high = float(np.nanmin(rows)), float(np.nanmax(rows))
    axes = draw(surface, rows[0], title, "field", None)
    if len(surface.names) == 1:
        margin = 0.05 * (high - low) or 1.0
        axes.set_ylim(low - margin, high + margin)
    else:
        axes.collections[0].set_clim(low, high if high > low else low + 1.0)
    canvas = FigureCanvasAgg(cast(Figure, axes.get_figure(root=True)))
    canvas.figure.set_dpi(DOTS)
    for _ in range(2):  # the layout settles, and then stands still
        canvas.draw()
    canvas.figure.set_layout_engine("none")
    pictures = []
    for row, value in zip(rows, values, strict=True):
        if len(surface.names) == 1:
            axes.get_lines()[0].set_data(*curve(surface, row))
        else:
            axes.collections[0].set_array(row)
        axes.set_title(f"{title} at {name} = {value:.3g}")
        canvas.draw()
        pictures.append(np.asarray(canvas.buffer_rgba())[..., :3].copy())
    _save(pictures, path)


def _save(pictures: list[np.ndarray], path: Path) -> None:
    """A GIF with one palette for all frames: with one each, the colors that a frame lacks come out in blocks."""
    ramps = [colormaps[COLORS["field"]](np.linspace(0, 1, 180))[:, :3]]
    for dark, count in (((0.0, 0.0, 0.0), 40), (to_rgb("C0"), 36)):  # of text and of curves, up to white
        ramps.append(1 - (1 - np.array(dark)) * np.linspace(0, 1, count)[:, None])
    palette = np.round(255 * np.concatenate(ramps)).astype(np.uint8)
    nearest, frames = KDTree(palette), []
    for picture in pictures:
        colors, pixels = np.unique(picture.astype(np.int32) @ [65536, 256, 1], return_inverse=True)
        rgb = np.stack([colors >> 16, (colors >> 8) & 255, colors & 255], axis=1)
        entries = np.asarray(nearest.query(rgb)[1], dtype=np.uint8)
        frame = Image.fromarray(entries[pixels.reshape(picture.shape[:2])])
        frame.putpalette(palette.ravel().tolist())
        frames.append(frame)
    try:
        frames[0].save(path, save_all=True, append_images=frames[1:], duration=round(1000 / PER_SECOND), loop=0)
    except OSError as error:
        raise StatementError(f"cannot write {str(path)!r}: {error.strerror or error}") from None


__all__ = ["animate"]
