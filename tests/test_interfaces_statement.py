"""Interfaces between subdomains: jumps of values and fluxes, equations per subdomain."""

import numpy as np
import pytest
import sympy as sp

from kinn.geometry import Mesh
from kinn.statement import (
    Condition,
    Dirichlet,
    Equation,
    Field,
    InterfaceTie,
    Neumann,
    NoWeakForm,
    Observations,
    Problem,
    StatementError,
    average,
    div,
    grad,
    jump,
    strong_terms,
    weak_terms,
)
from kinn.statement.places import facets, sample_facets


def halves(mesh, at):
    """The mesh with subdomains `a` (lower x) and `b`, and the facets between them as `middle`."""
    low = mesh.points[mesh.cells, 0].mean(axis=1) < at
    x = mesh.points[mesh.skfem.facets, 0]
    middle = np.flatnonzero(np.isclose(x, at).all(axis=0))
    parts = {"a": np.flatnonzero(low), "b": np.flatnonzero(~low)}
    return Mesh(mesh.points, mesh.cells, mesh.cell_type, {**mesh.boundaries, "middle": middle}, parts)


MESH = halves(Mesh.box((0, 0), (1, 1), cells=4), 0.5)
LINE = halves(Mesh.box(0, 1, cells=4), 0.5)
X, Y = MESH.coordinates
N = MESH.normal
U = Field("u", MESH)
POISSON = {"poisson": -div(grad(U)) - 1}


def test_jump_and_average_are_inert_and_linear_under_derivatives():
    assert jump(U).diff(X) == jump(U.diff(X)) and str(jump(2 * U)) == "jump(2*u(x, y))"
    assert jump(grad(U)) == sp.Matrix([jump(U.diff(X)), jump(U.diff(Y))])
    assert str(average(U)) == "average(u(x, y))" and jump(U) != average(U) and r"\right]" in sp.latex(jump(U))
    assert jump(U).doit() == jump(U) and Problem(MESH, POISSON, [Condition(jump(U) - 1, "middle", "a")]).is_linear
    assert not Problem(MESH, POISSON, [Condition(jump(U) ** 2 - 1, "middle", "a")]).is_linear


def test_a_jump_of_the_value_is_a_tie():
    problem = Problem(MESH, POISSON, [Condition(2 * jump(U) - 4 * Y, "middle", side="a")]).check()
    form = weak_terms(problem)
    assert form.ties == (InterfaceTie(0, ("middle",), "a", 2 * Y),)
    assert form.rows[0].boundary == () and form.other == ()
    with pytest.raises(StatementError, match="the field or flux at 'condition on middle' is discontinuous"):
        strong_terms(problem)


@pytest.mark.parametrize("factor", [1, -1, 3, 1 + X**2])
@pytest.mark.parametrize("side", ["a", "b"])
def test_a_jump_of_the_flux_is_a_boundary_integral(factor, side):
    flux = factor * grad(U)
    problem = Problem(MESH, {"p": -div(grad(U)) - 1}, [Condition(jump(flux.dot(N)) - Y, "middle", side=side)]).check()
    ((on, g),) = weak_terms(problem).rows[0].boundary
    assert on == ("middle",) and sp.simplify(g - Y / factor) == 0 and weak_terms(problem).ties == ()


def test_the_weak_residual_of_a_heated_interface_vanishes():
    """-u'' = 0 on (0, 1), u(0) = u(1) = 0, jump(u') = q at 1/2: R(v) = int u' v' + g v(1/2) = 0 for every hat v."""
    u, (x,) = Field("u", LINE), LINE.coordinates
    q = sp.Rational(-3)
    problem = Problem(
        LINE,
        {"bar": -div(grad(u))},
        [Dirichlet(u, 0, on=["left", "right"]), Condition(jump(grad(u).dot(LINE.normal)) - q, "middle", side="a")],
    ).check()
    (row,) = weak_terms(problem).rows
    ((_, g),) = row.boundary
    exact = sp.Piecewise((-q / 2 * x, x < sp.Rational(1, 2)), (-q / 2 * (1 - x), True))
    slope = sp.lambdify(x, sp.diff(exact, x))
    assert sp.diff(exact, x).subs(x, 0.75) - sp.diff(exact, x).subs(x, 0.25) == q
    for low, top, high in [(0.25, 0.5, 0.75), (0, 0.25, 0.5), (0.25, 0.5, 1)]:
        slopes = [(low, top, 1 / (top - low)), (top, high, -1 / (high - top))]
        total = sum(
            float(sp.lambdify(u.diff(x), row.flux[0])(slope((a + b) / 2))) * rise * (b - a) for a, b, rise in slopes
        )
        assert abs(total + float(g) * (top == 0.5)) < 1e-12
    assert max(problem.verify({u: exact}).values()) < 1e-9
    with pytest.raises(StatementError, match="does not satisfy 'condition on middle'"):
        problem.verify({u: 2 * exact})


def test_traction_jumps_go_to_their_rows():
    v = Field("v", MESH, components=2)
    stress = grad(v) + grad(v).T
    problem = Problem(MESH, {"elastic": -div(stress)}, [Condition(jump(stress * N) - sp.Matrix([0, 7]), "middle", "a")])
    rows = weak_terms(problem.check()).rows
    assert [row.boundary for row in rows] == [(), ((("middle",), 7),)]
    slip = Problem(MESH, {"elastic": -div(stress)}, [Condition(jump(v[1]) - X, "middle", "b")]).check()
    assert weak_terms(slip).ties == (InterfaceTie(1, ("middle",), "b", X),)


def test_the_normal_points_out_of_the_side():
    for side, sign in (("a", 1), ("b", -1)):
        points, normals = sample_facets(MESH, facets(MESH, ("middle",)), 20, side=(side,))
        assert np.allclose(points[:, 0], 0.5) and np.allclose(normals, [sign, 0])


@pytest.mark.parametrize("side", ["a", "b"])
def test_an_exact_solution_is_read_on_both_sides(side):
    sign = 1 if side == "a" else -1
    exact = sp.Piecewise((X * Y, X < sp.Rational(1, 2)), (3 * X * Y + 1, True))
    conditions = [
        Condition(jump(U) - sign * (Y + 1), "middle", side),
        Condition(jump(grad(U).dot(N)) - 2 * Y, "middle", side),
        Condition(average(U) - (2 * X * Y + sp.Rational(1, 2)), "middle", side),
    ]
    problem = Problem(MESH, {"laplace": div(grad(U))}, conditions, exact={U: exact})
    assert max(problem.verify().values()) < 1e-9
    with pytest.raises(StatementError, match="does not satisfy 'condition on middle'"):
        Problem(MESH, {"laplace": div(grad(U))}, [Condition(jump(U) + sign, "middle", side)], exact={U: exact}).verify()


def test_what_has_no_weak_form_yet():
    v = Field("v", MESH)
    for expression, text in [
        (average(grad(U).dot(N)) - 5 * jump(U), "not supported yet: 'condition on middle' reads"),
        (jump(U) ** 2 - 1, "not supported yet"),
        (jump(U.diff(X) * N[1]) - 1, "not supported yet"),
        (jump(U) - U, "not supported yet"),
    ]:
        with pytest.raises(NoWeakForm, match=text):
            weak_terms(Problem(MESH, POISSON, [Condition(expression, "middle", "a")]).check())
    different = {"a": Equation(div(grad(U)), on="a"), "b": Equation(div(3 * grad(U)), on="b")}
    with pytest.raises(NoWeakForm, match="have different fluxes.*kinn.Coefficient of one value per subdomain"):
        weak_terms(Problem(MESH, different, [Condition(jump(grad(U).dot(N)) - 1, "middle", "a")]).check())
    both = [Condition(jump(U) - 1, "middle", "a"), Condition(jump(grad(U).dot(N)) - U, "middle", "a")]
    assert weak_terms(Problem(MESH, POISSON, both[1:])).rows[0].boundary == ((("middle",), U),)
    with pytest.raises(NoWeakForm, match="reads a field that jumps there"):
        weak_terms(Problem(MESH, POISSON, both))
    assert v != U


BAD = {
    "without a side": (
        lambda: Problem(MESH, POISSON, [Condition(jump(U), on="middle")]),
        "Condition 'condition on middle' holds jump(u(x, y)), but no side; give Condition(..., on=interface, side=subd",
    ),
    "exterior": (
        lambda: Problem(MESH, POISSON, [Condition(jump(U), ["middle", "left"], "a")]),
        "4 of 8 facets of 'middle', 'left' lie on the boundary of the mesh, where nothing can jump",
    ),
    "unknown side": (
        lambda: Problem(MESH, POISSON, [Condition(jump(U), "middle", "c")]),
        "subdomain 'c' is not in the mesh; it has: 'a', 'b'",
    ),
    "side of nothing": (
        lambda: Problem(MESH, POISSON, [Condition(U, "middle", "a")]), "has side='a', but neither jump nor average",
    ),
    "in an equation": (
        lambda: Problem(MESH, {"p": div(grad(U)) + jump(U)}), "equation 'p' holds jump(u(x, y)); use it in Condition",
    ),
    "in a value": (
        lambda: Problem(MESH, POISSON, [Neumann(grad(U), jump(U), "left")]), "holds jump(u(x, y)); use it in Condition",
    ),
    "in data": (
        lambda: Problem(MESH, POISSON, [], [Observations(average(U), [[0.5, 0.5]], [1])]), "holds average(u(x, y))",
    ),
    "twice": (
        lambda: Problem(MESH, POISSON, [Condition(jump(average(U)), "middle", "a")]), "holds another jump, average",
    ),
    "two sides": (lambda: Condition(jump(U), "middle", side=3), "give the name of one subdomain"),  # type: ignore[arg-type]
    "bare part": (
        lambda: Problem(MESH, {"p": Equation(div(grad(U)), on="a")}),
        "16 of 32 cells have no equation (in 'b'), the first at (",
    ),
    "a boundary for a part": (
        lambda: Problem(MESH, {"p": Equation(div(grad(U)), on="left")}),
        "equation 'p': 'left' is a boundary, not a subdomain; it has: 'a', 'b'",
    ),
    "a part for a boundary": (
        lambda: Problem(MESH, POISSON, [Dirichlet(U, 0, on="a")]),
        "Dirichlet 'u on a': 'a' is a subdomain, not a part of the boundary; it has: 'left', 'right', 'bottom', 'top'",
    ),
    "misspelt": (
        lambda: Problem(MESH, {"p": Equation(div(grad(U)), on="A")}),
        "equation 'p': subdomain 'A' is not in the mesh; it has: 'a', 'b'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_interfaces_are_one_clear_line(case):
    make, text = BAD[case]
    with pytest.raises(StatementError) as error:
        made = make()
        if isinstance(made, Problem):
            made.check()
    assert text in str(error.value) and "\n" not in str(error.value)


def test_a_side_that_does_not_touch_the_interface_is_named():
    thirds = {"a": MESH.subdomains["a"], "b": MESH.subdomains["b"][::2], "c": MESH.subdomains["b"][1::2]}
    mesh = Mesh(MESH.points, MESH.cells, "triangle", MESH.boundaries, thirds)
    u = Field("u", mesh)
    with pytest.raises(StatementError, match="of 4 facets of 'middle' do not lie between 'c' and another subdomain"):
        Problem(mesh, [div(grad(u))], [Condition(jump(u), "middle", "c")]).check()


def test_equations_may_hold_in_the_whole_domain_and_in_subdomains():
    w = Field("w", MESH)
    problem = Problem(
        MESH,
        {
            "heat": div(grad(U)),
            "soft": Equation(div(grad(w)) + U, on="a"),
            "hard": Equation(div(5 * grad(w)) - U, on="b"),
        },
    ).check()
    found = [(row.name, row.component_index, row.on) for row in weak_terms(problem).rows]
    assert found == [("heat", 0, ()), ("soft", 1, ("a",)), ("hard", 1, ("b",))]
    with pytest.raises(NoWeakForm, match="1 equations for 2 unknowns where 'heat' hold"):
        weak_terms(Problem(MESH, {"heat": div(grad(U)), "soft": Equation(div(grad(w)) + U, on="a")}))


def test_the_fingerprint_knows_the_side():
    stated = [Problem(MESH, POISSON, [Condition(jump(U) - 1, "middle", side)]).fingerprint() for side in "ab"]
    assert stated[0] != stated[1]
