"""The torch program: values against SymPy's numpy code, derivatives against autograd, dtype and constants."""

import time

import numpy as np
import pytest
import sympy as sp
import torch

from kinn.formulations.program import Program, evaluate_expression
from kinn.geometry import Interval, Mesh
from kinn.statement import (
    Coefficient,
    Dirichlet,
    Field,
    Neumann,
    Parameter,
    Problem,
    StatementError,
    div,
    grad,
    strong_terms,
    weak_terms,
)

MESH = Mesh.box((0, 0), (1, 1), cells=4)
SPACE_TIME = Mesh.box(0, 1, cells=4) * Interval("t", 0, 1, cells=4)
X, Y = MESH.coordinates
U = Field("u", MESH)
POINTS = torch.rand((40, 2), dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 0.9 + 0.05

FUNCTIONS = [
    sp.sqrt(2) * X, sp.cosh(sp.pi) * X, sp.sin(sp.sqrt(2)) * sp.sin(sp.sqrt(2) * X), sp.Max(X, 0.3, Y), sp.Min(X, Y),
    sp.Heaviside(X - Y), sp.Piecewise((sp.Rational(1, 15), X < 0.5), (1, True)), sp.erf(X), sp.erfc(X), sp.sec(X),
    sp.cot(X), sp.coth(X), sp.sinc(X), sp.besselj(0, X), sp.besselj(1, X), sp.atan2(Y, X), sp.Abs(X - Y) * sp.sign(X),
    X**-3, X**4, X ** sp.Rational(3, 2), 1 / sp.sqrt(X), 2**X, sp.pi, sp.Integer(2), sp.Integer(0), sp.exp(-X * Y),
    sp.floor(3 * X), sp.Mod(X, sp.Rational(1, 3)), sp.loggamma(X), sp.log(X) / 7,
    sp.Piecewise((X, (X > 0.5) & (Y < 0.5)), (Y, sp.Or(X < 0.2, Y > 0.7)), (X * Y, True)),
    sp.cosh(sp.sqrt(3) * X) / sp.cosh(sp.sqrt(3)), sp.Max(X, sp.pi / 6) * sp.Max(X, sp.pi / 6),
]  # fmt: skip


@pytest.mark.parametrize("expression", FUNCTIONS, ids=str)
def test_functions_agree_with_numpy_in_the_dtype_of_the_points(expression):
    values = evaluate_expression(expression, MESH.coordinates, POINTS)
    expected = sp.lambdify(MESH.coordinates, expression, ["scipy", "numpy"])(*POINTS.numpy().T)
    expected = np.broadcast_to(np.asarray(expected, dtype=float), len(POINTS))
    assert values.dtype == torch.float64 and values.shape == (len(POINTS),)
    np.testing.assert_allclose(values.numpy(), expected, rtol=2e-14, atol=1e-15)
    assert evaluate_expression(expression, MESH.coordinates, POINTS.float()).dtype == torch.float32


@pytest.mark.parametrize(
    "expression", [sp.besselj(0, X * Y), sp.besselj(1, X) * Y, sp.Max(X, Y) ** 3, X**Y, sp.erf(X) / Y], ids=str
)
def test_functions_differentiate(expression):
    points = POINTS.clone().requires_grad_()
    (slope,) = torch.autograd.grad(evaluate_expression(expression, MESH.coordinates, points).sum(), points)
    for axis, x in enumerate((X, Y)):
        expected = sp.lambdify(MESH.coordinates, expression.diff(x), ["scipy", "numpy"])(*POINTS.numpy().T)
        np.testing.assert_allclose(slope[:, axis].numpy(), expected, rtol=1e-12)


def test_a_piecewise_root_has_no_nan_in_its_gradient():
    root = sp.Piecewise((sp.sqrt(U), U > 0), (0, True)) + sp.sqrt(2)
    program = Program([root], Problem(MESH, [U]))
    z = torch.tensor([[-1.0, 0.0, 4.0, 9.0]], dtype=torch.float64, requires_grad=True)
    value = program(z, POINTS[:4])
    np.testing.assert_allclose(value.detach()[0], np.sqrt(2) + np.array([0, 0, 2, 3]), rtol=1e-15)
    (slope,) = torch.autograd.grad(value.sum(), z)
    np.testing.assert_allclose(slope[0], [0, 0, 1 / 4, 1 / 6], rtol=1e-15)
    below = program(-z.detach().abs().requires_grad_(), POINTS[:4])
    assert torch.isfinite(below).all()


def test_jets_are_what_is_read():
    problem = Problem(MESH, [-div((1 + U**2) * grad(U))])
    program = Program(strong_terms(problem)[0].expressions, problem)
    assert program.jets == ((0, (0, 0)), (0, (0, 1)), (0, (1, 0)), (0, (0, 2)), (0, (2, 0)))
    assert Program([U.diff(X)], problem).jets == ((0, (1, 0)),)
    v = Field("v", SPACE_TIME, components=2)
    x, t = SPACE_TIME.coordinates
    space_time = Problem(SPACE_TIME, [v[1].diff(x, 2, t, 2) + v[0].diff(t)])
    assert Program([space_time.rows[0].expression], space_time).jets == ((0, (0, 1)), (1, (2, 2)))
    assert Program([X * 2], problem).jets == ()


def test_residual_of_a_known_field_is_what_sympy_says():
    """Every jet of a polynomial is put in by hand; the program must give the residual SymPy computes."""
    v, k, h = Field("v", MESH, components=2), Parameter("k", 1.0), Parameter("h", 1.0)
    exact = {v[0]: X**4 * Y**3, v[1]: sp.exp(X) * sp.sin(Y)}
    stress = k * (grad(v) + grad(v).T) + h * v[0] * sp.eye(2)
    residuals = list(div(stress)) + [v[0].diff(X, 2, Y, 2) * sp.sqrt(v[1] ** 2 + 1), sp.Integer(3)]
    problem = Problem(MESH, {"a": sp.Matrix(residuals[:3]), "b": residuals[2] * h})
    program = Program(residuals, problem)
    assert program.parameters == (0, 1)

    def value(expression):
        return evaluate_expression(expression, MESH.coordinates, POINTS)

    z = torch.stack([value(exact[problem.components[i]].diff((X, a), (Y, b))) for i, (a, b) in program.jets])
    truth = {problem.parameters["k"]: 2, problem.parameters["h"]: 3}
    parameters = torch.tensor([float(truth[p]) for p in problem.parameters.values()], dtype=torch.float64)
    computed = program(z, POINTS, parameters=parameters)
    for i, residual in enumerate(residuals):
        expected = value(sp.sympify(residual.doit()).subs(exact).doit().subs(truth))
        torch.testing.assert_close(computed[i], expected, rtol=1e-12, atol=1e-12)
    per_point = parameters[:, None].expand(-1, len(POINTS))
    torch.testing.assert_close(program(z, POINTS, parameters=per_point), computed, rtol=0, atol=0)
    z.requires_grad_()
    parameters.requires_grad_()
    assert torch.autograd.gradcheck(lambda z, p: program(z, POINTS, parameters=p), (z, parameters))
    assert program(z.float(), POINTS.float(), parameters=parameters.float()).dtype == torch.float32


def test_normals_enter_conditions():
    problem = Problem(MESH, [div(grad(U))], [Neumann(grad(U), Y, on="left")])
    (term,) = [term for term in strong_terms(problem) if term.kind == "natural" and term.name != "insulated"]
    program = Program(term.expressions, problem)
    z = torch.randn((2, 40), dtype=torch.float64)
    normal = torch.nn.functional.normalize(torch.randn((40, 2), dtype=torch.float64), dim=1)
    assert program.needs_normal and program.jets == ((0, (0, 1)), (0, (1, 0)))
    expected = z[1] * normal[:, 0] + z[0] * normal[:, 1] - POINTS[:, 1]
    torch.testing.assert_close(program(z, POINTS, normal)[0], expected)
    with pytest.raises(ValueError, match="pass normal"):
        program(z, POINTS)


def test_coefficients_are_tabulated_with_their_derivatives():
    k = Coefficient("k", MESH, lambda x, y: torch.exp(-x * y**2))
    one = Coefficient("one", MESH, lambda x, y: 1.0)
    problem = Problem(MESH, [div(k * grad(U)) + one * U])
    program = Program(strong_terms(problem)[0].expressions, problem)
    assert program.tables == (("k", (0, 0)), ("k", (0, 1)), ("k", (1, 0)), ("one", (0, 0)))
    tables = program.tabulate(POINTS)
    symbolic = Problem(MESH, [div(sp.exp(-X * Y**2) * grad(U)) + U])
    other = Program(strong_terms(symbolic)[0].expressions, symbolic)
    z = torch.randn((5, 40), dtype=torch.float64)
    assert other.jets == program.jets
    torch.testing.assert_close(program(z, POINTS, tables=tables), other(z, POINTS), rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(evaluate_expression(k, MESH.coordinates, POINTS), tables[0])
    assert other.tabulate(POINTS).shape == (0, 40)


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        (U.diff(X, 3, Y, 2), "is of order 5; networks supply derivatives up to 4"),
        (sp.zoo * X, "the constant zoo is not finite"),
        (U * sp.sqrt(-2), "the constant I is complex"),
        (U + sp.Symbol("q"), "unknown symbol 'q'"),
        (sp.besselj(3, U), "besselj in besselj(3, "),
        (sp.DiracDelta(X) * U, "DiracDelta in DiracDelta(x) has no torch counterpart"),
        (sp.Integral(sp.exp(sp.Symbol("s") ** 2 * X), (sp.Symbol("s"), 0, 1)) + U, "is not evaluated"),
        (Field("w", MESH) + U, "w(x, y) is no field of the problem; it has: 'u'"),
        (sp.Function("f")(X) + U, "f in f(x) has no torch counterpart"),
    ],
    ids=str,
)
def test_what_cannot_be_compiled_is_one_clear_line(expression, text):
    with pytest.raises(StatementError) as error:
        Program([expression], Problem(MESH, [U]))
    assert text in str(error.value)


def test_weak_integrands_compile():
    k = Parameter("k", 1.0, lower=0)
    problem = Problem(MESH, [-div(k * grad(U)) - X], [Neumann(k * grad(U), U**4, on="left")])
    (row,) = weak_terms(problem).rows
    program = Program([*row.flux, row.source, row.boundary[0][1]], problem)
    z = torch.ones((3, 40), dtype=torch.float64)
    values = program(z, POINTS, parameters=torch.tensor([2.0], dtype=torch.float64))
    expected = torch.stack([torch.full((40,), v, dtype=torch.float64) for v in (2.0, 2.0, 0.0, -1.0)])
    expected[2] = -POINTS[:, 0]
    torch.testing.assert_close(values, expected)


def test_statement_and_program_are_quick():
    """Compile time is part of every solve; the best of three, so that a busy machine does not fail the test."""

    def once():
        start = time.perf_counter()
        k = Parameter("k", 1.0, lower=0)
        u = Field("u", MESH)
        conditions = [Dirichlet(u, 0, on="left"), Neumann(k * grad(u), 1, on="right")]
        problem = Problem(MESH, {"heat": -div((k + u**2) * grad(u)) - 1}, conditions[:1]).check()
        for term in strong_terms(problem):
            Program(term.expressions, problem)
        return time.perf_counter() - start

    assert min(once() for _ in range(3)) < 0.3
