"""One file without pickle for tensors and JSON: its content is hashed, and it knows its problem.

The file is safetensors: the tensors, and as metadata the JSON of everything else with a SHA-256 of both (safetensors
alone would load a flipped bit silently). The statement is not stored, since reading one from text would run code; its
fingerprint is, and the problem is passed in again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from kinn.statement.errors import StatementError
from kinn.statement.problem import Problem

KIND = "a solution"  # what a file holds that does not say it


def made_folder(folder: Path) -> Path:
    """The folder, made if it is not there.

    Raises StatementError if it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StatementError(f"cannot make the folder {str(folder)!r}: {error.strerror or error}") from None
    return folder


def write(path: Path, problem: Problem, tensors: Mapping[str, Tensor], document: Mapping[str, Any]) -> None:
    """Write tensors and a JSON document with its `format` and `kind`; an earlier file survives until the new one is complete.

    Raises StatementError if the place cannot be written to.
    """
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    own = {"problem": problem.fingerprint(), "mesh": problem.mesh.identity, "statement": problem.pretty()}
    text = json.dumps({**document, **own})
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


def read(path: Path, problem: Problem, kind: str, own: int, give: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and document of a file of this `kind` and problem, in this kinn's `own` format; `give` says what is asked for.

    Raises StatementError for a file that is missing, corrupt, of another kind, problem or format.
    """
    if not path.is_file():
        raise StatementError(f"there is no file {str(path)!r}; give {give}")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError, UnicodeDecodeError) as error:
        raise _corrupt(path, str(error).splitlines()[0]) from None
    if "kinn" not in metadata or "sha256" not in metadata:
        raise StatementError(f"{str(path)!r} was not written by kinn; give {give}")
    try:
        document = json.loads(metadata["kinn"])
        version = int(document["format"])
    except (ValueError, KeyError, TypeError):
        raise _corrupt(path, "its description is not readable") from None
    if document.get("kind", KIND) != kind:
        raise StatementError(f"{str(path)!r} holds {document.get('kind', KIND)}, not {kind}; give {give}")
    if version != own:
        remedy = "install a newer kinn" if version > own else "solve again, or install the kinn that wrote it"
        raise StatementError(f"{str(path)!r} has format {version}, this kinn reads {own}; {remedy}")
    if _digest(tensors, metadata["kinn"]) != metadata["sha256"]:
        raise _corrupt(path, "its content does not match its hash")
    if document["problem"] != problem.fingerprint():
        raise StatementError(f"{str(path)!r} holds {kind} of another problem: {_difference(document, problem)}")
    return tensors, document


def _corrupt(path: Path, reason: str) -> StatementError:
    return StatementError(f"{str(path)!r} is corrupt ({reason}); take another copy or solve again")


def _digest(tensors: Mapping[str, Tensor], text: str) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().numpy().tobytes())
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


__all__ = ["made_folder", "KIND", "read", "write"]
