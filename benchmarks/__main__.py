"""`python -m benchmarks SUITE`: measure, print a table, write JSON and markdown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import torch
import typer

from benchmarks import (
    bands,
    coverage,
    engine,
    figures,
    identified,
    kernels,
    kinn_paper,
    laws,
    networks,
    scales,
    two_stage,
)
from benchmarks.conditions import RESULTS
from benchmarks.suite import BANDS, COVERAGE, GROUPS

app = typer.Typer(add_completion=False, rich_markup_mode=None, help="Measure kinn; results go to benchmarks/results.")

Threads = Annotated[int, typer.Option(help="CPU threads of every run.")]
Problems = Annotated[
    str | None, typer.Option(help=f"Problems, separated by commas, or groups ({', '.join(GROUPS)}); all by default.")
]
Within = Annotated[float, typer.Option(help="Part of each time limit after which a run ends.", min=0.01, max=1)]
Limit = Annotated[float | None, typer.Option(help="Cut every time limit to this, to try the suite out.")]
Output = Annotated[Path, typer.Option("--output", "-o", help="Folder for results.")]


def _folder(output: Path, limit: float | None) -> Path:
    """Where results go: cut runs stay out of the committed results."""
    if limit is not None and output.resolve() == RESULTS:
        raise SystemExit(
            "--limit is for trying the suite out; give --output FOLDER, so that the results stay as they are"
        )
    return output


@app.command("engine")
def engine_command(threads: Threads = 2, points: int = engine.LARGE, output: Output = RESULTS) -> None:
    """Jets, Jacobian and Gram, one Gauss-Newton step on many points."""
    print(engine.run(threads, points, output))


@app.command("figures")
def figures_command(
    seeds: Annotated[int, typer.Option(help="Seeds 0, 1, ... of each run.", min=1)] = 5,
    problems: Problems = None,
    threads: Threads = 2,
    within: Within = 0.97,
    limit: Limit = None,
    output: Output = RESULTS,
) -> None:
    """Errors and seconds of every problem file, beside what is asked; each problem's results replace its earlier ones."""
    print(figures.run(seeds, problems, threads, within, limit, _folder(output, limit)))


@app.command("scales")
def scales_command(
    seed: int = 0,
    problems: Problems = None,
    threads: Threads = 2,
    within: Within = 1,
    limit: Limit = None,
    output: Output = RESULTS,
) -> None:
    """The same problems in other units; each problem's results replace its earlier ones."""
    print(scales.run(seed, problems, threads, within, limit, _folder(output, limit)))


@app.command("networks")
def networks_command(
    seeds: Annotated[int, typer.Option(help="Seeds 10, 11, ... of each run.", min=1)] = len(networks.SEEDS),
    problems: Problems = None,
    threads: Threads = 2,
    limit: Limit = None,
    output: Output = RESULTS,
) -> None:
    """KANs beside MLPs in the same time, also with as many parameters; rows that were measured stay."""
    print(networks.run(seeds, problems, threads, limit, _folder(output, limit)))


@app.command("coverage")
def coverage_command(
    draws: Annotated[int, typer.Option(help="Draws 1, 2, ... of the noise, beside draw 0.", min=2)] = 100,
    problems: Annotated[
        str | None,
        typer.Option(help=f"Of {', '.join(case.problem for case in COVERAGE)}, separated by commas; all by default."),
    ] = None,
    threads: Threads = 2,
    limit: Limit = None,
    output: Output = RESULTS,
) -> None:
    """Deviations of identified parameters over draws of the noise; each problem's results replace its earlier ones."""
    print(coverage.run(draws, problems, threads, limit, _folder(output, limit)))


@app.command("bands")
def bands_command(
    draws: Annotated[int, typer.Option(help="Draws 1, 2, ... of the noise.", min=1)] = 10,
    problems: Annotated[
        str | None,
        typer.Option(help=f"Of {', '.join(case.problem for case in BANDS)}, separated by commas; all by default."),
    ] = None,
    threads: Threads = 2,
    within: Within = 0.97,
    limit: Limit = None,
    output: Output = RESULTS,
) -> None:
    """Errors and bands of unknown fields over draws of the noise; each problem's results replace its earlier ones."""
    print(bands.run(draws, problems, threads, within, limit, _folder(output, limit)))


@app.command("identified")
def identified_command(
    seed: int = 0,
    problems: Problems = None,
    threads: Threads = 2,
    within: Within = 0.97,
    limit: Limit = None,
    output: Output = RESULTS,
) -> None:
    """Inverse problems by networks and by finite elements; each problem's results replace its earlier ones."""
    print(identified.run(seed, problems, threads, within, limit, _folder(output, limit)))


@app.command("kinn_paper")
def kinn_paper_command(
    seeds: Annotated[int, typer.Option(help="Seeds 0, 1, ... of each run.", min=1)] = 5,
    problems: Annotated[str | None, typer.Option(help="Problems, separated by commas; all by default.")] = None,
    threads: Threads = 2,
    limit: Limit = None,
    output: Output = RESULTS,
) -> None:
    """KANs, MLPs and finite elements on the examples of the KINN paper; rows that were measured stay."""
    print(kinn_paper.run(seeds, problems, threads, limit, _folder(output, limit)))


@app.command("kernels")
def kernels_command(
    seconds: Annotated[float, typer.Option(help="Of each run.", min=0.1)] = 20.0,
    threads: Threads = 2,
    output: Output = RESULTS,
) -> None:
    """Neural tangent kernels of a KAN and an MLP during training."""
    print(kernels.run(seconds, threads, output))


@app.command("laws")
def laws_command(
    seeds: Annotated[int, typer.Option(help="Seeds 0, 1, ... of each run.", min=1)] = 3,
    seconds: Annotated[float, typer.Option(help="Of each run.", min=0.1)] = 10.0,
    threads: Threads = 2,
    output: Output = RESULTS,
) -> None:
    """Errors of KANs of fixed size against cells and degree of their splines, and fitted slopes."""
    print(laws.run(seeds, seconds, threads, output))


@app.command("two_stage")
def two_stage_command(
    seeds: Annotated[int, typer.Option(help="Seeds 0, 1, ... of each run.", min=1)] = 5,
    threads: Threads = 2,
    output: Output = RESULTS,
) -> None:
    """Young's modulus by the KINN paper's route, first the data and then the physics, and jointly."""
    print(two_stage.run(seeds, threads, output))


@app.command("step", hidden=True)
def step_command(points: int, threads: Threads = 2) -> None:
    """One Gauss-Newton step, for the peak memory of a process of its own."""
    torch.set_num_threads(threads)
    print(json.dumps(engine.one_step(points)))


if __name__ == "__main__":
    app()
