"""Short waves: found in the statement, read by networks, exact on periodic axes."""

import numpy as np
import pytest
import sympy as sp
import torch
from oracles import network_of

import kinn
from kinn import div, grad
from kinn.candidates import candidates
from kinn.formulations.features import coarse_cells
from kinn.formulations.galerkin_form import GalerkinForm
from kinn.formulations.lift import BoxLift
from kinn.formulations.trial import Trial
from kinn.formulations.waves import short_waves
from kinn.networks import Inputs, JetSpace, Wave
from kinn.statement.terms import weak_terms

UNIT = kinn.Mesh.box((0, 0), (1, 1), cells=8)
X, Y = UNIT.coordinates


def driven(source, mesh=UNIT, coefficient: sp.Expr = sp.S.One, conditions=(), exact=None):
    u = kinn.Field("u", mesh)
    held = conditions or [kinn.Dirichlet(u, 0, on="boundary")]
    return kinn.Problem(mesh, {"poisson": -div(coefficient * grad(u)) - source}, held, exact=exact and {u: exact})


def vectors(problem):
    return {tuple(np.round(np.array(wave.vector) / np.pi, 6)) for wave in short_waves(problem)}


@pytest.mark.parametrize(
    "source, wanted",
    [
        (sp.sin(30 * sp.pi * X), {(30, 0)}),
        (sp.sin(8 * sp.pi * X) * sp.sin(8 * sp.pi * Y), {(8, 0), (0, 8)}),
        (sp.exp(-X) * sp.cos(30 * sp.pi * Y + 1) * Y, {(0, 30)}),
        (sp.sin(20 * sp.pi * (X - Y)) + sp.cos(10 * sp.pi * X), {(20, -20), (10, 0)}),
        (sp.sin(12 * sp.pi * X) + sp.sin(36 * sp.pi * X) + sp.cos(-24 * sp.pi * X), {(12, 0)}),
        (sp.sin(10 * sp.pi * X) * sp.sin(90 * sp.pi * X), {(10, 0), (90, 0)}),
        (sp.sin(20 * sp.pi * X) * sp.sin(2 * sp.pi * Y), set()),
        (sp.sin(6 * sp.pi * X) * sp.sin(6 * sp.pi * Y), set()),
        (sp.sin(50 * X**2), set()),
        (sum(sp.sin(n * sp.pi * X) for n in range(25, 41, 3)), set()),
    ],
    ids=[
        "one",
        "both axes",
        "modulated",
        "two directions",
        "harmonics",
        "two scales",
        "few",
        "long",
        "no plane wave",
        "too many",
    ],
)
def test_short_plane_waves_are_read_off_the_statement(source, wanted):
    assert vectors(driven(source)) == wanted


def test_coefficients_and_given_values_have_waves_too():
    assert vectors(driven(1, coefficient=2 + sp.sin(40 * sp.pi * X))) == {(40, 0)}
    u = kinn.Field("u", UNIT)
    assert vectors(driven(1, conditions=[kinn.Dirichlet(u, sp.sin(40 * sp.pi * X), on="boundary")])) == {(40, 0)}


def test_no_exact_solution_is_read():
    assert not vectors(driven(1, exact=sp.sin(40 * sp.pi * X)))


@pytest.mark.parametrize("length, shift", [(1e3, 0), (1, 100)])
def test_waves_follow_the_units(length, shift):
    mesh = kinn.Mesh.box((shift, shift), (shift + length, shift + length), cells=8)
    x = mesh.coordinates[0]
    (wave,) = short_waves(driven(sp.sin(40 * sp.pi * (x - shift) / length), mesh))
    assert wave.vector == pytest.approx((40 * np.pi / length, 0))


def test_a_wave_is_two_inputs_with_exact_derivatives():
    center = torch.tensor([0.5, 0.25], dtype=torch.float64)
    inputs = Inputs(center, torch.ones(2).double(), (None, None), (Wave((30.0, -20.0)),))
    x = torch.rand(5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    space = JetSpace.of([(2, 0), (1, 1), (0, 3)], 2)
    found = inputs.jets(x, space)[..., 2:]
    angle = (x - center) @ torch.tensor([30.0, -20.0], dtype=torch.float64)
    cosine, sine = torch.cos(angle), torch.sin(angle)
    wanted = {
        (0, 0): (cosine, sine),
        (1, 0): (-30 * sine, 30 * cosine),
        (1, 1): (600 * cosine, 600 * sine),
        (0, 3): (-8000 * sine, 8000 * cosine),
    }
    for index, pair in wanted.items():
        torch.testing.assert_close(found[space.position[index]], torch.stack(pair, 1))


def test_sizes_of_fields_are_those_of_waves():
    problem = driven(1800 * sp.pi**2 * sp.sin(30 * sp.pi * X) * sp.sin(30 * sp.pi * Y))  # of the field: 1
    surrogate = kinn.solve(problem, steps=1, progress=False).result.surrogate
    assert 0.3 < surrogate.amplitude.item() < 3


def test_values_hold_exactly_only_at_sides_along_a_wave():
    trial = Trial.of(driven(sp.sin(30 * sp.pi * X)))
    assert isinstance(trial.lift, BoxLift) and set(trial.lift.sides[0]) == {(1, 0), (1, 1)}
    assert trial.n_inputs(2) == 4
    assert Trial.of(driven(sp.sin(20 * sp.pi * (X + Y)))).lift is None


@pytest.mark.parametrize("number, repeats", [(15, True), (15.5, False)])
def test_a_wave_that_does_not_repeat_is_left_out_on_a_periodic_axis(number, repeats):
    u = kinn.Field("u", UNIT)
    held = [kinn.Periodic(u, "left", "right"), kinn.Dirichlet(u, 0, on=("bottom", "top"))]
    trial = Trial.of(driven(sp.sin(2 * number * sp.pi * X), conditions=held))
    assert bool(trial.waves) == repeats


def test_the_tests_of_the_weak_form_resolve_waves():
    problem = driven(sp.sin(30 * sp.pi * X))
    weak = weak_terms(problem)
    trial = Trial.of(problem, weak)
    form = GalerkinForm(problem, weak, UNIT)
    assert coarse_cells(UNIT, trial.features).all()
    form._resolve(trial)
    assert trial.enriched and trial.waves and not coarse_cells(form.mesh, trial.features).any()
    widths = np.ptp(form.mesh.points[form.mesh.cells][..., 0], axis=1)
    assert widths.max() <= 1 / 60 + 1e-12 and widths.min() > 1 / 300  # a quarter of a wave, and no more than needed


def test_a_network_that_reads_coordinates_only_goes_without_waves():
    problem = driven(sp.sin(30 * sp.pi * X))
    made, plain = candidates(problem, network_of("mlp", 2), Trial.of(problem), 0, torch.float64, torch.device("cpu"))
    assert not plain.waves and made[0].n_inputs == 2
    assert isinstance(plain.lift, BoxLift) and len(plain.lift.sides[0]) == 4


def test_unknown_coefficients_keep_their_splines():
    u, k = kinn.Field("u", UNIT), kinn.Field("k", UNIT)
    data = kinn.Observations(u, UNIT.points, np.zeros(len(UNIT.points)))
    problem = kinn.Problem(
        UNIT, -div(k * grad(u)) - sp.sin(30 * sp.pi * X), [kinn.Dirichlet(u, 0, on="boundary")], [data]
    )
    assert problem.identified and not short_waves(problem)


def test_a_solution_goes_on_only_with_the_same_waves():
    start = kinn.solve(driven(sp.sin(30 * sp.pi * X)), steps=1, progress=False)
    again = kinn.solve(driven(2 * sp.sin(30 * sp.pi * X)), start=start, steps=1, progress=False)
    assert again.result.surrogate.trial.waves == start.result.surrogate.trial.waves != ()
    with pytest.raises(kinn.StatementError, match="short waves"):
        kinn.solve(driven(sp.sin(32 * sp.pi * X)), start=start, progress=False)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_field_of_many_waves_trains_in_seconds_and_survives_saving(tmp_path, seed):
    mesh = kinn.Mesh.box(0, 1, cells=64) * kinn.Interval("t", 0, 1)
    x, t = mesh.coordinates
    u = kinn.Field("u", mesh)
    waves = sp.sin(30 * sp.pi * x)
    problem = kinn.Problem(
        mesh,
        {"heat": u.diff(t) - div(grad(u)) / (30 * sp.pi) ** 2},
        [kinn.Dirichlet(u, 0, on=("left", "right")), kinn.Initial(u, waves)],
    )
    solution = kinn.solve(problem, seed=seed, steps=60, tolerance=1e-3, progress=False)
    assert solution.error({u: waves * sp.exp(-t)})["u"].relative_l2 < 2e-3  # no better than 1 without waves
    assert "94.25 x" in str(solution)
    solution.save(tmp_path / "u.kinn")
    points = np.random.default_rng(0).random((50, 2))
    assert np.array_equal(kinn.load(tmp_path / "u.kinn", problem)(points), solution(points))
