"""`python -m benchmarks engine | figures | scales | networks`: measure, print a table, write JSON and markdown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import torch
import typer

from benchmarks import engine, figures, networks, scales
from benchmarks.conditions import RESULTS

app = typer.Typer(add_completion=False, rich_markup_mode=None, help="Measure kinn; results go to benchmarks/results.")

Threads = Annotated[int, typer.Option(help="CPU threads of every run.")]
Seeds = Annotated[int, typer.Option(help="Seeds 0, 1, ... of each run.")]
Problems = Annotated[list[str] | None, typer.Option("--problems", help="A problem; repeatable; all by default.")]
Limit = Annotated[float | None, typer.Option(help="Shorten every time limit to this, to try the suite out.")]
Output = Annotated[Path, typer.Option("--output", "-o", help="Folder for results.")]


@app.command("engine")
def engine_command(threads: Threads = 2, points: int = engine.LARGE, output: Output = RESULTS) -> None:
    """Jets, Jacobian and Gram, one Gauss-Newton step on many points."""
    print(engine.run(threads, points, output))


@app.command("figures")
def figures_command(
    seeds: Seeds = 5, problems: Problems = None, threads: Threads = 2, limit: Limit = None, output: Output = RESULTS
) -> None:
    """Errors and seconds of every problem file, beside what is asked."""
    print(figures.run(seeds, problems, threads, limit, output))


@app.command("scales")
def scales_command(
    seed: int = 0, problems: Problems = None, threads: Threads = 2, limit: Limit = None, output: Output = RESULTS
) -> None:
    """The same problems in other units."""
    print(scales.run(problems, seed, threads, limit, output))


@app.command("networks")
def networks_command(
    seeds: Seeds = 5, problems: Problems = None, threads: Threads = 2, limit: Limit = None, output: Output = RESULTS
) -> None:
    """KANs beside MLPs of the same size, in the same time."""
    print(networks.run(seeds, problems, threads, limit, output))


@app.command("step", hidden=True)
def step_command(points: int, threads: Threads = 2) -> None:
    """One Gauss-Newton step, for the peak memory of a process of its own."""
    torch.set_num_threads(threads)
    print(json.dumps(engine.one_step(points)))


if __name__ == "__main__":
    app()
