"""Periodic conditions: paired sides, what is equal on them, and what contradicts them."""

import numpy as np
import pytest
import sympy as sp

from kinn.geometry import Interval, Mesh
from kinn.statement import (
    Dirichlet,
    Field,
    Initial,
    Periodic,
    PeriodicTie,
    Problem,
    StatementError,
    div,
    grad,
    strong_terms,
    weak_terms,
)
from kinn.statement.places import translation

MESH = Mesh.box((0, 0), (2, 1), cells=4)
X, Y = MESH.coordinates
U = Field("u", MESH)
SPACE_TIME = Mesh.box(-1, 1, cells=4) * Interval("t", 0, 1, cells=4)
EQUATION = {"poisson": -div(grad(U)) + U}


def named(problem):
    return {term.name: term for term in strong_terms(problem)}


def test_a_periodic_side_pairs_values_and_first_derivatives():
    problem = Problem(MESH, EQUATION, [Periodic(U, "left", "right", jump=3)]).check()
    term = named(problem)["periodic left - right"]
    assert (term.kind, term.on, term.shift) == ("periodic", ("left",), (2.0, 0.0))
    assert term.expressions == (U, U.diff(X)) and term.jumps == (3, 0)
    assert named(problem)["insulated"].on == ("bottom", "top")
    form = weak_terms(problem)
    assert form.ties == (PeriodicTie(0, ("left",), ("right",), sp.Integer(3)),)
    assert form.rows[0].boundary == () and form.essential == () and form.other == ()


def test_the_number_of_pairs_is_the_order_of_the_equation_across_the_sides():
    u, (x, t) = Field("u", SPACE_TIME), SPACE_TIME.coordinates
    orders = {
        "advection": (u.diff(t) + u.diff(x), 1),
        "heat": (u.diff(t) - u.diff(x, 2), 2),
        "korteweg": (u.diff(t) + u * u.diff(x) + u.diff(x, 3), 3),
        "plate": (u.diff(t) + div(grad(div(grad(u)))), 4),
    }
    for name, (equation, order) in orders.items():
        term = named(Problem(SPACE_TIME, {name: equation}, [Periodic(u, "left", "right")]))["periodic left - right"]
        assert term.expressions == tuple(u.diff(x, k) if k else u for k in range(order)), name
    term = named(Problem(SPACE_TIME, {"heat": orders["heat"][0]}, [Periodic(u, "t=0", "t=1")]))["periodic t=0 - t=1"]
    assert term.expressions == (u,) and term.shift == (0.0, 1.0)


def test_all_components_of_a_vector_repeat():
    v = Field("v", MESH, components=2)
    problem = Problem(MESH, {"elastic": div(grad(v))}, [Periodic(v, "bottom", "top", jump=[1, X])]).check()
    term = named(problem)["periodic bottom - top"]
    assert term.expressions == (v[0], v[0].diff(Y), v[1], v[1].diff(Y)) and term.jumps == (1, 0, X, 0)
    assert [(tie.component_index, tie.value) for tie in weak_terms(problem).ties] == [(0, 1), (1, X)]
    one = Problem(MESH, {"elastic": div(grad(v))}, [Periodic(v[1], "bottom", "top")])
    assert [tie.component_index for tie in weak_terms(one).ties] == [1]
    assert named(one)["insulated"].on == ("boundary",) and named(one)["insulated (2)"].on == ("left", "right")


def test_a_sheared_cell_is_a_translation_too():
    points = MESH.points + 0.5 * MESH.points[:, [1, 0]] * [1, 0]
    mesh = Mesh(points, MESH.cells, "triangle", MESH.boundaries)
    assert np.allclose(translation(mesh, ("bottom",), ("top",)), [0.5, 1.0])
    u, (x, y) = Field("u", mesh), mesh.coordinates
    term = named(Problem(mesh, [div(grad(u))], [Periodic(u, "bottom", "top")]))["periodic bottom - top"]
    assert sp.expand(term.expressions[1] - (u.diff(x) / 2 + u.diff(y))) == 0


def test_the_exact_solution_is_checked_at_pairs_of_points():
    exact = sp.sin(sp.pi * X) + 3 * X / 2
    problem = Problem(
        MESH,
        {"poisson": -div(grad(U)) - sp.pi**2 * sp.sin(sp.pi * X)},
        [Periodic(U, "left", "right", jump=3), Dirichlet(U, exact, on=["bottom", "top"])],
        exact={U: exact},
    )
    assert problem.verify()["periodic left - right"] < 1e-12
    for wrong in (exact + X / 2, exact - X + X**2 / 2):  # another jump; the jump, but another slope
        load = -div(grad(wrong)).doit()
        other = Problem(MESH, {"poisson": -div(grad(U)) - load}, problem.conditions[:1])
        with pytest.raises(StatementError, match="does not satisfy 'periodic left - right'"):
            other.verify({U: wrong})


def test_an_initial_value_must_be_periodic_with_its_slope():
    u, (x, t) = Field("u", SPACE_TIME), SPACE_TIME.coordinates
    heat = {"heat": u.diff(t) - u.diff(x, 2) / 100 + u**3}

    def stated(value, jump=0, equation=heat):
        return Problem(SPACE_TIME, equation, [Initial(u, value), Periodic(u, "left", "right", jump)]).check()

    stated(sp.sin(sp.pi * x))
    stated(x, jump=2)
    stated(x**2, equation={"advection": u.diff(t) + u.diff(x)})
    with pytest.raises(StatementError) as error:
        stated(x**2 * sp.cos(sp.pi * x))
    assert str(error.value).startswith(
        "'initial u' contradicts 'periodic left - right': its derivative across the sides is 2 at (-1, 0) and -2 at (1, 0)"
    )
    with pytest.raises(StatementError, match=r"its value is -1 at \(-1, 0\) and 1 at \(1, 0\)"):
        stated(x)


def test_sides_that_do_not_match_are_named():
    def stated(first, second, mesh=MESH, more=()):
        u = Field("u", mesh)
        return Problem(mesh, [div(grad(u)) - u], [Periodic(u, first, second), *more]).check()

    cases = [
        (lambda: stated("left", "top"), "'left' and 'top' do not match: 2 and 4 facets; mesh both sides alike"),
        (lambda: stated("left", "left"), "'left' and 'left' share facets"),
        (lambda: stated("left", "rigth"), "boundary 'rigth' is not in the mesh"),
        (lambda: Periodic(2 * U, "left", "right"), "give a field or one component of it"),
        (lambda: Periodic(U, "left", "right", jump=[1, 2]), "has 2 values for 1 components"),
        (
            lambda: stated("left", "right", more=[Dirichlet(U, 0, on="left")]),
            "u has the value of 'u on left' on a side of 'periodic left - right'",
        ),
        (
            lambda: Problem(MESH, EQUATION, [Periodic(U, "left", "right", jump=U)]).check(),
            "its jump u(x, y) holds a field",
        ),
    ]
    for make, text in cases:
        with pytest.raises(StatementError) as error:
            make()
        assert text in str(error.value)
    points = MESH.points.copy()
    points[(points[:, 0] == 2) & (points[:, 1] == 0.5), 1] = 0.6
    bent = Mesh(points, MESH.cells, "triangle", MESH.boundaries)
    with pytest.raises(StatementError, match=r"do not match by a translation.*Periodic Curve"):
        stated("left", "right", bent)


def test_the_fingerprint_and_the_text_know_the_jump():
    problems = [
        Problem(MESH, EQUATION, [Periodic(U, "left", "right", jump)]) for jump in (0, 3)
    ] + [Problem(MESH, EQUATION, [Periodic(U, "bottom", "top")])]  # fmt: skip
    assert len({problem.fingerprint() for problem in problems}) == 3
    assert problems[1].pretty()[1] == "periodic left - right: u(x, y) + 3"
