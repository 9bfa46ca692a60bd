"""`kinn bench` on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kinn.comparison.bench import SEEDS, THREADS, TIME_LIMIT, bench
from kinn.comparison.rerun import rerun
from kinn.comparison.run import FORMS, MATCHES, NETWORKS, NEVER, OPTIMIZERS
from kinn.comparison.tables import shown
from kinn.problem_file import parse_options
from kinn.statement.errors import StatementError


def bench_command(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="FILE...", help="Problem files, each with a reference(problem).")
    ] = None,
    networks: Annotated[str, typer.Option(help=f"Of {', '.join(NETWORKS)}, separated by commas.")] = ",".join(NETWORKS),
    forms: Annotated[str | None, typer.Option(help=f"Of {', '.join(FORMS)}; by default the one that fits.")] = None,
    optimizers: Annotated[str, typer.Option(help=f"Of {', '.join(OPTIMIZERS)}.")] = "gauss_newton",
    match: Annotated[str, typer.Option(help=f"What an MLP has in common with the KAN: {', '.join(MATCHES)}.")] = "time",
    seeds: Annotated[int, typer.Option(help="Seeds 0, 1, ... of each run.", min=1)] = SEEDS,
    time_limit: Annotated[float, typer.Option(help="Seconds of each run.")] = TIME_LIMIT,
    tolerance: Annotated[float, typer.Option(help="Estimated relative H1 error at which a run ends before.")] = NEVER,
    peers: Annotated[str, typer.Option(help="Other libraries, by the files peers/NAME_PROBLEM.py.")] = "",
    fem: Annotated[bool, typer.Option("--fem/--no-fem", help="Finite elements beside the networks.")] = True,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Option of problem(); repeatable.")
    ] = None,
    threads: Annotated[int, typer.Option(help="Number of CPU threads of each run.", min=1)] = THREADS,
    device: Annotated[str, typer.Option(help="Torch device of the networks.")] = "cpu",
    executor: Annotated[
        str | None, typer.Option(metavar="dask://HOST:PORT", help="Send the runs to these workers.")
    ] = None,
    again: Annotated[
        str | None, typer.Option("--rerun", metavar="FILE.jsonl:NUMBER", help="Make one run of a sweep again.")
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder of rows and report.")] = Path(
        "runs/bench"
    ),
) -> int:
    """Solvers beside each other on the same problems: one line of JSON for each run, tables, and a page with pictures."""
    if again is not None:
        return _again(again)
    listed = None if forms is None else [name or None for name in _split(forms)]
    found = bench(
        files or [], networks=_split(networks), forms=listed or (None,), optimizers=_split(optimizers),
        match=_split(match), seeds=seeds, time_limit=time_limit, tolerance=tolerance, peers=_split(peers), fem=fem,
        options=parse_options(settings or []), threads=threads, device=device, executor=executor, output=output,
    )  # fmt: skip
    print(found.report, end="")
    print(f"written to {found.folder}: report.html, report.md, runs.jsonl")
    return 0


def _again(text: str) -> int:
    file, _, number = text.rpartition(":")
    if not file or not number.isdigit():
        raise StatementError(f"--rerun {text!r} is not of the form FILE.jsonl:NUMBER, rows counted from 1")
    found = rerun(Path(file), int(number))
    low, high = found.spread
    errors = [shown(found.before.get("error")), shown(found.now.get("error"))]
    print(f"row {number}: error {errors[0]} then, {errors[1]} now; all seeds of it: {shown(low)} to {shown(high)}")
    if found.now["message"]:
        print(found.now["message"])
    print("within the spread of the seeds" if found.agrees else "outside the spread of the seeds")
    return 0 if found.agrees else 1


def _split(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


__all__ = ["bench_command"]
