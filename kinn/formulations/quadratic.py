"""A quadratic form of weights as a term of the loss."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from kinn.formulations.blocks import NormalEquations, RowBlock
from kinn.formulations.unknowns import Unknowns


@dataclass
class QuadraticBlock(RowBlock):
    """`v' gram v` of `v = scale w + shift`, w (p,) the weights at the places `own` among all unknowns.

    The gram matrix (p, p) is symmetric and has no negative eigenvalues but those of rounding.
    """

    name: str
    gram: Tensor
    own: Tensor
    scale: float
    shift: float

    def _now(self, unknowns: Unknowns) -> tuple[Tensor, Tensor]:
        """v and `gram v`."""
        v = self.scale * unknowns.vector()[self.own].to(self.gram) + self.shift
        return v, self.gram @ v

    @cached_property
    def _root(self) -> Tensor:
        """R (p, p) with R' R the gram matrix."""
        values, vectors = torch.linalg.eigh(self.gram)
        return values.clamp_min(0).sqrt()[:, None] * vectors.T

    def parts(self, unknowns: Unknowns) -> list[slice]:
        return [slice(0, len(self.own))]

    def residuals(self, unknowns: Unknowns) -> Tensor:
        return (self._root @ self._now(unknowns)[0]).to(unknowns.free)[None]

    def jacobian(self, unknowns: Unknowns, part: slice) -> tuple[Tensor, Tensor]:
        whole = unknowns.free.new_zeros(len(self.own), unknowns.size)
        whole[:, self.own] = (self.scale * self._root).to(whole)
        return self.residuals(unknowns)[0], whole

    def loss(self, unknowns: Unknowns) -> float:
        v, moved = self._now(unknowns)
        return float(v @ moved)

    def gradient(self, unknowns: Unknowns) -> tuple[float, Tensor]:
        (v, moved), gradient = self._now(unknowns), unknowns.free.new_zeros(unknowns.size)
        gradient[self.own] = (2 * self.scale * moved).to(gradient)
        return float(v @ moved), gradient

    def accumulate(self, unknowns: Unknowns, into: NormalEquations) -> None:
        v, moved = self._now(unknowns)
        into.loss += float(v @ moved)
        into.gradient[self.own] += (self.scale * moved).to(into.gradient)
        into.gram[self.own[:, None], self.own] += (self.scale**2 * self.gram).to(into.gram)
