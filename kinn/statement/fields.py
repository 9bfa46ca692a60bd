"""Unknown fields: SymPy functions of a mesh's coordinates that know their name, component and mesh."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sympy as sp
from sympy.core.basic import Basic
from sympy.core.function import AppliedUndef, UndefinedFunction

from kinn.statement.coordinates import Coordinate, MeshSymbol, Normal
from kinn.statement.errors import StatementError
from kinn.statement.priors import Expectation, Prior, expectation

# The spatial coordinates of every mesh that carries a field. A mesh's identity is the hash of its content, so an
# entry is a fact that never changes; it lets grad() of an expression of coordinates alone know its space.
_SPACES: dict[str, tuple[Coordinate, ...]] = {}


# What the statement needs of a mesh: coordinates, spatial_dimension and identity to make fields; boundaries,
# subdomains, interval_ends, contains and the scikit-fem mesh `skfem` to check a problem.
MeshLike = Any


class FieldComponent(AppliedUndef):
    """One scalar component of a field, `u(x, y)`: the function whose jets a network supplies.

    `name` is the component's own name, `field` that of the field, `index` its place in it, `components` the size, `on`
    the boundaries that it lives on, () for a field of the whole mesh, `expected` what is said of an unknown coefficient.
    """

    field: str
    index: int
    components: int
    mesh_id: str
    on: tuple[str, ...]
    expected: Expectation | None


class VectorField(sp.ImmutableDenseMatrix):
    """A column of field components; arithmetic with it gives ordinary SymPy matrices."""

    name: str
    mesh_id: str

    @classmethod
    def _fromrep(cls, rep: Any) -> Any:
        # Sums and products are no fields: they leave the subclass.
        return sp.ImmutableDenseMatrix._fromrep(rep)  # type: ignore[attr-defined]

    @classmethod
    def of(cls, name: str, mesh_id: str, entries: Iterable[sp.Expr]) -> VectorField:
        plain: Any = sp.ImmutableDenseMatrix(list(entries))
        self: Any = Basic.__new__(cls, *plain.args)
        self._rows, self._cols, self._rep = plain._rows, plain._cols, plain._rep
        self.name, self.mesh_id = name, mesh_id
        return self


def Field(
    name: str,
    mesh: MeshLike,
    components: int = 1,
    on: Any = None,
    guess: float | None = None,
    lower: float | None = None,
    upper: float | None = None,
    prior: Prior | None = None,
) -> Any:
    """An unknown field on a mesh.

    `components=1` gives a scalar `u(x, y)`; more give a column `(u_0(x, y), u_1(x, y), ...)` of shape (components, 1)
    that stays one named field. Two fields are equal only if name, size and the mesh's content agree. With `on`, a name
    or several, it lives on that part of the boundary and is used in conditions there only: an unknown heat flux q(t).

    A field that no equation determines is identified from observations: a conductivity k(x, y), a source. A typical value
    `guess`, bounds `lower` and `upper` that it never crosses, and a `prior` (`GaussianField`, `TotalVariation`; by default the
    field is as smooth as the data allow) say what is known of it; any of them says that it is such a field.

    Raises StatementError for a name that is no identifier, that is a coordinate's, for `components < 1`, and for a guess
    outside the bounds or missing with one bound.

    >>> u = Field("u", mesh)                            # doctest: +SKIP
    >>> u.diff(mesh.coordinates[0])                     # doctest: +SKIP
    Derivative(u(x, y), x)
    >>> k = Field("k", mesh, guess=1.0, lower=0)        # doctest: +SKIP
    """
    checked_name(name, mesh, "field")
    if not isinstance(components, int) or components < 1:
        raise StatementError(f"field {name!r} with components={components!r}: give a whole number of at least 1")
    names = () if on is None else (on,) if isinstance(on, str) else tuple(on)
    if on is not None and (not names or not all(isinstance(part, str) for part in names)):
        raise StatementError(
            f"field {name!r} with on={on!r}: give the name of a part of the boundary, or a list of names"
        )
    remember_space(mesh)
    here = components, mesh.identity, mesh.coordinates, names, expectation(name, guess, lower, upper, prior)
    entries = tuple(_component(name, index, *here) for index in range(components))
    return entries[0] if components == 1 else VectorField.of(name, mesh.identity, entries)


def field_of(component: Any) -> str:
    """The name of the field that a component, or a whole field, belongs to."""
    if isinstance(component, VectorField):
        return component.name
    if isinstance(component, FieldComponent):
        return component.field
    raise StatementError(f"{component} is no field and no component of one; make fields with kinn.Field(name, mesh)")


def components_of(field: Any) -> tuple[FieldComponent, ...]:
    """The components of a whole field, in order; of one component: of the field it belongs to."""
    if isinstance(field, VectorField):
        return tuple(field)  # type: ignore[arg-type]
    if isinstance(field, FieldComponent):
        count = field.components
        here = count, field.mesh_id, field.args, field.on, field.expected
        return tuple(_component(field.field, i, *here) for i in range(count))
    raise StatementError(f"{field} is no field; make fields with kinn.Field(name, mesh)")


def _component(
    name: str,
    index: int,
    components: int,
    mesh_id: str,
    coordinates: Iterable[Any],
    on: tuple[str, ...],
    expected: Expectation | None,
) -> Any:
    own = name if components == 1 else f"{name}_{index}"
    make: Any = UndefinedFunction  # calling the metaclass makes the class of one function
    identity = {"field": name, "index": index, "components": components, "mesh_id": mesh_id, "on": on}
    identity["expected"] = expected
    return make(own, bases=(FieldComponent,), real=True, **identity)(*coordinates)


def checked_name(name: str, mesh: MeshLike, what: str) -> None:
    """Refuse names that could not be told apart in an expression, a file or a table."""
    if not isinstance(name, str) or not name.isidentifier():
        raise StatementError(f"{what} name {name!r}: take letters, digits and underscores, a letter first")
    if any(name == coordinate.name for coordinate in mesh.coordinates):
        raise StatementError(f"{what} {name!r} has the name of a coordinate of its mesh; take another name")


def remember_space(mesh: MeshLike) -> None:
    _SPACES[mesh.identity] = tuple(mesh.coordinates[: mesh.spatial_dimension])


def space_of(*expressions: Any, mesh: MeshLike | None = None) -> tuple[Coordinate, ...]:
    """The spatial coordinates of the one mesh that the expressions live on.

    Raises StatementError if they name no mesh, or two.
    """
    if mesh is not None:
        remember_space(mesh)
        return _SPACES[mesh.identity]
    symbols = {s for e in expressions for s in e.free_symbols if isinstance(s, MeshSymbol)}
    ids = sorted({s.mesh_id for s in symbols})
    if len(ids) > 1:
        raise StatementError(
            f"{expressions[0]} mixes fields or coordinates of {len(ids)} meshes; take those of one mesh"
        )
    if not ids or ids[0] not in _SPACES:
        raise StatementError(f"{expressions[0]} holds no field, so its space is unknown; pass mesh=mesh")
    return _SPACES[ids[0]]


def normal_of(space: tuple[Coordinate, ...]) -> sp.ImmutableDenseMatrix:
    """The exterior unit normal as a column of symbols `n_x, n_y, ...`; the same symbols as `mesh.normal`."""
    return sp.ImmutableDenseMatrix([Normal(f"n_{x.name}", x.mesh_id, x.axis) for x in space])
