"""The command line: `kinn solve | info | bench | plot`.

Exit codes: 0 with an answer, 1 if the run became non-finite, 2 for bad input (one line on stderr), 130 if interrupted.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from matplotlib.axes import Axes
from rich.console import Console

from kinn.cli.bench import bench_command
from kinn.comparison.work import HISTORY_POINTS
from kinn.hashed_file import made_folder
from kinn.problem_file import ProblemFile, parse_options
from kinn.report.errors import Comparison
from kinn.report.plots import plot_error, plot_field, plot_history
from kinn.report.quantities import quantities
from kinn.report.record import record, write_json
from kinn.report.tables import comparison_lines, describe, straight_text, two_columns
from kinn.result import Status
from kinn.solution import Solution, load
from kinn.solver import plan, solve
from kinn.statement.errors import StatementError, suggest

EXIT = {Status.NONFINITE: 1, Status.INTERRUPTED: 130}
SOLUTION, RECORD, SERIES = "solution.kinn", "run.json", "series"
TIMES = 11  # files of a series

app = typer.Typer(
    name="kinn", help="Solve PDEs with KANs: meshes in, fields, figures and error estimates out.",
    add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False,
)  # fmt: skip

File = Annotated[Path, typer.Argument(metavar="FILE", help="Python file that defines problem(**options).")]
NetworkName = Annotated[str | None, typer.Option(metavar="kan|mlp", help="Network; a KAN by default.")]
SingularFlag = Annotated[
    bool, typer.Option("--singular/--no-singular", help="Singular functions at corners and crack tips.")
]
FormName = Annotated[
    str | None, typer.Option(metavar="strong|weak", help="Form; chosen from the statement by default.")
]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Option of problem(); repeatable.")
]


app.command("bench")(bench_command)


@app.command("solve")
def solve_command(
    file: File,
    network: NetworkName = None,
    form: FormName = None,
    seed: Annotated[int, typer.Option(help="Of initial weights and points.")] = 0,
    settings: Settings = None,
    device: Annotated[str, typer.Option(help="Torch device, such as cpu or cuda.")] = "cpu",
    threads: Annotated[int | None, typer.Option(help="Number of CPU threads.")] = None,
    tolerance: Annotated[float, typer.Option(help="Stop below this estimated relative H1 error.")] = 1e-6,
    steps: Annotated[int | None, typer.Option(help="Stop after this many steps.")] = None,
    time_limit: Annotated[float | None, typer.Option(help="Stop after this many seconds.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="DIR", help="Default: runs/NAME.")] = None,
    resume: Annotated[
        Path | None,
        typer.Option("--resume", metavar="DIR", help="Go on with the run that wrote its checkpoints to DIR."),
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the record here too.")] = None,
    singular: SingularFlag = True,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")] = False,
) -> int:
    """Solve a problem; write checkpoints, the solution, files for ParaView, figures and a record to DIR."""
    _check_choice("--network", network, ("kan", "mlp"))
    _check_choice("--form", form, ("strong", "weak"))
    for name, value in (
        ("--threads", threads),
        ("--steps", steps),
        ("--time-limit", time_limit),
        ("--tolerance", tolerance),
    ):
        if value is not None and not value > 0:
            raise StatementError(f"{name} is {value}; give a number above 0")
    if threads is not None:
        torch.set_num_threads(threads)
    problem_file = ProblemFile.load(file, parse_options(settings or []))
    problem = problem_file.problem()
    folder = made_folder(output or resume or Path("runs") / problem_file.name)
    if json_file is not None and not json_file.resolve().parent.is_dir():
        raise StatementError(f"cannot write {str(json_file)!r}: its folder does not exist; make it first")
    wanted, derived = problem_file.quantities(problem), problem_file.derived(problem)
    stderr = Console(stderr=True, quiet=quiet)
    for note in problem.notes:
        stderr.print(f"note: {note}", markup=False, highlight=False)
    with stderr.status("reference"):
        reference = problem_file.reference(problem)
        few = None if reference is None else Comparison(problem, reference, n=HISTORY_POINTS)
        many = None if reference is None else Comparison(problem, reference, derived=derived)
    seen: dict[tuple[int, float], dict[str, float]] = {}

    def compare(step: int, seconds: float, solution: Any) -> None:
        if few is not None:
            seen[step, seconds] = few.relative_l2(solution)

    solution = solve(
        problem, network=network, form=form, tolerance=tolerance, steps=steps, time_limit=time_limit, seed=seed,
        device=device, progress=not quiet, callback=None if few is None else compare,
        checkpoint=folder, resume=resume, singular=singular,
    )  # fmt: skip
    solution.save(folder / SOLUTION)
    solution.write(folder / "fields.vtu", **derived)
    axes = range(problem.mesh.spatial_dimension, problem.mesh.dimension)
    if len(axes) == 1:  # time, or a parameter
        low, high = problem.mesh.lower[axes[0]], problem.mesh.upper[axes[0]]
        solution.write_series(folder / f"{SERIES}.pvd", np.linspace(low, high, TIMES), **derived)
    errors = {} if many is None else many.errors(solution)
    derived_errors = {} if many is None else many.derived(solution)
    numbers = quantities(wanted, solution, reference)
    history_errors = [seen.get((entry.step, entry.seconds)) for entry in solution.history]
    truths = {} if reference is None else reference.truths
    document = record(
        solution.result, problem=problem_file.name, options=problem_file.options, device=device,
        threads=torch.get_num_threads(), errors=errors, history_errors=history_errors, quantities=numbers,
        truths=truths, derived=derived_errors,
    )  # fmt: skip
    where = os.path.relpath(file.resolve(), folder.resolve())  # so that a folder with both can be moved
    write_json({**document, "file": where, "set": problem_file.given}, folder / RECORD)
    if json_file is not None:
        write_json(document, json_file)
    for name in problem.fields:
        _picture(plot_field(solution, name), folder / f"{name}.png")
        if name in errors:
            _picture(plot_error(solution, reference, name), folder / f"{name}_error.png")
    _picture(plot_history(solution.history, history_errors), folder / "history.png")
    if not quiet:
        compared = comparison_lines({**errors, **derived_errors}, reference.solutions if reference else (), numbers)
        parts = set(folder.glob(f"{SERIES}_*.vtu"))  # the .pvd file stands for them
        files = ", ".join(sorted(path.name for path in folder.iterdir() if path not in parts))
        print("\n".join([describe(solution.result, truths), *compared, f"written to {folder}: {files}"]))
    if solution.status in EXIT:
        print(f"{solution.status.label}: {solution.result.message or solution.status.value}", file=sys.stderr)
    return EXIT.get(solution.status, 0)


@app.command("info")
def info_command(
    file: File,
    network: NetworkName = None,
    form: FormName = None,
    settings: Settings = None,
    singular: SingularFlag = True,
) -> int:
    """Show the statement, the mesh with its names, points, form and network, before anything is trained."""
    _check_choice("--network", network, ("kan", "mlp"))
    _check_choice("--form", form, ("strong", "weak"))
    problem_file = ProblemFile.load(file, parse_options(settings or []))
    problem = problem_file.problem()
    mesh = problem.mesh
    planned = plan(problem, network=network, form=form, singular=singular)
    ranges = zip(mesh.coordinate_names, mesh.lower, mesh.upper, strict=True)
    parts = [f"{name} ({len(facets)} facets)" for name, facets in mesh.boundaries.items()]
    parts += [f"{name} ({len(cells)} {mesh.kind.plural})" for name, cells in mesh.subdomains.items()]
    rows = [
        ("cells", f"{len(mesh.cells)} {mesh.kind.plural}, {len(mesh.points)} vertices, measure {mesh.measure:.6g}"),
        ("box", ", ".join(f"{name} in [{low:g}, {high:g}]" for name, low, high in ranges)),
        ("names", ", ".join([*parts, f"boundary ({len(mesh.exterior)} facets)"])),
    ]
    straight = straight_text(mesh)
    rows += [("edges", straight)] if straight else []
    unknowns = [(p.name, f"guess {p.guess:g}, {_bounds(p)}") for p in problem.parameters.values()]
    options = ", ".join(f"{name}={value!r}" for name, value in problem_file.options.items())
    solver = [
        ("form", f"{planned.form}, since {planned.reason}"),
        ("network", planned.network_text),
        ("points", str(planned.n_points)),
        ("terms", ", ".join(str(term) for term in planned.terms)),
    ]
    lines = [f"{problem_file.name}{f' ({options})' if options else ''}", "statement"]
    lines += [f"  {line}" for line in problem.pretty()]
    lines += (["unknown parameters", *two_columns(unknowns)] if unknowns else []) + ["mesh", *two_columns(rows)]
    if planned.left_open:
        solver.append(("open", f"the solution is determined up to: {planned.left_open}"))
    solver += [("materials", planned.materials)] if planned.materials else []
    solver += [("singular", text) for text in planned.singular]
    solver += [("layer", text) for text in planned.layers] + [("wave", text) for text in planned.waves]
    solver += [("periodic", f"in {', '.join(planned.periodic)}, exactly")] if planned.periodic else []
    lines += ["solver", *two_columns(solver), *(f"note: {note}" for note in problem.notes)]
    print("\n".join(lines))
    return 0


@app.command("plot")
def plot_command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder that kinn solve wrote.")],
    what: Annotated[
        str,
        typer.Argument(metavar="WHAT", help="A field's or derived name, field, error, residual, an equation, history."),
    ],
    at: Annotated[
        list[str] | None, typer.Option("--at", metavar="NAME=VALUE", help="Coordinate to hold, t=0.5; repeatable.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Default: RUN/WHAT.png.")
    ] = None,
) -> int:
    """Draw a picture of a finished run."""
    if not (run / RECORD).is_file():
        raise StatementError(f"{str(run)!r} has no {RECORD}; give the folder that 'kinn solve' wrote")
    try:
        document = json.loads((run / RECORD).read_text(encoding="utf-8"))
        path, given = run / document["file"], dict(document["set"])
    except (ValueError, KeyError, TypeError):
        raise StatementError(f"{str(run / RECORD)!r} is not readable; solve again") from None
    problem_file = ProblemFile.load(path, given)
    problem = problem_file.problem()
    solution = load(run / SOLUTION, problem)
    held = parse_options(at or [], "--at", f"{problem.mesh.coordinate_names[-1]}=0.5")
    picture = output or run / (
        "_".join([what, *(f"{name}={value}" for name, value in held.items())]).replace(" ", "_") + ".png"
    )
    _picture(_plot(solution, what, held, problem_file, document), picture)
    print(picture)
    return 0


def _plot(
    solution: Solution, what: str, held: dict[str, Any], problem_file: ProblemFile, document: dict[str, Any]
) -> Axes:
    derived = problem_file.derived(solution.problem)
    if what in derived:
        axes = solution.plot(derived[what], **held)
        axes.set_title(what)
        return axes
    if what == "history":
        return plot_history(solution.history, [row["relative_l2"] for row in document["history"]])
    reference = problem_file.reference(solution.problem) if what == "error" else None
    if what == "error" and reference is None:
        raise StatementError(f"{problem_file.path} defines no reference(problem), so there is no error to draw")
    return solution.plot(what, reference, **held)


def _picture(axes: Axes, path: Path) -> None:
    try:
        axes.get_figure(root=True).savefig(path, dpi=150)  # type: ignore[union-attr]
    except (OSError, ValueError) as error:  # ValueError: an ending that is no image format
        raise StatementError(f"cannot write {str(path)!r}: {error}") from None


def _check_choice(option: str, value: str | None, known: tuple[str, ...]) -> None:
    if value is not None and value not in known:
        raise StatementError(f"{option} {value!r} is not known{suggest(value, known)}")


def _bounds(parameter: Any) -> str:
    low = "-inf" if parameter.lower is None else f"{parameter.lower:g}"
    return f"between {low} and {'inf' if parameter.upper is None else f'{parameter.upper:g}'}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code; a user's mistake is one line on stderr."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        code = app(args=list(arguments) or ["--help"], prog_name="kinn", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except StatementError as error:
        message = str(error)
    except Exception as error:
        # Usage errors of the option parser, whatever library typer takes it from; anything else is a bug of ours.
        if not hasattr(error, "format_message"):
            raise
        message = f"{error.format_message()} (try 'kinn --help')"  # type: ignore[attr-defined]
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return 2


__all__ = ["app", "main"]
