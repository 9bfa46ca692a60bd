"""Finite element solutions kept in a folder: processes that ask for the same reference make it once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from kinn import hashed_file
from kinn.hashed_file import made_folder
from kinn.statement.errors import StatementError
from kinn.statement.problem import Problem

KIND, FORMAT = "a finite element solution", 2
_folder: ContextVar[Path | None] = ContextVar("folder", default=None)


class Kept(NamedTuple):
    """The squared errors (nc,) of the cells that refined the problem's mesh, one after another; nodal values (size,) on the mesh
    refined once more, whose `identity` it has to have; their estimated error, and the seconds it took."""

    growth: Sequence[np.ndarray]
    identity: str
    values: np.ndarray
    estimate: float
    seconds: float


@contextmanager
def keeping(folder: Path) -> Iterator[None]:
    """`kinn.fem.solve` keeps what it solves here in the folder, and takes what it finds there."""
    token = _folder.set(made_folder(folder))
    try:
        yield
    finally:
        _folder.reset(token)


def place_of(problem: Problem, *settings: object) -> Path | None:
    """Where a solution is kept; None where none is."""
    if (folder := _folder.get()) is None:
        return None
    key = hashlib.sha256(json.dumps([problem.fingerprint(), *settings]).encode()).hexdigest()[:16]
    return folder / f"{key}.fem"


def keep(path: Path, problem: Problem, kept: Kept) -> None:
    """Write a file, if the place can be written to: what was solved is worth more."""
    tensors = {f"growth {k}": torch.as_tensor(errors) for k, errors in enumerate(kept.growth)}
    document = {
        "format": FORMAT,
        "kind": KIND,
        "identity": kept.identity,
        "estimate": kept.estimate,
        "seconds": kept.seconds,
    }
    with suppress(StatementError):
        hashed_file.write(path, problem, {**tensors, "values": torch.as_tensor(kept.values)}, document)


def recalled(path: Path, problem: Problem) -> Kept | None:
    """What a file holds; None if there is none, or none that this kinn can read."""
    try:
        tensors, document = hashed_file.read(path, problem, KIND, FORMAT, "a file of finite elements")
    except StatementError:
        return None
    growth = [tensors[f"growth {k}"].numpy() for k in range(len(tensors) - 1)]
    numbers = document["estimate"], document["seconds"]
    return Kept(growth, document["identity"], tensors["values"].numpy(), *numbers)


__all__ = ["Kept", "keep", "keeping", "place_of", "recalled"]
