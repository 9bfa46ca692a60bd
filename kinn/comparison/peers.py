"""Other libraries on the same work: a Python file beside the problem says how one of them solves it.

`peers/NAME_PROBLEM.py` in the folder of PROBLEM.py solves it by the library NAME through its public interface, as it is stated
by default. Its docstring says in which setting, and where that is documented; `PACKAGES` names what has to be installed, `DTYPE` in
which precision it works; and it defines

    run(seed, seconds, report) -> dict

which trains until `report(step, predict)` is true, and calls it now and then with a function `predict(points (n, d)) ->
{field: values (n,) or (n, c)}`. Seconds spent in `report` are not counted. What it returns may hold `n_parameters`, `n_points`,
`network` (a text) and `parameters`, {name: estimate}.
"""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import sympy as sp

from kinn.comparison.run import Run
from kinn.comparison.work import Work
from kinn.report.matching import scalars
from kinn.report.record import version_of
from kinn.result import Estimated
from kinn.statement.errors import StatementError
from kinn.statement.fields import FieldComponent
from kinn.statement.problem import Problem

FOLDER = "peers"
Predict = Callable[[np.ndarray], Mapping[str, Any]]


@dataclass(frozen=True, eq=False)
class Predicted:
    """What a peer's function says of the fields of a problem: values, no derivatives."""

    problem: Problem
    predict: Predict

    def evaluate(self, expression: Any, points: Any, normal: Any = None) -> np.ndarray:
        """Values (n, k) of components of fields at points (n, d)."""
        found = self.predict(np.asarray(points, dtype=np.float64))
        columns = []
        for component in scalars(expression, self.problem):
            if not isinstance(component, FieldComponent):
                raise StatementError(f"a peer has no {component}, only the fields {', '.join(self.problem.fields)}")
            values = np.asarray(found[component.field], dtype=np.float64).reshape(len(points), -1)
            columns.append(values[:, component.index])
        many = isinstance(expression, (list, tuple, sp.MatrixBase))
        return np.stack(columns, 1) if many else columns[0]


@dataclass(frozen=True, eq=False)
class Peer:
    """A peer's file, loaded."""

    name: str
    module: ModuleType

    @property
    def packages(self) -> tuple[str, ...]:
        return tuple(self.module.PACKAGES)

    def perform(self, run: Run, work: Work) -> dict[str, Any]:
        """Train until the time is up; errors along the way and at the end."""
        if run.options:
            raise StatementError(f"{self.name} solves this problem as it is by default, not with {dict(run.options)}")
        history: list[list[Any]] = []
        begin, paused, last = time.perf_counter(), 0.0, None

        def report(step: int, predict: Predict) -> bool:
            nonlocal paused, last
            start = time.perf_counter()
            seconds, last = start - begin - paused, Predicted(work.problem, predict)
            history.append([seconds, step, 0, work.error(last)])
            paused += time.perf_counter() - start
            return seconds >= run.time_limit

        found = dict(self.module.run(run.seed, run.time_limit, report) or {})
        seconds = time.perf_counter() - begin - paused
        if last is None:
            raise StatementError(f"run() of {self.module.__file__} never called report(step, predict)")
        size = int(found.get("n_parameters", 0))
        history = [[s, step, size, e] for s, step, _, e in history]
        estimates = {name: Estimated(float(value)) for name, value in dict(found.get("parameters", {})).items()}
        return {
            "status": "time_limit" if seconds >= run.time_limit else "ended", "message": "",
            "network": str(found.get("network", self.name)), "form": "strong", "n_parameters": size,
            "n_points": int(found.get("n_points", 0)), "steps": history[-1][1], "seconds": seconds,
            "setting": " ".join((self.module.__doc__ or "").split()), "parameters": work.identified(estimates),
            "history": history, "dtype": self.module.DTYPE, **work.values(last),
        }  # fmt: skip


def file_of(problem_file: Path, name: str) -> Path:
    """Where the file of a peer has to be."""
    return problem_file.parent / FOLDER / f"{name}_{problem_file.stem}.py"


def load_peer(problem_file: Path, name: str) -> Peer:
    """The peer of a problem.

    Raises StatementError where there is none, where it lacks `run`, and where its library is not installed.
    """
    path = file_of(problem_file, name)
    if not path.is_file():
        raise StatementError(f"{name} has no file for this problem: {path} is missing")
    spec = importlib.util.spec_from_file_location(f"{name}_{problem_file.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent))  # as of a script: peers of one library share files
    try:
        spec.loader.exec_module(module)
    except ImportError as error:
        raise StatementError(f"{name} is not installed ({error}): pip install 'kinn[peers]'") from None
    finally:
        sys.path.remove(str(path.parent))
    if not callable(getattr(module, "run", None)) or not {"PACKAGES", "DTYPE"} <= vars(module).keys():
        raise StatementError(f"{path} needs PACKAGES, DTYPE and run(seed, seconds, report)")
    for package in module.PACKAGES:
        if version_of(package) is None:
            raise StatementError(f"{name} needs {package}: pip install 'kinn[peers]'")
    return Peer(name, module)


__all__ = ["FOLDER", "Peer", "Predicted", "file_of", "load_peer"]
