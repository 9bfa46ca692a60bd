"""Pictures of a comparison: error against seconds and against size, and how it fell."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kinn.comparison.summary import Group

POINTS = 60  # along a convergence curve
TINY = 1e-17  # an error of zero has no logarithm


def convergence(found: Sequence[Group]) -> Figure:
    """The error against seconds: the median over the seeds that have one, and the range of these."""
    figure, axes = _axes("seconds")
    for number, group in enumerate(found):
        curves = [
            sorted((s, max(e, TINY)) for s, _, _, e in row.get("history", ()) if e is not None) for row in group.rows
        ]
        curves = [np.array(curve) for curve in curves if curve]
        if not curves:
            continue
        low, high = max(curve[0, 0] for curve in curves), max(curve[-1, 0] for curve in curves)
        at = np.geomspace(max(low, 1e-3), max(high, 2e-3), POINTS)
        best = np.array([_held(curve, at) for curve in curves])
        color = f"C{number}"
        axes.plot(at, np.median(best, axis=0), color=color, label=group.contender)
        axes.fill_between(at, best.min(axis=0), best.max(axis=0), color=color, alpha=0.15, linewidth=0)
    return _finished(figure, axes)


def work_precision(found: Sequence[Group]) -> Figure:
    """The error against the number of parameters, or unknowns of elements, along each run."""
    figure, axes = _axes("parameters, or unknowns of elements")
    for number, group in enumerate(found):
        color, label = f"C{number}", group.contender
        for row in group.rows:
            best: dict[int, float] = {}
            for _, _, size, error in row.get("history", ()):
                if size and error is not None:
                    best[size] = min(max(error, TINY), best.get(size, np.inf))
            if best:
                axes.plot(list(best), list(best.values()), ".-", color=color, label=label, alpha=0.7)
                label = "_"
    return _finished(figure, axes)


def _held(curve: np.ndarray, at: np.ndarray) -> np.ndarray:
    """The lowest error up to each time."""
    lowest = np.minimum.accumulate(curve[:, 1])
    return lowest[np.clip(np.searchsorted(curve[:, 0], at, side="right") - 1, 0, len(curve) - 1)]


def _axes(label: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(6.0, 3.8), layout="constrained")
    axes = figure.add_subplot()
    axes.set(xscale="log", yscale="log", xlabel=label, ylabel="relative L2 error")
    axes.grid(alpha=0.3)
    return figure, axes


def _finished(figure: Figure, axes: Axes) -> Figure:
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8)
    return figure


def embedded(figure: Figure) -> str:
    """A picture as the source of an `<img>`."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=90)
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"


__all__ = ["convergence", "embedded", "work_precision"]
