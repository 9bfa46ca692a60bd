"""Checkpoints: the state of a run in a file while it trains, from which it goes on as if it had never ended."""

from __future__ import annotations

import copy
import time
import warnings
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from kinn import hashed_file
from kinn.formulations.energy import Shape
from kinn.formulations.surrogate import Surrogate
from kinn.formulations.unknowns import Unknowns
from kinn.limits import Course
from kinn.networks import ModuleNetwork
from kinn.optimize import AdamState, LBFGSState, LevenbergMarquardt
from kinn.result import Record
from kinn.statement.errors import StatementError
from kinn.statement.problem import Problem
from kinn.training import Training

FORMAT = 3
NAME, KIND, GIVE = "checkpoint.kinn", "a checkpoint", "the folder that a run wrote its checkpoints to"
EVERY = 10.0  # seconds between two files
OPTIMIZERS = {"adam": AdamState, "lbfgs": LBFGSState, "optimizer": LevenbergMarquardt}

State = tuple[dict[str, Tensor], dict[str, Any]]


class Checkpoints:
    """What one run keeps in `folder` and goes on from in `resume`; without folders nothing happens. Train within `with`.

    A run that is continued takes the steps that it would have taken: on one thread its numbers are the same bit for bit.
    Seconds and steps count from the start of the first run. Steps since the last state that was kept are taken again.

    Raises:
        StatementError: a folder that cannot be written to; a file to resume from that is missing, corrupt, or of another
            problem.
    """

    def __init__(self, problem: Problem, folder: str | Path | None = None, resume: str | Path | None = None) -> None:
        self.problem = problem
        self.settings: dict[str, Any] = {}
        self._resume = None if resume is None else Path(resume)
        self._found = None if resume is None else hashed_file.read(Path(resume) / NAME, problem, KIND, FORMAT, GIVE)
        folder = resume if folder is None else folder
        self._folder = None if folder is None else hashed_file.made_folder(Path(folder))
        self._state: State | None = None
        self._written: float | None = None

    def __enter__(self) -> Checkpoints:
        return self

    def __exit__(self, *_: object) -> None:
        """However a run ended, its last state reaches the file."""
        self.write()

    def agree(self, settings: dict[str, Any]) -> None:
        """Enter the settings that decide the course of this run, text and numbers by name.

        Raises StatementError, which names the first difference to those of the run to resume.
        """
        self.settings = settings
        if self._found is None:
            return
        stored = self._found[1]["settings"]
        for name in {**stored, **settings}:
            if stored.get(name) != settings.get(name):
                raise StatementError(
                    f"the run in {str(self._resume)!r} has {name} {stored.get(name)!r}, this one {settings.get(name)!r}; "
                    "give the same to resume it, or start=solution to go on in another way"
                )

    def restore(self, training: Training) -> None:
        """Bring a new training to the state to resume from."""
        if self._found is not None:
            _unpack(self._found, training)
            self._found = None

    def keep(self, training: Training) -> None:
        """Note the state of a training; it reaches the file if the last one is old enough.

        Raises StatementError if the first file of a run cannot be written; a later failure is a warning, since the training
        is worth more than its checkpoint.
        """
        if self._folder is not None:
            self._state = _pack(training)
            if self._written is None or time.perf_counter() - self._written > EVERY:
                self.write()

    def write(self) -> None:
        """Write the last state that was noted."""
        if self._state is None or self._folder is None:
            return
        tensors, document = self._state
        document = {"format": FORMAT, "kind": KIND, "settings": self.settings, **document}
        try:
            hashed_file.write(self._folder / NAME, self.problem, tensors, document)
        except StatementError as error:
            if self._written is None:
                raise
            warnings.warn(f"no checkpoint: {error}", stacklevel=2)
        self._state, self._written = None, time.perf_counter()


def _pack(training: Training) -> State:
    """All that the next steps of a training depend on; nothing in it changes when the training goes on."""
    tensors, document = {}, {}
    now, best = training.unknowns, training.best
    for name, unknowns in (("now", now), *(() if best is None else (("best", best[2]),))):
        weights, document[name] = unknowns.surrogate.state()
        tensors |= _named(name, {**weights, "free": unknowns.free.detach().cpu().clone()})
    tensors |= _named("form", training.form.state())
    tensors |= _named("sigma", {str(i): torch.tensor(sigma) for i, sigma in enumerate(training.data.sigmas)})
    course = dict(vars(training.course), losses=list(training.course.losses))
    tensors["before"] = course.pop("before")
    for name in OPTIMIZERS:
        state = {} if course[name] is None else vars(course[name])
        tensors |= _named(name, {key: value.clone() for key, value in state.items() if isinstance(value, Tensor)})
        course[name] = {key: value for key, value in state.items() if not isinstance(value, Tensor)}
    document |= {
        "course": course,
        "score": None if best is None else best[:2],
        "data": [training.data.relative, training.data_weight],
        "priors": [(energy.shape, energy.strength, energy.chosen) for energy in training.priors.energies],
        "objective": training.priors.objective,
        "steps": training.steps,
        "seconds": training.clock.seconds(),
        "terms": dict(training.terms),
        "history": [vars(record) for record in training.history],
    }
    return tensors, document


def _unpack(state: State, training: Training) -> None:
    tensors, document = state
    first = training.unknowns
    training.unknowns = _unknowns(first, _part("now", tensors), document["now"])
    if document["score"] is not None:
        training.best = (*document["score"], _unknowns(first, _part("best", tensors), document["best"]))
    training.form.restore(_part("form", tensors))
    sigmas = _part("sigma", tensors)
    training.data.sigmas = [sigmas[str(i)].numpy() for i in range(len(sigmas))]
    training.data.relative, training.data_weight = document["data"]
    for energy, (shape, strength, chosen) in zip(training.priors.energies, document["priors"], strict=True):
        energy.shape, energy.strength, energy.chosen = Shape(*shape), strength, chosen
    training.priors.objective = document["objective"]
    device, course = first.free.device, {**document["course"], "before": tensors["before"].to(first.free.device)}
    for name, kind in OPTIMIZERS.items():
        parts = {key: value.to(device) for key, value in _part(name, tensors).items()}
        course[name] = kind(**course[name], **parts) if course.get(name) else None
    training.course = Course(**course)
    training.steps, training.terms = document["steps"], document["terms"]
    training.history = [Record(**record) for record in document["history"]]
    training.clock.start -= document["seconds"]


def _unknowns(first: Unknowns, tensors: dict[str, Tensor], settings: dict[str, Any]) -> Unknowns:
    """The stored unknowns, in the precision and on the device of the `first` ones, whose network they take if it is a module."""
    network, like = first.surrogate.network, first.free
    module = copy.deepcopy(network) if isinstance(network, ModuleNetwork) else None
    free = tensors.pop("free").to(like)
    surrogate = Surrogate.restore(first.problem, tensors, settings, module)
    moved = {field.name: getattr(surrogate, field.name) for field in fields(surrogate)}
    moved = {name: part.to(like.device) for name, part in moved.items() if isinstance(part, Tensor)}
    return Unknowns(first.problem, replace(surrogate, network=surrogate.network.to(like), **moved), free)


def _named(name: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{name}/{key}": tensor for key, tensor in tensors.items()}


def _part(name: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key[len(name) + 1 :]: tensor for key, tensor in tensors.items() if key.startswith(f"{name}/")}


__all__ = ["NAME", "Checkpoints"]
