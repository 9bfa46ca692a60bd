"""Solutions in files: what `save` writes, `load` gives back to the last bit."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from kinn import hashed_file
from kinn.formulations.surrogate import Surrogate
from kinn.networks import ModuleNetwork, Network
from kinn.result import Estimated, Record, Result, Status
from kinn.statement.errors import StatementError
from kinn.statement.problem import Problem

FORMAT = 3
TENSORS = {"root": "posterior.root", "leverage": "posterior.leverage"}
_PLAIN = ("form", "reason", "network", "message", "seed", "seconds", "steps", "tolerance", "estimate", "estimate_note",
          "terms", "sigmas", "note", "n_points")  # fmt: skip


def save(result: Result, path: str | Path) -> None:
    """Write a result to one file; an earlier file of this name survives until the new one is complete.

    Raises StatementError if the place cannot be written to.
    """
    tensors, settings = result.surrogate.state()
    tensors |= {stored: getattr(result, name) for name, stored in TENSORS.items()}
    document = {
        "format": FORMAT,
        "surrogate": settings,
        "status": result.status.label,
        "parameters": {name: vars(entry) for name, entry in result.parameters.items()},
        "history": [vars(record) for record in result.history],
        **{name: getattr(result, name) for name in _PLAIN},
    }
    hashed_file.write(Path(path), result.problem, tensors, document)


def load(path: str | Path, problem: Problem, network: nn.Module | None = None) -> Result:
    """The result in a file written by `save`; a network of the user's own class is passed in as `network`.

    Raises StatementError for a file that is missing, corrupt, of another problem, or in the format of another kinn.
    """
    path = Path(path)
    tensors, document = hashed_file.read(path, problem, hashed_file.KIND, FORMAT, "what solution.save(...) wrote")
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
        **{name: tensors[stored] for name, stored in TENSORS.items() if stored in tensors},
        **{name: document[name] for name in _PLAIN if name in document},
    )


__all__ = ["FORMAT", "load", "save"]
