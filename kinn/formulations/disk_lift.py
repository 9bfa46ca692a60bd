"""Boundary values that hold exactly on a disk: `u = g + d N` as on boxes, with a harmonic g."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import sympy as sp
import torch
from torch import Tensor

from kinn.formulations.lift import Lift, Side, essential_values
from kinn.formulations.program import Program
from kinn.geometry import Mesh
from kinn.geometry.disks import Circle
from kinn.networks.jets import JetSpace
from kinn.statement.coefficients import CoefficientFunction
from kinn.statement.fields import FieldComponent
from kinn.statement.parameters import Parameter
from kinn.statement.problem import Problem

SAMPLES = 1024  # values around the circle
RESOLVED, ROUNDING = 1e-12, 1e-16  # of the largest Fourier coefficient: what the upper half may have, what is left out


class DiskLift(Lift):
    """The functions g and d of the components whose values on the circle hold exactly.

    With `z = (x - center) / radius` as a complex number and Fourier coefficients a_k of the values, `g = Re sum a_k z^k`
    is harmonic, and made of boundary values only; `d = 1 - |z|^2`.

    A disk with holes has no such lift: what is left to the network between several circles is no easier than boundary terms.
    """

    def __init__(self, circle: Circle, series: dict[int, np.ndarray]) -> None:
        self.circle = circle
        self._series = {component: torch.as_tensor(own) for component, own in series.items()}

    @staticmethod
    def of(problem: Problem) -> DiskLift | None:
        """The lift of all smooth values on the boundary of a disk, a mesh of second order; None if there is none."""
        mesh: Mesh = problem.mesh
        circle, series = mesh.disk(), {}
        for component, value, facets in essential_values(problem) if circle is not None else ():
            tables = [one for one in value.atoms(CoefficientFunction) if one.law is not None]
            if circle is None or tables or value.atoms(Parameter, FieldComponent):
                continue
            found = _series(problem, value, circle) if np.isin(mesh.exterior, facets).all() else None
            if found is not None:
                series[problem.index(component)] = found
        return DiskLift(circle, series) if circle is not None and series else None

    def holds(self, component: int) -> bool:
        return component in self._series

    def covers(self, component: int, facets: np.ndarray) -> np.ndarray:
        return np.isin(facets, self.circle.facets) & self.holds(component)

    def without(self, sides: Collection[Side]) -> Lift | None:
        return None if sides else self

    def distance(self, component: int, x: Tensor, space: JetSpace) -> Tensor:
        jets, place = x.new_zeros(len(space.indices), len(x)), self._place(x)
        jets[0] = 1 - place.square().sum(1)
        for axis in (0, 1):
            for order, value in ((1, -2 * place[:, axis]), (2, -2.0)):
                index = tuple(order if a == axis else 0 for a in (0, 1))
                if index in space.position:
                    jets[space.position[index]] = value / self.circle.radius**order
        return jets

    def values(self, component: int, x: Tensor, space: JetSpace) -> Tensor:
        """d/dx of f(z) is f' / radius, d/dy is i f' / radius."""
        z = torch.complex(*self._place(x).T)
        a, derivatives = self._series[component].to(z), []
        for order in range(space.order + 1):
            value = torch.zeros_like(z)
            for coefficient in reversed(a[order:]):
                value = value * z + coefficient
            derivatives.append(value)
            a = a * (torch.arange(len(a), dtype=x.dtype, device=x.device) - order)
        rows = [1j**q * derivatives[p + q] / self.circle.radius ** (p + q) for p, q in space.indices]
        return torch.stack(rows).real

    def _place(self, x: Tensor) -> Tensor:
        return (x - torch.as_tensor(self.circle.center).to(x)) / self.circle.radius


def _series(problem: Problem, value: sp.Expr, circle: Circle) -> np.ndarray | None:
    """Fourier coefficients of values on a circle, `value = Re sum a_k exp(i k angle)`; None where they are not resolved."""
    angle = 2 * np.pi * np.arange(SAMPLES) / SAMPLES
    x = torch.as_tensor(circle.center + circle.radius * np.column_stack([np.cos(angle), np.sin(angle)]))
    program = Program([value], problem)
    values = program(x.new_zeros(0, len(x)), x, None, None, program.tabulate(x))[0].numpy()
    a = np.fft.rfft(np.broadcast_to(values, SAMPLES))[:-1] / SAMPLES
    a[1:] *= 2
    size = np.abs(a).max()
    if not np.isfinite(size) or np.abs(a[len(a) // 2 :]).max() > RESOLVED * size:
        return None
    return a[: np.flatnonzero(np.abs(a) > ROUNDING * size).max(initial=0) + 1]


__all__ = ["DiskLift"]
