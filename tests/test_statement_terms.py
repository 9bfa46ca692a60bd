"""The terms of strong and weak forms: integration by parts, natural conditions, what is left insulated."""

import pytest
import sympy as sp

from kinn.geometry import Interval, Mesh
from kinn.statement import (
    Condition,
    Dirichlet,
    Equation,
    Field,
    Initial,
    Neumann,
    NoWeakForm,
    Parameter,
    Problem,
    Robin,
    StatementError,
    div,
    grad,
    strong_terms,
    weak_terms,
)

MESH = Mesh.box((0, 0), (1, 1), cells=4)
X, Y = MESH.coordinates
N = MESH.normal
U = Field("u", MESH)
K = Parameter("k", 1.0, lower=0)


def kinds(problem):
    return {term.name: term.kind for term in strong_terms(problem)}


def test_strong_terms_of_a_heated_plate():
    flux = K * grad(U)
    problem = Problem(
        MESH,
        {"heat": -div(flux) - 1},
        [Dirichlet(U, X, on="left"), Neumann(flux, 2, on="right"), Robin(flux, U, 3, 20, on="top")],
    )
    terms = {term.name: term for term in strong_terms(problem)}
    assert kinds(problem) == {
        "heat": "equation", "u on left": "essential", "flux on right": "natural", "exchange on top": "natural",
        "insulated": "natural",
    }  # fmt: skip
    assert sp.expand(terms["heat"].expressions[0] + K * (U.diff(X, 2) + U.diff(Y, 2)) + 1) == 0
    assert terms["u on left"].expressions == (U - X,)
    assert sp.expand(terms["exchange on top"].expressions[0] - (flux.dot(N) - 60 + 3 * U)) == 0
    assert terms["insulated"].on == ("bottom",) and terms["insulated"].facets is None
    assert sp.expand(terms["insulated"].expressions[0] + flux.dot(N)) == 0


def test_insulated_facets_without_a_name_are_numbered():
    mesh = Mesh(MESH.points, MESH.cells, "triangle", {"left": MESH.boundaries["left"]})
    u = Field("u", mesh)
    last = strong_terms(Problem(mesh, [div(grad(u))], [Dirichlet(u, 0, on="left")]))[-1]
    assert last.name == "insulated" and last.on == ("boundary",)
    assert len(last.facets or ()) == len(mesh.exterior) - len(mesh.boundaries["left"])
    pure = strong_terms(Problem(MESH, [div(grad(U))]))[-1]
    assert pure.on == ("boundary",) and pure.facets is None


def test_nothing_is_insulated_where_a_condition_stands_or_no_second_order_flux_leaves():
    covered = [Dirichlet(U, 0, on=["left", "right"]), Condition(grad(U).dot(N) + U**4, on=["top", "bottom"])]
    assert "insulated" not in kinds(Problem(MESH, [div(grad(U))], covered))
    sigma = Field("sigma", MESH, components=2)
    mixed = Problem(MESH, {"law": sigma - grad(U), "balance": div(sigma) + 1}, [Dirichlet(U, 0, on="boundary")])
    assert "insulated" not in kinds(mixed)


@pytest.mark.parametrize("factor", [1, -1, 2, K, 1 / K, 1 + X**2])
def test_weak_form_and_neumann_are_aware_of_sign_and_factor(factor):
    flux = K * grad(U)
    problem = Problem(MESH, {"heat": -div(flux) - X}, [Neumann(factor * flux, Y, on="right")]).check()
    (row,) = weak_terms(problem).rows
    assert row.flux == tuple(flux) and row.source == -X
    ((on, value),) = row.boundary
    assert on == ("right",) and sp.simplify(value + Y / factor) == 0


def test_weak_form_differentiates_factors_in_front_of_div():
    problem = Problem(MESH, {"heat": X**2 * div(K * grad(U)) + U}, [Neumann(grad(U), 3, on="right")])
    (row,) = weak_terms(problem).rows
    assert [sp.expand(f + X**2 * K * U.diff(x)) for f, x in zip(row.flux, (X, Y), strict=True)] == [0, 0]
    assert sp.expand(row.source - (U - 2 * X * K * U.diff(X))) == 0
    assert sp.expand(row.boundary[0][1] - 3 * X**2 * K) == 0


def test_weak_rows_of_elasticity_pair_with_their_components():
    v = Field("v", MESH, components=2)
    strain = (grad(v) + grad(v).T) / 2
    stress = strain.trace() * sp.eye(2) + 2 * K * strain
    conditions = [Dirichlet(v, 0, on="left"), Neumann(stress, [0, 1], on="top")]
    problem = Problem(MESH, {"elastic": -div(stress)}, conditions).check()
    form = weak_terms(problem)
    assert [row.component_index for row in form.rows] == [0, 1]
    assert form.rows[0].flux == tuple(stress.row(0)) and form.rows[0].boundary == ()
    assert form.rows[1].boundary == ((("top",), -1),)
    assert form.essential == ((0, 0, ("left",)), (1, 0, ("left",))) and form.other == ()
    assert strong_terms(problem)[-1].on == ("right", "bottom") and len(strong_terms(problem)[-1].expressions) == 2


def test_stokes_tests_the_divergence_with_the_pressure():
    v, p = Field("v", MESH, components=2), Field("p", MESH)
    problem = Problem(
        MESH,
        {"momentum": -div(grad(v)) + grad(p), "mass": div(v)},
        [Dirichlet(v, 0, on="boundary")],
    ).check()
    form = weak_terms(problem)
    assert problem.components == (p, v[0], v[1])
    assert [row.name for row in form.rows] == ["mass", "momentum", "momentum"]
    assert form.rows[0].flux == (0, 0) and form.rows[0].source == v[0].diff(X) + v[1].diff(Y)
    assert "insulated" not in kinds(problem)


def test_heat_in_space_time_is_weak_in_space():
    mesh = Mesh.box(0, 1, cells=4) * Interval("t", 0, 1, cells=4)
    u, (x, t) = Field("u", mesh), mesh.coordinates
    conditions = [Initial(u, sp.sin(x)), Dirichlet(u, 0, on="left")]
    problem = Problem(mesh, {"heat": u.diff(t) - div(grad(u))}, conditions).check()
    form = weak_terms(problem)
    assert form.rows[0].flux == (u.diff(x),) and form.rows[0].source == u.diff(t)
    assert (0, sp.sin(x), ("t=0",)) in form.essential
    assert strong_terms(problem)[-1].on == ("right",)
    wave = Problem(mesh, {"wave": u.diff(t, 2) - div(grad(u))}, [Initial(u, 0), Initial(u.diff(t), 0)]).check()
    assert [term.kind for term in strong_terms(wave)][:3] == ["equation", "essential", "condition"]
    with pytest.raises(NoWeakForm, match="a second derivative of u outside a div in 'wave'"):
        weak_terms(wave)


def test_a_general_condition_keeps_the_boundary_integral():
    law = Condition(grad(U).dot(N) + U**4, on="top")
    form = weak_terms(Problem(MESH, [-div(grad(U))], [law, Dirichlet(U, 0, on="left")]))
    assert form.rows[0].boundary == ((("top",), -grad(U).dot(N)),)
    assert [term.kind for term in form.other] == ["condition"]


def test_reasons_for_no_weak_form():
    v = Field("v", MESH)
    for equations, reason in [
        ([U.diff(X, 2) + U.diff(Y, 2)], "a second derivative of u outside a div"),
        ([div(grad(div(grad(U))))], "a third derivative of u under a div"),
        ([div(grad(U)) ** 2], "nonlinearly"),
        (
            [div(grad(U)) + v.diff(X)],
            "1 equations for 2 unknowns; give a field that is an unknown coefficient a guess=",
        ),
    ]:
        with pytest.raises(NoWeakForm, match=reason):
            weak_terms(Problem(MESH, equations))


def test_the_strong_form_refuses_jumps_and_the_weak_one_takes_them():
    k = sp.Piecewise((1, X < sp.Rational(1, 2)), (10, True))
    problem = Problem(MESH, {"heat": div(k * grad(U))}, [Dirichlet(U, 0, on="left")])
    with pytest.raises(StatementError, match="under the div of 'heat' is discontinuous.*use form='weak'"):
        strong_terms(problem)
    assert weak_terms(problem).rows[0].flux == tuple(-k * grad(U))


def test_subdomains_get_their_own_rows():
    halves = {"a": [c for c in range(len(MESH.cells)) if MESH.points[MESH.cells[c], 0].mean() < 0.5]}
    halves["b"] = sorted(set(range(len(MESH.cells))) - set(halves["a"]))
    mesh = Mesh(MESH.points, MESH.cells, "triangle", MESH.boundaries, halves)
    u = Field("u", mesh)
    equations = {"a": Equation(div(grad(u)), on="a"), "b": Equation(div(3 * grad(u)), on="b")}
    form = weak_terms(Problem(mesh, equations, [Dirichlet(u, 0, on="left")]).check())
    assert [(row.on, row.component_index) for row in form.rows] == [(("a",), 0), (("b",), 0)]


def test_neumann_matches_through_a_jumping_coefficient():
    k = sp.Piecewise((1, X < sp.Rational(1, 2)), (10, True))
    problem = Problem(MESH, {"heat": -div(k * grad(U))}, [Neumann(2 * k * grad(U), Y, on="top")]).check()
    assert weak_terms(problem).rows[0].boundary == ((("top",), -Y / 2),)


def test_neumann_may_state_the_total_of_several_fluxes():
    diffusion, drift = grad(U), sp.Matrix([U.diff(Y), 0]) * K
    problem = Problem(MESH, {"heat": -div(diffusion) - 2 * div(drift)}, [Neumann(diffusion + 2 * drift, Y, on="top")])
    assert weak_terms(problem.check()).rows[0].boundary == ((("top",), -Y),)
