"""Fields, calculus and problems: identity by mesh, what `Div` does, verification by exact solutions."""

import numpy as np
import pytest
import sympy as sp

from kinn.geometry import Interval, Mesh
from kinn.statement import (
    Coefficient,
    Condition,
    Dirichlet,
    Equation,
    Field,
    Initial,
    Neumann,
    Observations,
    Parameter,
    Problem,
    Robin,
    StatementError,
    div,
    field_of,
    grad,
)
from kinn.statement.fields import VectorField, components_of

MESH = Mesh.box((0, 0), (1, 1), cells=4)
OTHER = Mesh.box((0, 0), (2, 1), cells=4)
SPACE_TIME = Mesh.box(0, 1, cells=4) * Interval("t", 0, 1, cells=4)
X, Y = MESH.coordinates


def test_fields_and_coordinates_of_two_meshes_differ():
    u, same, other = Field("u", MESH), Field("u", MESH), Field("u", OTHER)
    assert u == same and hash(u) == hash(same)
    assert u != other and OTHER.coordinates[0] != X
    assert u.diff(X) != other.diff(OTHER.coordinates[0])
    assert (u - other) != 0
    assert Field("v", MESH, components=2) != Field("v", OTHER, components=2)


def test_derivatives_are_plain_sympy():
    u = Field("u", MESH)
    assert u.diff(X, 2) == sp.Derivative(u, (X, 2))
    assert u.diff(X, Y) == sp.diff(u, Y, X)
    assert u.diff(sp.Symbol("q")) == 0
    assert (u.diff(X) ** 2).diff(u.diff(X)) == 2 * u.diff(X)


def test_a_vector_field_is_a_matrix_and_one_name():
    v = Field("v", MESH, components=2)
    assert v.shape == (2, 1) and v.name == "v" and [c.name for c in v] == ["v_0", "v_1"]
    assert field_of(v) == field_of(v[1]) == "v"
    assert components_of(v[1]) == tuple(v)
    assert not isinstance(2 * v, VectorField) and (v + v) == 2 * v
    assert grad(v) == sp.Matrix([[v[0].diff(X), v[0].diff(Y)], [v[1].diff(X), v[1].diff(Y)]])
    assert (grad(v) + sp.eye(2)).shape == (2, 2)


def test_gradient_is_spatial_and_divergence_inert():
    u = Field("u", SPACE_TIME)
    x, _ = SPACE_TIME.coordinates
    assert grad(u) == sp.Matrix([u.diff(x)])
    assert div(grad(u)).doit() == u.diff(x, 2)
    assert div(u.diff(x)) == div(grad(u))
    w = Field("w", MESH)
    assert div(grad(w)).doit() == w.diff(X, 2) + w.diff(Y, 2)
    assert div(grad(w)).diff(X).doit() == w.diff(X, 3) + w.diff(X, Y, Y)
    k = Parameter("k", 1.0)
    assert div(k * grad(w)).diff(k) == div(grad(w))


def test_nested_divergences_expand():
    u = Field("u", MESH)
    biharmonic = div(grad(div(grad(u)))).doit()
    assert sp.expand(biharmonic - (u.diff(X, 4) + 2 * u.diff(X, 2, Y, 2) + u.diff(Y, 4))) == 0


def test_the_gradient_of_coordinates_knows_its_space():
    Field("u", MESH)
    assert grad(X**2) == sp.Matrix([2 * X, 0])
    assert grad(sp.Integer(3), mesh=MESH) == sp.zeros(2, 1)
    with pytest.raises(StatementError, match="mixes fields or coordinates of 2 meshes"):
        grad(X * OTHER.coordinates[1])
    with pytest.raises(StatementError, match="pass mesh=mesh"):
        grad(sp.Integer(3))


def test_div_refuses_wrong_shapes_and_derivatives_by_fields():
    u = Field("u", MESH)
    with pytest.raises(StatementError, match="div of the scalar"):
        div(u)
    with pytest.raises(StatementError, match=r"shape \(3, 3\)"):
        div(u * sp.eye(3))
    with pytest.raises(StatementError, match="use doit"):
        div(grad(u)).diff(u)


def test_parameters_transform_and_back():
    for bounds in ((None, None), (0.0, None), (None, 5.0), (0.0, 5.0)):
        k = Parameter("k", 2.0, *bounds)
        assert k.from_free(k.to_free(3.0)) == pytest.approx(3.0, rel=1e-14)
    kinds = {(None, None): "identity", (0, None): "log", (None, 5): "log", (0, 5): "logit"}
    assert all(Parameter("k", 2.0, *bounds).transform == kind for bounds, kind in kinds.items())
    assert Parameter("k", 1.0) == Parameter("k", 1.0) != Parameter("k", 2.0)


@pytest.mark.parametrize("bounds", [(0.0, None), (None, 5.0), (0.0, 5.0)])
def test_a_value_that_rounding_brought_to_a_bound_has_a_free_number(bounds):
    k = Parameter("k", 2.0, *bounds)
    for end in (bound for bound in bounds if bound is not None):
        assert not k.admits(end)
        assert k.from_free(k.to_free(end)) == end and k.slope(k.to_free(end)) == 0


def test_a_sympy_coefficient_is_the_expression_and_a_function_is_kept():
    assert Coefficient("k", MESH, X**2) == X**2
    k = Coefficient("k", MESH, np.exp, continuous=False)
    assert k == Coefficient("k", MESH, np.exp, continuous=False) and k.function is np.exp
    u = Field("u", MESH)
    assert Problem(MESH, [div(k * grad(u))]).jumps == ("coefficient 'k' under the div of 'equation'",)


def test_jumps_tell_a_kink_from_a_jump():
    u = Field("u", MESH)
    jump = sp.Piecewise((1, X < sp.Rational(1, 2)), (2, True))
    kink = sp.Piecewise((1, X < sp.Rational(1, 2)), (2 * X, True))
    assert len(Problem(MESH, [div(jump * grad(u))]).jumps) == 1
    assert Problem(MESH, [div(kink * grad(u))]).jumps == ()
    assert Problem(MESH, [div(grad(u)) + jump]).jumps == ()


def test_a_problem_collects_its_unknowns():
    u, v = Field("u", MESH), Field("v", MESH, components=2)
    k, h = Parameter("k", 1.0, lower=0), Parameter("h", 2.0, lower=0)
    problem = Problem(
        MESH,
        {"momentum": sp.Matrix([v[1] + u.diff(X), v[0] + u.diff(Y)]), "heat": div(k * grad(u))},
        [Robin(k * grad(u), u, h, 20, on="left"), Dirichlet(v, [0, 1], on=["top", "right"])],
    )
    assert list(problem.fields) == ["u", "v"] and problem.components == (u, v[0], v[1])
    assert list(problem.parameters) == ["k", "h"] and problem.index(v[1]) == 2
    assert problem.equations["heat"] == Equation(div(k * grad(u)))
    assert problem.conditions[1].on == ("top", "right")
    assert problem.is_linear and problem.check() is problem
    assert not Problem(MESH, [div((1 + u**2) * grad(u))]).is_linear
    assert not Problem(MESH, [div(grad(u))], [Neumann(grad(u), -(u**4), on="left")]).is_linear


def test_the_fingerprint_follows_content():
    def problem(source=1.0, mesh=MESH, sigma=0.1, guess=1.0):
        u = Field("u", mesh)
        k = Parameter("k", guess)
        data = [Observations(u, [[0.5, 0.5]], [1.0], sigma=sigma)]
        return Problem(mesh, [-div(k * grad(u)) - source], [Dirichlet(u, 0, on="left")], data).fingerprint()

    assert problem() == problem() and len(problem()) == 64
    assert len({problem(), problem(source=2.0), problem(mesh=OTHER), problem(sigma=0.2), problem(guess=2.0)}) == 5


def test_initial_conditions_find_the_lower_end():
    u = Field("u", SPACE_TIME)
    x, t = SPACE_TIME.coordinates
    problem = Problem(
        SPACE_TIME,
        {"heat": u.diff(t) - div(grad(u))},
        [Initial(u, sp.sin(sp.pi * x)), Dirichlet(u, 0, on=["left", "right"])],
        exact={u: sp.exp(-(sp.pi**2) * t) * sp.sin(sp.pi * x)},
    ).check()
    assert problem.conditions[0].on == ("t=0",)
    assert max(problem.verify().values()) < 1e-12
    assert set(problem.verify()) == {"heat", "initial u", "u on left, right"}


def test_verify_accepts_the_exact_solution_and_names_the_wrong_term():
    u, k, h = Field("u", MESH), Parameter("k", 1.0, lower=0), Parameter("h", 1.0, lower=0)
    exact = sp.sin(sp.pi * X) * sp.cosh(Y)
    flux = k * grad(u)
    truth = {u: exact, k: 2, h: 3}
    ambient = exact + 2 * exact.diff(Y) / 3  # flux . n = h (ambient - u) on top
    problem = Problem(
        MESH,
        {"heat": -div(flux) + 2 * (exact.diff(X, 2) + exact.diff(Y, 2))},
        [
            Dirichlet(u, 0, on=["left", "right"]),
            Robin(flux, u, h, ambient, on="top"),
            Neumann(flux, 0, on="bottom"),
            Condition(grad(u).dot(MESH.normal), on="bottom"),
        ],
        exact=truth,
    ).check()
    assert max(problem.verify().values()) < 1e-12
    with pytest.raises(StatementError, match="does not satisfy 'heat'"):
        problem.verify({**truth, k: 2.001})
    with pytest.raises(StatementError, match="does not satisfy 'exchange on top'"):
        problem.verify({**truth, h: 3.001})
    with pytest.raises(StatementError, match="says nothing about h"):
        problem.verify({u: exact, k: 2})


def test_verify_takes_vectors_and_names():
    v = Field("v", MESH, components=2)
    stress = grad(v) + grad(v).T
    exact = sp.Matrix([X**2 * Y, X * Y**2])
    load = div(grad(exact) + grad(exact).T).doit()
    problem = Problem(MESH, {"elastic": div(stress) - load}, [Dirichlet(v, exact, on="boundary")])
    for key in (v, "v"):
        assert max(problem.verify({key: exact}).values()) < 1e-12


def test_corners_with_two_values_are_notes():
    u = Field("u", MESH)
    problem = Problem(MESH, [div(grad(u))], [Dirichlet(u, 0, on="left"), Dirichlet(u, 1, on="top")]).check()
    assert problem.notes == ("u has two values where 'u on left' and 'u on top' meet, at (0, 1): 0 and 1",)
    smooth = [Dirichlet(u, 0, on="left"), Dirichlet(u, X, on="top"), Dirichlet(u, X * Y, on="boundary")]
    assert Problem(MESH, [div(grad(u))], [smooth[0], smooth[1]]).check().notes == ()
    assert Problem(MESH, [div(grad(u))], smooth).check().notes == ()


def test_observations_from_arrays_and_files(tmp_path):
    u = Field("u", MESH)
    file = tmp_path / "sensors.csv"
    file.write_text("x, y, u, noise\n0.25, 0.5, 1.5, 0.1\n\n0.75, 0.5, 2.5, 0.2\n")
    read = Observations.read(u, file, sigma="noise")
    assert read.points.tolist() == [[0.25, 0.5], [0.75, 0.5]] and read.values.tolist() == [1.5, 2.5]
    assert read.sigma.tolist() == [0.1, 0.2] and read.name == "u" and len(read) == 2
    assert Observations.read(u, file).sigma is None
    assert Observations(u, read.points, read.values, sigma=0.3).sigma.tolist() == [0.3, 0.3]
    flux = Observations.read(u.diff(X), file, value="u", coordinates=("x", "y"))
    assert flux.expression == u.diff(X)
    Problem(MESH, [div(grad(u))], observations=[read, flux]).check()


def test_the_statement_prints():
    u = Field("u", MESH)
    problem = Problem(MESH, {"poisson": -div(grad(u)) - 1}, [Dirichlet(u, 0, on="left")])
    assert problem.pretty()[1] == "u on left: u(x, y) = 0"
    assert "div(Derivative(u(x, y), x), Derivative(u(x, y), y))" in problem.pretty()[0]
    assert r"\nabla \cdot" in problem.latex()[0]


@pytest.mark.parametrize("mesh", [Mesh.box(2, 3, cells=4), Mesh.box((0, 0, 0), (1, 2, 3), cells=3)], ids=["1d", "3d"])
def test_verify_knows_the_exterior_normal_in_any_dimension(mesh):
    u, x = Field("u", mesh), mesh.coordinates
    exact = sp.exp(sum((i + 1) * xi for i, xi in enumerate(x)) / 10)
    flux = grad(u)
    problem = Problem(
        mesh,
        {"poisson": div(flux) - div(grad(exact)).doit()},
        [
            Neumann(flux, grad(exact).dot(mesh.normal), on=[name for name in mesh.boundaries if name != "left"]),
            Neumann(flux, -exact / 10, on="left"),
        ],
        exact={u: exact},
    ).check()
    assert max(problem.verify().values()) < 1e-12
    with pytest.raises(StatementError, match="does not satisfy 'flux on right'"):
        wrong = [Neumann(flux, -exact / 10, on="right")]
        Problem(mesh, problem.equations, wrong, exact={u: exact}).verify()
