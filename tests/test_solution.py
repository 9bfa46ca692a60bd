"""The facade: shapes, names, points, errors."""

from __future__ import annotations

import numpy as np
import pytest
import sympy as sp
import torch
from made_results import made_solution

from kinn.geometry import Mesh
from kinn.statement import Dirichlet, Field, Parameter, Problem, StatementError, div, grad

MESH = Mesh.box((0, 0), (2, 2), cells=4)
X, Y = MESH.coordinates
U, V, K = Field("u", MESH), Field("v", MESH, components=2), Parameter("k", 3.0, lower=0)


@pytest.fixture(scope="module")
def scalar():
    # u = (x - 1)^2 + (y - 1)
    problem = Problem(MESH, {"e": -div(K * grad(U))}, [Dirichlet(U, 0, on="boundary")])
    return made_solution(problem, [lambda a, b: a**2 + b])


@pytest.fixture(scope="module")
def vector():
    problem = Problem(MESH, {"e": div(grad(V)), "f": div(grad(U))}, [Dirichlet(f, 0, on="boundary") for f in (U, V)])
    return made_solution(problem, [lambda a, b: a, lambda a, b: b, lambda a, b: a * 0 + 7])


def test_one_scalar_field_gives_a_vector_of_values(scalar):
    points = [[0.0, 1.0], [1.5, 2.0]]
    for given in (points, np.array(points), torch.tensor(points, requires_grad=True)):
        np.testing.assert_allclose(scalar(given), [1.0, 1.25], atol=1e-12)
    assert scalar([1.5, 2.0]).shape == () and float(scalar([1.5, 2.0])) == pytest.approx(1.25)
    assert scalar(np.zeros((0, 2))).shape == (0,)


def test_several_fields_give_columns_in_the_order_of_the_problem(vector):
    values = vector([[0.5, 1.5], [0.0, 0.0]])
    assert [c.name for c in vector.problem.components] == ["v_0", "v_1", "u"]
    assert values.shape == (2, 3) and vector([0.5, 1.5]).shape == (3,)
    np.testing.assert_allclose(values[0], [-0.5, 0.5, 7.0], atol=1e-12)
    assert vector.evaluate(V, [[0.5, 1.5]]).shape == (1, 2) == vector.evaluate("v", [[0.5, 1.5]]).shape
    assert vector.evaluate(V[0], [[0.5, 1.5]]).shape == (1,)


def test_expressions_of_everything(scalar):
    flux = K * grad(U)
    np.testing.assert_allclose(scalar.evaluate(flux, [[0.5, 0.5]]), [[-3.0, 3.0]], atol=1e-11)
    np.testing.assert_allclose(scalar.evaluate(div(flux) + X, [[0.5, 0.5]]), [6.5], atol=1e-10)
    np.testing.assert_allclose(scalar.evaluate([U, 1, X * sp.pi], [0.5, 0.5]), [-0.25, 1, np.pi / 2], atol=1e-12)
    outflow = scalar.evaluate(flux.dot(MESH.normal), [[2.0, 0.5]], normal=[[1.0, 0.0]])
    np.testing.assert_allclose(outflow, [6.0], atol=1e-11)
    assert scalar.evaluate("k", [[0.5, 0.5]]) == pytest.approx([3.0])


@pytest.mark.parametrize(
    ("ask", "text"),
    [
        (lambda s: s([[1, 1], [2.5, 1], [3, 3]]), "2 of 3 points lie outside the mesh, the first at (2.5, 1)"),
        (lambda s: s([1, 2, 3]), "points of shape (3,): give (n, 2)"),
        (lambda s: s("here"), "are no array of numbers; give shape (n, 2)"),
        (lambda s: s([[np.nan, 0]]), "point 0 is [nan  0.] (rows count from 0); give finite coordinates"),
        (lambda s: s.evaluate("w", [1, 1]), "'w' is no field and no parameter of the problem; it has: 'u', 'k'"),
        (
            lambda s: s.evaluate(Field("uu", MESH), [1, 1]),
            "field 'uu' is not in the problem; it has: 'u'. Did you mean 'u'?",
        ),
        (lambda s: s.evaluate(Field("u", MESH, 2), [1, 1]), "has 2 components, but 1 in the solution's problem"),
        (lambda s: s.evaluate(Parameter("q", 1.0), [1, 1]), "parameter 'q' is not in the problem; it has: 'k'"),
        (lambda s: s.evaluate(sp.Symbol("z"), [1, 1]), "z"),
        (lambda s: s.evaluate(MESH.normal[0], [2, 1]), "holds the boundary normal; pass normal (n, 2)"),
        (lambda s: s.evaluate(U.diff(X, 5), [1, 1]), "is of order 5"),
        (lambda s: s.evaluate(object(), [1, 1]), "is no expression; give a field"),
        (lambda s: s.plot("error"), "an error needs something to compare with"),
        (
            lambda s: s.plot("histroy"),
            "there is no picture 'histroy'; it has: 'field', 'u', 'error', 'residual', 'e', 'history'. Did you mean 'history'?",
        ),
    ],
)
def test_mistakes_are_told_in_one_line(scalar, ask, text):
    with pytest.raises(StatementError) as error:
        ask(scalar)
    assert text in str(error.value) and "\n" not in str(error.value)


def test_points_on_the_edge_are_inside(scalar):
    assert np.isfinite(scalar([[2 + 1e-9, 1.0], [0.0, 0.0]])).all()


def test_on_a_line_numbers_are_points():
    mesh = Mesh.box(0, 2, cells=4)
    u = Field("u", mesh)
    found = made_solution(Problem(mesh, [div(grad(u))], [Dirichlet(u, 0, on="boundary")]), [lambda a: a**2])
    np.testing.assert_allclose(found([0.0, 1.0, 1.5]), [1, 0, 0.25], atol=1e-12)
    assert float(found(0.0)) == pytest.approx(1.0)


def test_attributes_and_texts(scalar, vector):
    assert scalar.parameters["k"].estimate == 3.0 and scalar.estimate == 2.5e-5 and scalar.status.label == "step_limit"
    assert len(scalar.history) == 7 and "strong form" in str(scalar) and "95 %: 2.8 to 3.2" in str(scalar)
    assert repr(scalar) == "Solution(u: KAN [2, 1], Chebyshev degree 8, step_limit, estimate 2.5e-05)"
    found = scalar.error({U: (X - 1) ** 2 + Y - 1})
    assert found["u"].relative_l2 < 1e-13 and "relative L2" in str(found)


def test_pictures_by_name(scalar, vector, tmp_path):
    titles = {what: scalar.plot(what).get_title() for what in (None, "u", U, "history", "residual", "e")}
    assert titles == {
        None: "u",
        "u": "u",
        U: "u",
        "history": "history",
        "residual": "|residual of e|",
        "e": "|residual of e|",
    }
    assert scalar.plot("error", reference={U: X}).get_title() == "u - reference"
    assert scalar.plot(U, reference={U: X}).get_title() == "u - reference"
    with pytest.raises(StatementError, match="the problem has 2 equations; name one; it has: 'e', 'f'"):
        vector.plot("residual")
    scalar.write(tmp_path / "u.vtu")
    assert set(Mesh.read(tmp_path / "u.vtu").boundaries) == set(MESH.boundaries)
