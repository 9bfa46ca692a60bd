"""Integrals as numbers of a statement, and fields that live on a boundary."""

import pytest
import sympy as sp

from kinn.geometry import Interval, Mesh
from kinn.statement import (
    Condition,
    Dirichlet,
    Field,
    Initial,
    Integral,
    Neumann,
    Observations,
    Parameter,
    Problem,
    StatementError,
    div,
    grad,
    strong_terms,
    weak_terms,
)
from kinn.statement.fields import components_of

SQUARE = Mesh.box((0, 0), (1, 1), cells=4)
MESH = Mesh(SQUARE.points, SQUARE.cells, "triangle", SQUARE.boundaries, {"core": [0, 1, 2]})
X, Y = MESH.coordinates
U = Field("u", MESH)
K = Parameter("k", 1.0, lower=0)
FLUX = K * grad(U)
HEAT = {"heat": -div(FLUX) - 1}
Q = Field("q", MESH, on=["left", "top"])


def test_an_integral_is_one_number():
    mean = Integral(U)
    assert mean.over == () and Integral(U, "left").over == ("left",) != Integral(U).over
    assert mean == Integral(U) != Integral(U, over="left") and mean.func(*mean.args) == mean
    assert mean.diff(X) == 0 and Integral(K * U).diff(K) == Integral(U)
    assert grad(U * mean) == grad(U) * mean
    assert Integral(grad(U), "top") == sp.Matrix([Integral(U.diff(X), "top"), Integral(U.diff(Y), "top")])
    assert str(Integral(U, ["left", "top"])) == "Integral(u(x, y), left, top)" and sp.latex(mean).startswith(r"\int")


def test_a_condition_on_a_mean_has_no_place():
    problem = Problem(MESH, HEAT, [Neumann(FLUX, 0, on="boundary"), Condition(Integral(U) - 3)]).check()
    assert problem.integrals == (Integral(U),) and problem.is_linear
    term = next(term for term in strong_terms(problem) if term.kind == "integral")
    assert term.expressions == (Integral(U) - 3,) and term.on == ()
    assert [(other.kind, other.name) for other in weak_terms(problem).other] == [("integral", "condition")]
    assert problem.pretty()[-1] == "condition: Integral(u(x, y)) - 3 = 0"


def test_a_nonlocal_equation_keeps_its_integral():
    problem = Problem(MESH, {"heat": -div(grad(U)) + Integral(U**2) * U}, [Dirichlet(U, 0, on="boundary")]).check()
    assert weak_terms(problem).rows[0].source == Integral(U**2) * U
    assert strong_terms(problem)[0].expressions[0].has(Integral) and not problem.is_linear


def test_a_load_cell_has_values_and_no_points():
    out = Integral(FLUX.dot(MESH.normal), over="right")
    problem = Problem(MESH, HEAT, [Dirichlet(U, 0, on="left")], [Observations(out, values=[3.2], sigma=0.1)]).check()
    (data,) = problem.observations
    assert data.is_global and data.points.shape == (1, 0) and len(data) == 1
    assert problem.pretty()[-1].endswith("1 values") and problem.integrals == (out,)
    at = Observations(U * Integral(U), [[0.5, 0.5]], [1.0])
    assert not at.is_global
    assert Problem(MESH, HEAT, [], [Observations(out, values=3.2)]).fingerprint() != problem.fingerprint()


def test_verify_says_that_it_skips_integrals():
    exact = X**2 / 2
    problem = Problem(MESH, {"p": div(grad(U)) - 1}, [Condition(Integral(U) - 1)], exact={U: exact})
    assert set(problem.verify()) == {"p"} and set(problem.verify()) == {"p"}
    assert problem.notes == ("verify() does not check 'condition': it holds an Integral",)


def test_a_field_on_a_boundary_stands_in_conditions_there():
    assert Q.on == ("left", "top") and U.on == () and Field("q", MESH) != Q == components_of(Q)[0]
    problem = Problem(
        MESH,
        HEAT,
        [Neumann(FLUX, Q, on="left"), Dirichlet(U, 0, on="right"), Condition(Q - X, on="top")],
        [Observations(U, [[0.2, 0.2]], [1.0]), Observations(Integral(Q, "left"), values=[1.0])],
    ).check()
    (row,) = weak_terms(problem).rows
    assert problem.components[row.component_index] == U and row.boundary == ((("left",), -Q),)
    v = Field("v", MESH, components=2, on="left")
    assert [component.on for component in v] == [("left",), ("left",)]


SPACE_TIME = Mesh.box(0, 1, cells=2) * Interval("t", 0, 1, cells=2)
W = Field("w", SPACE_TIME)
WALL = Field("q", SPACE_TIME, on="left")

BAD = {
    "in the domain": (
        lambda: Problem(MESH, {"heat": -div(grad(U)) - Q}),
        "equation 'heat' holds q, which lives on 'left', 'top'; use it in conditions there",
    ),
    "elsewhere": (
        lambda: Problem(MESH, HEAT, [Neumann(FLUX, Q, on=["left", "right"])]),
        "Neumann 'flux on left, right' holds q, which lives on 'left', 'top', on 4 other facets",
    ),
    "integrated elsewhere": (
        lambda: Problem(MESH, HEAT, [Neumann(FLUX, Q, on="left"), Condition(Integral(Q, "right") - 1)]),
        "holds q, which lives on 'left', 'top', on 4 other facets",
    ),
    "no such wall": (
        lambda: Problem(MESH, HEAT, [Neumann(FLUX, Field("q", MESH, on="lefd"), on="left")]),
        "a field on a boundary: boundary 'lefd' is not in the mesh; it has: 'left'",
    ),
    "no names": (lambda: Field("q", MESH, on=[]), "give the name of a part of the boundary, or a list of names"),
    "no place": (lambda: Condition(Integral(U) - U, on=None), "give the name of a part of the boundary"),
    "a place too many": (lambda: Condition(Integral(U), on="left"), "is one number; leave on= out"),
    "unknown part": (
        lambda: Problem(MESH, HEAT, [Condition(Integral(U, "rigth"))]),
        "'rigth' in Integral(u(x, y), rigth) is no part of the mesh; it has: 'boundary', 'left', 'right', 'bottom', 'top',"
        " 'core'. Did you mean 'right'?",
    ),
    "mixed": (lambda: Problem(MESH, HEAT, [Condition(Integral(U, ["left", "core"]))]), "mixes boundaries and subdomains"),
    "normal": (
        lambda: Problem(MESH, HEAT, [Condition(Integral(MESH.normal[0] * U, "core"))]), "holds the normal; integrate it",
    ),
    "normal of the whole": (
        lambda: Problem(MESH, HEAT, [Condition(Integral(MESH.normal[0] * U))]), "holds the normal; integrate it over",
    ),
    "nested": (lambda: Problem(MESH, HEAT, [Condition(Integral(U * Integral(U)))]), "holds another Integral"),
    "symbol": (lambda: Problem(MESH, HEAT, [Condition(Integral(U * sp.Symbol("kk")))]), "unknown symbol 'kk'"),
    "points": (lambda: Observations(Integral(U), [[0.5, 0.5]], [1.0]), "one number: leave the points out"),
    "no points": (lambda: Observations(U, values=[1.0]), "without points or values; give points (n, d) and values (n,)"),
    "no values": (lambda: Observations(Integral(U)), "without values; give values=[...]"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_integrals_and_boundary_fields_are_one_clear_line(case):
    make, text = BAD[case]
    with pytest.raises(StatementError) as error:
        made = make()
        if isinstance(made, Problem):
            made.check()
    assert text in str(error.value) and "\n" not in str(error.value)


def test_a_field_on_a_wall_has_no_initial_value():
    t = SPACE_TIME.coordinates[1]
    conditions = [Neumann(grad(W), WALL, on="left"), Initial(WALL, 0)]
    with pytest.raises(StatementError, match="Initial 'initial q' holds q, which lives on 'left', on 2 other facets"):
        Problem(SPACE_TIME, {"heat": W.diff(t) - div(grad(W))}, conditions).check()
    assert Problem(SPACE_TIME, {"heat": W.diff(t) - div(grad(W))}, conditions[:1]).check().notes == ()
