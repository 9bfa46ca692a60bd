"""Integral conditions on finite elements: they settle the constants and rigid motions that the equations leave open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from scipy.linalg import orth
from torch import Tensor

from kinn.formulations.galerkin import GalerkinSpace
from kinn.formulations.integrals import IntegralTerm
from kinn.formulations.pieces import Piece
from kinn.formulations.sensitivity import sides_of

ROUNDING = 1e-10  # of what a condition could change by: what changes it less does not change it
DEPENDENT = 1e-8  # of the largest singular value: conditions below say the same twice


class Unsettled(ValueError):
    """An integral condition that says something else than what the equations leave open."""


class Settling:
    """The integral conditions of a weak form with the quadrature of a space of elements.

    A mean of a temperature without boundary values, a moment about the axis of a floating body: their residuals are affine in
    the motions of the null space, so a motion is found that fulfills them.

    Attributes:
        pieces: the integrals over each part of the mesh.
    """

    def __init__(self, space: GalerkinSpace) -> None:
        self.space, problem = space, space.problem
        wanted = [term for term in space.weak.other if term.kind == "integral"]
        self.terms = [IntegralTerm(term.name, term.expressions, problem) for term in wanted]
        self.pieces: list[Piece] = []
        for term in self.terms:
            self.pieces += integral_pieces(space, term)

    def __bool__(self) -> bool:
        return bool(self.terms)

    def residual(self, jets: Sequence[Tensor], parameters: Tensor) -> np.ndarray:
        """The residuals (k,) of all conditions for a function with `jets` on each piece."""
        with torch.no_grad():
            integrals = integrated(self.pieces, jets, parameters)
            found, at = [], 0
            for term in self.terms:
                found.append(term.values(torch.cat(integrals[at : at + len(term.groups)]), parameters))
                at += len(term.groups)
        return torch.cat(found).numpy()

    def shift(
        self, null: np.ndarray, jets: Sequence[Tensor], parameters: Tensor, answers: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The motion (size,) that has to be added to a function with `jets`, and the directions (m, .) of `null` still open.

        `answers` (size, p) are what the function changes by with each parameter, where these may change too.

        Raises Unsettled if the motions `null` (size, m) and parameters cannot fulfill the conditions.
        """
        rest = self.residual(jets, parameters)
        slopes = np.zeros((len(rest), null.shape[1]))
        generator, blind = torch.Generator().manual_seed(0), np.zeros_like(rest)
        for k, motion in enumerate(null.T):
            moved = self.space.jets_of(motion, self.pieces)
            once = self.residual([z + dz for z, dz in zip(jets, moved, strict=True)], parameters)
            twice = self.residual([z + 2 * dz for z, dz in zip(jets, moved, strict=True)], parameters)
            slopes[:, k] = once - rest
            # what a function of the motion's size could do: a condition that does not see the motion is left with rounding
            sizes = [float(np.abs(motion).max()) * self._units(piece) for piece in self.pieces]
            noise = [2 * torch.rand(z.shape, generator=generator).to(z) - 1 for z in jets]
            shaken = [z + size * one for z, size, one in zip(jets, sizes, noise, strict=True)]
            blind = np.maximum(blind, ROUNDING * np.abs(self.residual(shaken, parameters) - rest))
            rounding = 1e-9 * float(np.abs(twice).max(initial=0.0))
            if not np.allclose(twice - once, slopes[:, k], rtol=1e-6, atol=rounding):
                raise Unsettled(f"{self._names} is not linear in what the equations leave open")
        if answers is not None:
            units = np.array([abs(value) or 1.0 for value in parameters.tolist()])
            null = np.hstack([null, answers * units])
            slopes = np.hstack([slopes, self._slopes(answers, jets, parameters) * units])
        sizes = np.linalg.norm(slopes, axis=1)
        if null.shape[1] < len(rest) or not (sizes > blind).all():
            raise Unsettled(f"{self._names} says something else than what the equations leave open")
        left, singular, right = np.linalg.svd(slopes / sizes[:, None])
        if singular[-1] < DEPENDENT * singular[0]:
            raise Unsettled(f"{self._names} says something else than what the equations leave open")
        rank = len(rest)
        step = right[:rank].T @ ((left.T @ (-rest / sizes)) / singular)
        count = null.shape[1] - (0 if answers is None else answers.shape[1])
        return null @ step, orth(right[rank:, :count].T)

    def _units(self, piece: Piece) -> Tensor:
        """(jets, 1): derivatives of a function of size 1 that changes over the extent of the mesh."""
        extent = float(np.ptp(self.space.mesh.nodes, axis=0).max())
        return torch.tensor([extent ** -sum(index) for _, index in piece.program.jets], dtype=torch.float64)[:, None]

    def _slopes(self, answers: np.ndarray, jets: Sequence[Tensor], parameters: Tensor) -> np.ndarray:
        """(k, p): derivatives of the residuals in the parameters, the function following them."""
        columns = []
        for answer, sides in zip(answers.T, sides_of(parameters), strict=True):
            moved, found = self.space.jets_of(answer, self.pieces), []
            for side in sides:
                step = float((side - parameters).sum())
                found.append(self.residual([z + step * dz for z, dz in zip(jets, moved, strict=True)], side))
            columns.append((found[1] - found[0]) / float((sides[1] - sides[0]).sum()))
        return np.stack(columns, 1)

    @property
    def _names(self) -> str:
        return ", ".join(repr(term.name) for term in self.terms)


def integral_pieces(space: GalerkinSpace, term: IntegralTerm) -> list[Piece]:
    """What a term integrates over each part of the mesh, on the elements of a space."""
    found, mesh = [], space.mesh
    for over, program in term.groups:
        basis: Any = space.basis
        if over and mesh.is_boundary(over):
            basis = space.on_facets(mesh.facets_of(over))
        elif over:
            basis = space.in_cells(mesh.cells_of(over))
        expressions = list(program.expressions)
        found.append(space.piece(basis, expressions, [(0, 0)] * len(expressions), 0))
    return found


def integrated(pieces: Sequence[Piece], jets: Sequence[Tensor], parameters: Tensor) -> list[Tensor]:
    """The integrals of each piece for a function with `jets` on it."""
    return [
        piece.program(z, piece.x, piece.normal, parameters, piece.tables) @ piece.weight.flatten()
        for piece, z in zip(pieces, jets, strict=True)
    ]


__all__ = ["Settling", "Unsettled", "integral_pieces", "integrated"]
