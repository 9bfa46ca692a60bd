"""The record of a run: what `kinn solve --json` writes, so that a figure can be traced to its conditions."""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from kinn.report.errors import Errors
from kinn.report.tables import singular_texts
from kinn.result import Result
from kinn.statement.errors import StatementError

PACKAGES = ("kinn", "torch", "numpy", "scipy", "sympy", "scikit-fem", "meshio")


def record(
    result: Result,
    *,
    problem: str,
    options: Mapping[str, Any],
    device: str,
    threads: int,
    errors: Mapping[str, Errors] | None = None,
    history_errors: Sequence[Mapping[str, float] | None] | None = None,
    quantities: Mapping[str, Mapping[str, float | None]] | None = None,
    truths: Mapping[str, float] | None = None,
    derived: Mapping[str, Errors] | None = None,
) -> dict[str, Any]:
    """The record as JSON data.

    `seconds` is `solve` from call to return: points, program, training and checks, without imports, reading the mesh or
    the comparison with a reference. `relative_l2` and `relative_h1` are per named field on points outside training,
    `derived` are relative L2 errors of named expressions, `estimate` is a relative H1 error, `singular` are the singular
    functions in use. What is unknown, or not finite, is null.
    """
    checks = [entry.check for entry in result.history if entry.check is not None]
    rows = history_errors or [None] * len(result.history)
    return plain(
        {
            "problem": problem,
            "network": result.network,
            "form": result.form,
            "seed": result.seed,
            "options": dict(options),
            "n_parameters": result.n_parameters,
            "singular": singular_texts(result.surrogate.trial.modes),
            "status": result.status.label,
            "seconds": result.seconds,
            "steps": result.steps,
            "relative_l2": {name: entry.relative_l2 for name, entry in (errors or {}).items()},
            "relative_h1": {name: entry.relative_h1 for name, entry in (errors or {}).items()},
            "derived": {name: entry.relative_l2 for name, entry in (derived or {}).items()},
            "quantities": {name: dict(entry) for name, entry in (quantities or {}).items()},
            "estimate": result.estimate,
            "check": checks[-1] if checks else None,
            "history": [
                {
                    "seconds": entry.seconds,
                    "step": entry.step,
                    "loss": entry.loss,
                    "check": entry.check,
                    "relative_l2": None if row is None else dict(row),
                }
                for entry, row in zip(result.history, rows, strict=True)
            ],
            "parameters": {
                name: {**vars(entry), "truth": (truths or {}).get(name)} for name, entry in result.parameters.items()
            },
            "versions": {"python": platform.python_version(), **{name: version_of(name) for name in PACKAGES}},
            "device": device,
            "threads": threads,
        }
    )


def write_json(document: Mapping[str, Any], path: Path) -> None:
    """Write JSON; an earlier file survives until the new one is complete."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise StatementError(f"cannot write {str(path)!r}: {error.strerror or error}") from None
    finally:
        part.unlink(missing_ok=True)


def plain(value: Any) -> Any:
    """JSON has no NaN and no infinity, and options may be anything."""
    if isinstance(value, Mapping):
        return {str(name): plain(entry) for name, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return str(value)


def version_of(name: str) -> str | None:
    """The version of an installed package; None where it is not."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


__all__ = ["plain", "record", "version_of", "write_json"]
