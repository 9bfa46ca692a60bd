"""`bench(files)`: solvers beside each other on problem files, with a report."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from kinn.comparison.page import write_report
from kinn.comparison.peers import FOLDER, file_of
from kinn.comparison.run import FEM, FORMS, MATCHES, NETWORKS, NEVER, OPTIMIZERS, Run
from kinn.comparison.summary import Group, Verdict, groups, verdicts
from kinn.comparison.sweep import Row, sweep
from kinn.hashed_file import made_folder
from kinn.problem_file import ProblemFile
from kinn.statement.errors import StatementError, suggest
from kinn.statement.verify import known_exactly

SEEDS, TIME_LIMIT, THREADS = 5, 60.0, 2
CONNECT = 10  # seconds to find a scheduler


@dataclass(frozen=True)
class Bench:
    """What a comparison found: its rows, and the report as markdown; all of it lies in `folder` too."""

    rows: tuple[Row, ...]
    report: str
    folder: Path

    def __repr__(self) -> str:
        return self.report

    @property
    def groups(self) -> list[Group]:
        """The rows by problem and contender."""
        return groups(self.rows)

    @property
    def verdicts(self) -> list[Verdict]:
        """The first contender beside each other one, over all problems."""
        return verdicts(self.groups)


def bench(
    files: str | Path | Sequence[str | Path],
    networks: Sequence[str] = NETWORKS,
    forms: Sequence[str | None] = (None,),
    optimizers: Sequence[str] = ("gauss_newton",),
    match: str | Sequence[str] = "time",
    seeds: int | Sequence[int] = SEEDS,
    time_limit: float = TIME_LIMIT,
    tolerance: float = NEVER,
    peers: Sequence[str] = (),
    fem: bool = True,
    options: Mapping[str, Any] | None = None,
    threads: int = THREADS,
    device: str = "cpu",
    executor: Executor | str | None = None,
    output: str | Path = "runs/bench",
    title: str = "Comparison",
    progress: bool = True,
) -> Bench:
    """Train networks on problem files, with finite elements and other libraries beside them, and write a report.

    Each run is a process of its own and leaves one line in `runs.jsonl` of the folder `output`; a sweep that was interrupted
    goes on there without repeating one. `report.md` has the tables, `report.html` also the pictures.

    Args:
        files: problem files with a `reference(problem)`; one that states an exact solution has to pass `verify()`.
        networks: "kan", "mlp".
        forms: "strong", "weak", None for the one that fits.
        optimizers: "gauss_newton", "adam_lbfgs", "adam".
        match: what an MLP has in common with the KAN of the same seed: "time" (as the library makes it, in the same seconds),
            "parameters" or "flops" (as many as the KAN has in the end, in the same seconds too); or several.
        seeds: 0, 1, ..., or which ones.
        time_limit, tolerance: seconds of each run, and the estimated error at which it ends before.
        peers: other libraries, by the files `peers/NAME_PROBLEM.py` beside the problems.
        fem: whether finite elements have a row.
        options: of every `problem()`.
        executor: where runs go: an executor of `concurrent.futures`, or "dask://HOST:PORT"; by default one after another.

    Raises StatementError for a mistake in the arguments or in a problem, before anything is run.

    >>> kinn.bench("problems/poisson_square.py", time_limit=5).verdicts[0].ratios       # doctest: +SKIP
    """
    _check("network", networks, NETWORKS)
    _check("form", [form for form in forms if form is not None], FORMS)
    _check("optimizer", optimizers, tuple(OPTIMIZERS))
    matches = [match] if isinstance(match, str) else list(match)
    _check("match", matches, MATCHES)
    chosen = list(range(seeds)) if isinstance(seeds, int) else list(seeds)
    if not chosen or not time_limit > 0:
        raise StatementError(f"seeds={seeds}, time_limit={time_limit}: give a seed or more, and seconds above 0")
    sized = [name for name in matches if name != "time"]
    if sized and "mlp" in networks and "kan" not in networks:
        raise StatementError(
            f"match={sized[0]!r} needs the KAN that an MLP is made equal to; add 'kan' to the networks"
        )
    paths = [Path(file) for file in ([files] if isinstance(files, (str, Path)) else files)]
    if not paths:
        raise StatementError("no problem file; give one or more")
    folder = made_folder(Path(output))
    given = dict(options or {})
    runs: list[Run] = []
    stems = [path.stem for path in paths]
    if twice := next((stem for stem in stems if stems.count(stem) > 1), None):
        raise StatementError(f"two problem files are named {twice}; tables tell them by their names, so rename one")
    for peer in peers:
        if not any(file_of(path, peer).is_file() for path in paths):
            raise StatementError(
                f"no problem has a file {FOLDER}/{peer}_PROBLEM.py beside it, so {peer} can solve none"
            )
    try:
        json.dumps(given)
    except TypeError:
        raise StatementError(
            f"options {given} cannot be kept as JSON; give numbers, texts and lists of these"
        ) from None
    for path in paths:
        check_problem(path, given)
        where = Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
        common: dict[str, Any] = dict(
            file=where, digest=digest_of(path), options=given, time_limit=time_limit, threads=threads, device=device
        )
        runs += _of_networks(common, networks, forms, optimizers, matches, chosen, tolerance)
        for peer in peers:
            runs += [Run(**{**common, "digest": digest_of(path, peer)}, solver=peer, seed=seed) for seed in chosen]
        runs += [Run(**common, solver=FEM)] if fem else []
    with _executing(executor) as executes:
        rows = sweep(runs, folder, executes, _say if progress else lambda *_: None)
    return Bench(tuple(rows), write_report(rows, folder, title), folder)


def _of_networks(
    common: dict[str, Any],
    networks: Sequence[str],
    forms: Sequence[str | None],
    optimizers: Sequence[str],
    matches: Sequence[str],
    seeds: Sequence[int],
    tolerance: float,
) -> list[Run]:
    runs: list[Run] = []
    for optimizer in optimizers:
        for form in forms:
            how = dict(common, form=form, optimizer=optimizer, tolerance=tolerance)
            kans = {seed: Run(**how, solver="kan", seed=seed) for seed in seeds}
            runs += list(kans.values()) if "kan" in networks else []
            for match in matches if "mlp" in networks else ():
                likes = {seed: None if match == "time" else kans[seed].key for seed in seeds}
                runs += [Run(**how, solver="mlp", seed=seed, match=match, like=likes[seed]) for seed in seeds]
    return runs


def digest_of(path: Path, solver: str = "") -> str:
    """A digest of a problem file, and of the file by which a peer solves it."""
    texts = [one.read_bytes() for one in (path, file_of(path, solver)) if one.is_file()]
    return hashlib.sha256(b"".join(texts)).hexdigest()[:16]


def check_problem(path: Path, options: Mapping[str, Any]) -> None:
    """Raise StatementError for a problem that cannot be compared with: without a reference, or with an exact solution that is
    none."""
    file = ProblemFile.load(path, options)
    if "reference" not in file.names:
        raise StatementError(f"{path} defines no reference(problem), so there is nothing to compare with")
    problem = file.problem()
    if set(problem.components) <= set(known_exactly(problem, problem.exact)):
        problem.verify()


def _check(what: str, given: Sequence[str], known: Sequence[str]) -> None:
    for name in given:
        if name not in known:
            raise StatementError(f"{what} {name!r} is not known{suggest(name, known)}")


@contextmanager
def _executing(wanted: Executor | str | None) -> Iterator[Executor | None]:
    """The executor that is meant; a connection that was made here ends here."""
    if not isinstance(wanted, str):
        yield wanted
        return
    scheme, _, address = wanted.partition("://")
    if scheme != "dask" or not address:
        raise StatementError(f"executor {wanted!r} is not known; give dask://HOST:PORT, or an Executor in Python")
    try:
        distributed = importlib.import_module("dask.distributed")
    except ImportError:
        raise StatementError("executor dask:// needs dask.distributed: pip install 'kinn[dask]'") from None
    try:
        client = distributed.Client(f"tcp://{address}", timeout=CONNECT)
    except OSError as error:
        raise StatementError(f"no dask scheduler at {address}: {error}") from None
    with client:
        yield client.get_executor()


def _say(done: int, count: int, row: Row) -> None:
    run, error = Run.of(row), row.get("error")
    text = row["message"] or row["status"] if error is None else f"error {error:.2g}, {row['status']}"
    line = f"{done}/{count} {run.problem}: {run.contender}, seed {run.seed}: {text}"
    Console(stderr=True).print(line, markup=False, highlight=False, soft_wrap=True)


__all__ = ["Bench", "bench", "check_problem", "digest_of"]
