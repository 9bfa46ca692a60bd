"""Checkpoints: one file without pickle, whose content is hashed and which knows its problem.

The file is safetensors: the surrogate's tensors, and as metadata the JSON of everything else with a SHA-256 of both
(safetensors alone would load a flipped bit silently). The statement is not stored, since reading one from text would
run code; its fingerprint is, and the problem is passed in again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from kinn.formulations.surrogate import Surrogate
from kinn.networks import ModuleNetwork, Network
from kinn.result import Estimated, Record, Result, Status
from kinn.statement.errors import StatementError
from kinn.statement.problem import Problem

FORMAT = 1
_PLAIN = ("form", "reason", "network", "message", "seed", "seconds", "steps", "tolerance", "estimate", "estimate_note",
          "terms", "sigmas")  # fmt: skip


def save(result: Result, path: str | Path) -> None:
    """Write a result to one file; an earlier file of this name survives until the new one is complete.

    Raises StatementError if the place cannot be written to.
    """
    path = Path(path)
    tensors, settings = result.surrogate.state()
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    document = {
        "format": FORMAT,
        "problem": result.problem.fingerprint(),
        "mesh": result.problem.mesh.identity,
        "statement": result.problem.pretty(),
        "surrogate": settings,
        "status": result.status.label,
        "parameters": {name: vars(entry) for name, entry in result.parameters.items()},
        "history": [vars(record) for record in result.history],
        **{name: getattr(result, name) for name in _PLAIN},
    }
    text = json.dumps(document)
    content = to_bytes(tensors, {"kinn": text, "sha256": _digest(tensors, text)})
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    except OSError as error:
        raise StatementError(f"cannot write {str(path)!r}: {error.strerror or error}") from None
    finally:
        part.unlink(missing_ok=True)


def load(path: str | Path, problem: Problem, network: nn.Module | None = None) -> Result:
    """The result in a file written by `save`; a network of the user's own class is passed in as `network`.

    Raises StatementError for a file that is missing, corrupt, of another problem, or written by a newer kinn.
    """
    path = Path(path)
    tensors, text, digest = _read(path)
    try:
        document = json.loads(text)
        version = int(document["format"])
    except (ValueError, KeyError, TypeError):
        raise _corrupt(path, "its description is not readable") from None
    if version > FORMAT:
        raise StatementError(
            f"{str(path)!r} has format {version}, this kinn reads up to {FORMAT}; install a newer kinn"
        )
    if _digest(tensors, text) != digest:
        raise _corrupt(path, "its content does not match its hash")
    if document["problem"] != problem.fingerprint():
        raise StatementError(f"{str(path)!r} holds a solution of another problem: {_difference(document, problem)}")
    if network is not None and not isinstance(network, Network):
        network = ModuleNetwork(network, problem.mesh.dimension, len(problem.components))
    try:
        surrogate = Surrogate.restore(problem, tensors, document["surrogate"], network)
    except (ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise StatementError(f"{str(path)!r}: its network cannot be rebuilt: {reason}") from None
    surrogate.network.to(surrogate.center.dtype)  # networks are built in float64
    return Result(
        problem=problem,
        surrogate=surrogate,
        status=Status[document["status"].upper()],
        parameters={name: Estimated(**entry) for name, entry in document["parameters"].items()},
        history=tuple(Record(**record) for record in document["history"]),
        **{name: document[name] for name in _PLAIN},
    )


def _read(path: Path) -> tuple[dict[str, Tensor], str, str]:
    if not path.is_file():
        raise StatementError(f"there is no file {str(path)!r}; give what solution.save(...) wrote")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError, UnicodeDecodeError) as error:
        raise _corrupt(path, str(error).splitlines()[0]) from None
    if "kinn" not in metadata or "sha256" not in metadata:
        raise StatementError(f"{str(path)!r} was not written by kinn; give what solution.save(...) wrote")
    return tensors, metadata["kinn"], metadata["sha256"]


def _corrupt(path: Path, reason: str) -> StatementError:
    return StatementError(f"{str(path)!r} is corrupt ({reason}); take another copy or solve again")


def _digest(tensors: Mapping[str, Tensor], text: str) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _difference(document: Mapping[str, Any], problem: Problem) -> str:
    stored, own = document["statement"], problem.pretty()
    for theirs, ours in zip(stored, own, strict=False):
        if theirs != ours:
            return f"it says '{theirs}', this one '{ours}'"
    if len(stored) != len(own):
        longer = (stored if len(stored) > len(own) else own)[min(len(stored), len(own))]
        return f"only {'the file' if len(stored) > len(own) else 'this one'} says '{longer}'"
    if document["mesh"] != problem.mesh.identity:
        return "the mesh has other points or cells"
    return "guesses, bounds or data differ"


__all__ = ["FORMAT", "load", "save"]
