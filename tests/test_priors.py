"""Priors of unknown coefficient fields: their energies, bounds, and what a statement says of them."""

import numpy as np
import pytest
import sympy as sp
import torch

import kinn
from kinn import div, grad
from kinn.formulations.energy import terms
from kinn.formulations.program import Program
from kinn.statement.priors import Expectation, GaussianField, TotalVariation

MESH = kinn.Mesh.box((0, 0), (2, 1), cells=(4, 2))
X, Y = MESH.coordinates
U = kinn.Field("u", MESH)
AT = np.array([[0.3, 0.4], [1.2, 0.7]])


def problem_with(k, conditions=()):
    data = [kinn.Observations(U, AT, [0.1, 0.2], sigma=0.01)]
    return kinn.Problem(MESH, {"heat": -div(k * grad(U)) - 1}, [kinn.Dirichlet(U, 0, on="boundary"), *conditions], data)


@pytest.mark.parametrize(
    ("expected", "low", "high"),
    [
        (Expectation(guess=2.0), -np.inf, np.inf),
        (Expectation(guess=2.0, lower=0.5), 0.5, np.inf),
        (Expectation(guess=2.0, upper=3.0), -np.inf, 3.0),
        (Expectation(guess=2.0, lower=0.5, upper=3.0), 0.5, 3.0),
    ],
)
def test_the_free_field_is_zero_at_the_guess_and_never_crosses_a_bound(expected, low, high):
    s = sp.Symbol("s")
    value = sp.lambdify(s, expected.value(s))
    assert value(0.0) == pytest.approx(2.0)
    far = np.array([value(-30.0), value(30.0)])
    assert (far >= low).all() and (far <= high).all()
    step = 1e-6
    slope = (value(0.4 + step) - value(0.4 - step)) / (2 * step)
    assert expected.slope(np.array([0.4]))[0] == pytest.approx(slope, rel=1e-7)


def test_a_program_reads_the_jets_of_the_free_field():
    """k = 2 exp(s): k_x = k s_x."""
    k = kinn.Field("k", MESH, guess=2.0, lower=0)
    program = Program([k.diff(X), k], problem_with(k))
    s, s_x = torch.tensor([0.3, -0.2]), torch.tensor([1.5, 0.5])
    z = torch.stack([s if not any(index) else s_x for _, index in program.jets])
    k_x, value = program(z, torch.tensor(AT))
    assert torch.allclose(value, 2 * s.exp())
    assert torch.allclose(k_x, 2 * s.exp() * s_x)
    assert torch.equal(Program([k], problem_with(k), free=True)(z[:1], torch.tensor(AT))[0], z[0])


@pytest.mark.parametrize("order", [2, 3, 4])
def test_the_energy_of_a_gaussian_field_is_its_precision(order):
    """Of s = cos(pi x / 2) cos(pi y) in lengths (2, 1): energy = size (kappa^2 + 2 pi^2)^order times int s^2 = 1 / 4."""
    k = kinn.Field("k", MESH, prior=GaussianField())
    programs, points = terms(problem_with(k), k)
    rows = programs[order].expressions
    s = sp.cos(sp.pi * X / 2) * sp.cos(sp.pi * Y)
    values = [sp.lambdify((X, Y), row.subs(k, s).doit())(*points.x.T) ** 2 for row in rows]
    energy = sum(np.broadcast_to(v, len(points.x)) for v in values) @ points.weight
    nu = order - 1
    kappa = np.sqrt(8.0 * nu)
    size = 1 / (4 * np.pi * nu * kappa ** (2 * nu))  # Gamma(nu) / Gamma(order) = 1 / nu
    assert energy == pytest.approx(size * (kappa**2 + 2 * np.pi**2) ** order / 4, rel=0.03)


def test_total_variation_counts_the_height_of_a_step_whatever_its_width():
    k = kinn.Field("k", MESH, prior=TotalVariation(edge=1e-3))
    (program,), points = terms(problem_with(k), k)[0].values(), terms(problem_with(k), k)[1]
    rows = program.expressions
    energies = []
    for width in (0.1, 0.3):
        s = sp.tanh((X - 1) / width)
        values = [sp.lambdify((X, Y), row.subs(k, s).doit())(*points.x.T) ** 2 for row in rows]
        energies.append(sum(np.broadcast_to(v, len(points.x)) for v in values) @ points.weight)
    assert energies == pytest.approx([2.0, 2.0], rel=0.05)


def test_fields_without_an_equation_are_found():
    k, f = kinn.Field("k", MESH, guess=1.0, lower=0), kinn.Field("f", MESH)
    assert problem_with(k).identified == (k,)
    data = [kinn.Observations(U, AT, [0.1, 0.2])]
    source = kinn.Problem(MESH, {"heat": -div(grad(U)) - f}, [kinn.Dirichlet(U, 0, on="boundary")], data)
    assert source.identified == (f,)
    v = kinn.Field("v", MESH)
    pair = kinn.Problem(MESH, {"one": -div(grad(U)) - v, "two": v - U}, [kinn.Dirichlet(U, 0, on="boundary")])
    assert pair.identified == ()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lower": 0}, "field 'k' has one bound and no guess; give guess=, a typical value inside the bound"),
        ({"lower": 0, "guess": -1}, "field 'k' has guess=-1 outside its bounds; give one strictly inside them"),
        ({"lower": 2, "upper": 1}, "field 'k' has lower=2 and upper=1; lower must be below upper"),
        ({"guess": float("nan")}, "field 'k' has guess=nan; give a finite number"),
        ({"prior": "smooth"}, r"field 'k' has prior='smooth'; give kinn.GaussianField"),
    ],
)
def test_what_cannot_be_expected_of_a_field(arguments, message):
    with pytest.raises(kinn.StatementError, match=message):
        kinn.Field("k", MESH, **arguments)


def test_lengths_and_deviations_are_positive():
    with pytest.raises(kinn.StatementError, match="GaussianField has length=-1; give a number above 0, or None"):
        GaussianField(length=-1)
    with pytest.raises(kinn.StatementError, match="TotalVariation has edge=0"):
        TotalVariation(edge=0)


def test_a_coefficient_takes_no_boundary_value():
    k = kinn.Field("k", MESH, guess=1.0, lower=0)
    with pytest.raises(kinn.StatementError, match="is a condition on k, an unknown coefficient that no equation"):
        problem_with(k, [kinn.Dirichlet(k, 1, on="left")]).check()
