"""What a trial solution can do besides its network: boundary values, materials, singular functions, periodicity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import sparse
from scipy.sparse import csgraph
from torch import Tensor

from kinn.formulations.disk_lift import DiskLift
from kinn.formulations.features import repeats, steep_sides
from kinn.formulations.layers import boundary_layers
from kinn.formulations.lift import BoxLift, Lift
from kinn.formulations.parts import Parts
from kinn.formulations.sectors import Plane
from kinn.formulations.singular import SingularMode, singular_modes
from kinn.formulations.waves import short_waves
from kinn.geometry import Mesh
from kinn.networks import JetSpace, Layer, Wave
from kinn.statement.conditions import Periodic
from kinn.statement.errors import StatementError
from kinn.statement.places import translation
from kinn.statement.problem import Problem
from kinn.statement.terms import WeakForm


@dataclass(frozen=True, eq=False)
class Tables:
    """What a trial solution needs at fixed points, made once for each set of points.

    Attributes:
        value, factor: jets (m, n, c) of g and of `d amplitude`; None where g is a constant and d is 1.
        modes: jets (m, n, c, J) of the singular functions; None without any.
        part: the part (n,) that each point lies in; None where there is one.
        inputs: jets (m, n, d) of what the network reads.
    """

    value: Tensor | None
    factor: Tensor | None
    modes: Tensor | None
    part: Tensor | None
    inputs: Tensor

    def at(self, points: slice) -> Tables:
        """The tables of some of the points."""
        value, factor, modes = (t if t is None else t[:, points] for t in (self.value, self.factor, self.modes))
        part = None if self.part is None else self.part[points]
        return Tables(value, factor, modes, part, self.inputs[:, points])


@dataclass(frozen=True, eq=False)
class Trial:
    """The space of trial solutions: `u_c = g_c + d_c amplitude_c N_{part, c} + amplitude_c sum_j s_{j, c} N_j`.

    Attributes:
        lift: boundary values that hold exactly, g and d.
        parts: where the network has outputs of its own, so that gradients may jump between the parts.
        modes: singular functions s_j, each with an output of the network as its coefficient.
        ramps: (component, axis, slope, middle): what a periodic component grows by along an axis, zero in the middle.
        periods: for each axis its period, or None; empty where nothing is periodic.
        periodic: whether all periodic conditions hold exactly.
        features: layers at sides of the domain and short waves, inputs of the network beside the coordinates.
        length: half the largest extent in space, the unit of r in the singular functions.
        enriched, singular: how it was made; with the problem, all that a stored solution needs to make it again.
    """

    lift: Lift | None = None
    parts: Parts | None = None
    modes: tuple[SingularMode, ...] = ()
    ramps: tuple[tuple[int, int, float, float], ...] = ()
    periods: tuple[float | None, ...] = ()
    periodic: bool = True
    features: tuple[Layer | Wave, ...] = ()
    length: float = 1.0
    enriched: bool = False
    singular: bool = True

    @staticmethod
    def of(problem: Problem, weak: WeakForm | None = None, singular: bool = True) -> Trial:
        """The trial space that fits a problem: periodicity and exact values, for a weak form parts and singular functions too."""
        mesh: Mesh = problem.mesh
        _refuse_closed_slits(mesh)
        periods, ramps, exact = _periods(problem)
        if weak is None:
            return Trial(ramps=ramps, periods=periods, periodic=exact).with_features(problem, short_waves(problem))
        parts = Parts.of(problem)
        modes = tuple(singular_modes(problem, weak, singular))
        length = float(mesh.scale[: mesh.spatial_dimension].max())
        trial = Trial(
            parts=parts if parts.count > 1 else None,
            modes=modes,
            ramps=ramps,
            periods=periods,
            periodic=exact,
            length=length,
            enriched=True,
            singular=singular,
        )
        return trial.with_features(problem, [*boundary_layers(problem, weak), *short_waves(problem)])

    def with_features(self, problem: Problem, features: Sequence[Layer | Wave]) -> Trial:
        """The same space with those of the features that repeat along periodic axes, and exact values at the sides towards
        which none of them varies: divided by the distance to a side, a layer has an edge and a wave is as small as far away."""
        own = tuple(one for one in features if repeats(one, self.periods))
        lift = None if self.modes else _exact(problem, disks=not self.enriched)
        steep = {side for one in own for side in steep_sides(one, problem.mesh)}
        return replace(self, features=own, lift=None if lift is None else lift.without(steep))

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The boundary layers among the features."""
        return tuple(one for one in self.features if isinstance(one, Layer))

    @property
    def waves(self) -> tuple[Wave, ...]:
        """The waves among the features."""
        return tuple(one for one in self.features if isinstance(one, Wave))

    @property
    def corners(self) -> np.ndarray:
        """The points (k, 2) of the singular functions."""
        return np.unique([mode.corner for mode in self.modes], axis=0) if self.modes else np.zeros((0, 2))

    def n_outputs(self, components: int) -> int:
        """How many outputs a network has for a problem with `components`."""
        return components * (1 if self.parts is None else self.parts.count) + len(self.modes)

    def owners(self, problem: Problem) -> list[str]:
        """The field that each output of a network belongs to; a singular function counts for its first component."""
        fields = [component.field for component in problem.components]
        count = 1 if self.parts is None else self.parts.count
        return fields * count + [fields[mode.components[0]] for mode in self.modes]

    def owners_by_subdomain(self, problem: Problem, names: Sequence[str]) -> list[str]:
        """The one of the subdomains `names` that each output of a network belongs to; a singular function, which reaches into
        several, counts for the first.

        Raises StatementError where the parts of the trial space are not those subdomains.
        """
        if self.parts is None:
            raise StatementError(
                f"network= has networks for the subdomains {', '.join(map(repr, names))}, but the trial solution is one smooth "
                "function: the form is the strong one, or no equation, coefficient or jump names a subdomain; give one network"
            )
        owners = [name for name in self.parts.within(names) for _ in problem.components]
        return owners + [names[0]] * len(self.modes)

    def n_inputs(self, dimension: int) -> int:
        """How many inputs a network has: one for each axis, two for a periodic one, and those of the features."""
        return dimension + sum(period is not None for period in self.periods) + self.n_features

    @property
    def n_features(self) -> int:
        """How many inputs are those of features."""
        return sum(one.size for one in self.features)

    def part_of(self, x: np.ndarray, cell: np.ndarray | None = None) -> Tensor | None:
        """The part (n,) of points, by their cells in the problem's mesh where these are known; None where there is one part."""
        if self.parts is None:
            return None
        return torch.from_numpy(self.parts.at(x) if cell is None else self.parts.of_cells(cell))

    def tabulate(
        self, x: Tensor, space: JetSpace, inputs: Tensor, offset: Tensor, amplitude: Tensor, part: Tensor | None
    ) -> Tables:
        """The tables at points x (n, d) that lie in `part` (n,), with jets `inputs` of what the network reads there."""
        value = factor = modes = None
        if self.lift is not None or self.ramps or self.modes:
            value = x.new_zeros(len(space.indices), len(x), len(offset))
            factor = torch.zeros_like(value)
            value[0], factor[0] = offset, amplitude
            for c in range(0 if self.lift is None else len(offset)):
                if self.lift is not None and self.lift.holds(c):
                    value[..., c] = self.lift.values(c, x, space)
                    factor[..., c] = self.lift.distance(c, x, space) * amplitude[c]
            for component, axis, slope, middle in self.ramps:
                if self.lift is not None and self.lift.holds(component):
                    continue  # the boundary values grow as the field does
                value[0, :, component] += slope * (x[:, axis] - middle)
                index = tuple(int(a == axis) for a in range(x.shape[1]))
                if index in space.position:
                    value[space.position[index], :, component] += slope
        if self.modes:
            found = [mode.jets(x, space) * self.length ** -float(np.real(mode.exponent)) for mode in self.modes]
            modes = torch.stack(found, -1) * amplitude[:, None]
        part = None if self.parts is None or part is None else part.to(x.device)
        return Tables(value, factor, modes, part, inputs)

    def combine(self, outputs: Tensor, space: JetSpace, tables: Tables, offset: Tensor, amplitude: Tensor) -> Tensor:
        """Jets (m, n, c) of the fields from those of the network's outputs (m, n, .)."""
        smooth = outputs[..., : outputs.shape[-1] - len(self.modes)]
        if tables.part is not None:
            m, n, _ = smooth.shape
            choice = tables.part[None, :, None, None].expand(m, n, 1, len(offset))
            smooth = smooth.reshape(m, n, -1, len(offset)).gather(2, choice)[:, :, 0]
        if tables.value is None or tables.factor is None:
            fields = smooth * amplitude
            return torch.cat([fields[:1] + offset, fields[1:]])
        fields = smooth * amplitude if self.lift is None else space.multiply(tables.factor, smooth)
        if tables.modes is not None:
            coefficients = outputs[..., outputs.shape[-1] - len(self.modes) :]
            fields = fields + space.multiply(tables.modes, coefficients[:, :, None]).sum(-1)
        return tables.value + fields


def _exact(problem: Problem, disks: bool = True) -> Lift | None:
    """Values that hold exactly on the sides of a box, or on a disk: not for finite elements, whose boundary is the mesh's."""
    box = BoxLift.of(problem)
    return DiskLift.of(problem) if box is None and disks else box


def _refuse_closed_slits(mesh: Mesh) -> None:
    """Raise StatementError for a slit over which no trial solution can jump: one without a tip in a plane."""
    if not len(mesh.slit):
        return
    corners = np.asarray(mesh.skfem.p)[:, mesh.skfem.facets[:, mesh.slit]]
    reason = ""
    if mesh.spatial_dimension != 2:
        reason = "which is supported in two dimensions of space only"
    elif mesh.dimension == 2:
        plane = Plane(mesh)
        places, number = np.unique(
            np.round(corners.reshape(2, -1).T / (1e-9 * plane.extent)), axis=0, return_inverse=True
        )
        first, second = number.reshape(2, -1)
        links = sparse.coo_array((np.ones(len(first)), (first, second)), shape=(len(places), len(places)))
        count, piece = csgraph.connected_components(links, directed=False)
        tips = np.round(mesh.points[plane.tips] / (1e-9 * plane.extent))
        with_tip = {int(piece[(np.abs(places - tip) <= 1).all(1).argmax()]) for tip in tips}
        reason = "and a network can jump over a slit only where it ends in the domain" if len(with_tip) < count else ""
    if reason:
        where = ", ".join(f"{x:g}" for x in corners[:, :, 0].mean(1))
        raise StatementError(
            f"the mesh is open along {len(mesh.slit)} facets, the first at ({where}), {reason}; merge the nodes of both sides "
            "(Gmsh: Coherence, BooleanFragments), or use kinn.fem.solve"
        )


def _fills_ends(mesh: Mesh, axis: int, on: tuple[str, ...]) -> bool:
    """Whether the boundaries `on` are all there is of the boundary at both ends of an axis."""
    heights = np.asarray(mesh.skfem.p)[axis, mesh.skfem.facets[:, mesh.exterior]]
    close = 1e-6 * 2 * mesh.scale[axis]
    ends = [(np.abs(heights - end) < close).all(0) for end in (mesh.lower[axis], mesh.upper[axis])]
    return bool(np.isin(mesh.exterior[ends[0] | ends[1]], mesh.facets_of(on)).all())


def _periods(problem: Problem) -> tuple[tuple[float | None, ...], tuple[tuple[int, int, float, float], ...], bool]:
    """Axes along which all components are periodic over the whole extent, the growth of components over it, and whether
    that is all of the periodicity that the problem states."""
    mesh: Mesh = problem.mesh
    periods: list[float | None] = [None] * mesh.dimension
    growth: dict[tuple[int, int], float] = {}
    exact = True
    for condition in problem.conditions:
        if isinstance(condition, Periodic):
            shift = np.asarray(translation(mesh, condition.first, condition.second))
            axis = int(np.abs(shift).argmax())
            along = np.zeros(mesh.dimension)
            along[axis] = np.sign(shift[axis]) * 2 * mesh.scale[axis]
            whole = np.allclose(shift, along, rtol=0, atol=1e-6 * 2 * float(mesh.scale.max()))
            whole = whole and _fills_ends(mesh, axis, condition.on)
            for component, value in zip(condition.components, condition.jump, strict=True):
                if whole and value.is_number:
                    growth[axis, problem.index(component)] = float(value) * float(np.sign(shift[axis]))
                else:
                    exact = False
    ramps = []
    for axis in {axis for axis, _ in growth}:
        own = {component: value for (a, component), value in growth.items() if a == axis}
        if len(own) == len(problem.components):
            period = periods[axis] = 2 * float(mesh.scale[axis])
            middle = float(mesh.lower[axis] + mesh.upper[axis]) / 2
            ramps += [(component, axis, value / period, middle) for component, value in own.items() if value]
        else:
            exact = False
    return (tuple(periods) if any(periods) else ()), tuple(ramps), exact


__all__ = ["Tables", "Trial"]
