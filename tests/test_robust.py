"""Data that are partly wrong, or that contradict the statement: robust losses, and words where nothing fits."""

import numpy as np
import pytest
import sympy as sp

import kinn
from kinn import div, grad
from kinn.formulations.data import noise_of
from kinn.statement import StatementError

MESH = kinn.Mesh.box(0, 1, cells=8)
(X,) = MESH.coordinates
PLACES = np.linspace(0.03, 0.97, 60)


def rod(values, sigma: float | None = 0.01, loss=None, guess=1.0):
    """-k u'' = 2 with u = 0 at both ends: u = x (1 - x) / k."""
    u, k = kinn.Field("u", MESH), kinn.Parameter("k", guess=guess, lower=0)
    return kinn.Problem(
        MESH, -div(k * grad(u)) - 2, [kinn.Dirichlet(u, 0, on=("left", "right"))],
        [kinn.Observations(u, PLACES, values, sigma=sigma, loss=loss)], exact={k: 2},
    )  # fmt: skip


def sd_of(found):
    sd = found.parameters["k"].sd
    assert sd is not None
    return sd


def readings(wrong=0, seed=0):
    values = PLACES * (1 - PLACES) / 2 + 0.002 * np.random.default_rng(seed).standard_normal(len(PLACES))
    values[5 : 5 + wrong] += 0.5
    return values


@pytest.mark.parametrize("sigma", [0.002, None])
@pytest.mark.parametrize("loss", ["huber", "student"])
def test_wrong_values_do_not_decide(loss, sigma):
    runs = [rod(readings(6), sigma), rod(readings(6), sigma, loss), rod(readings(), 0.002)]
    plain, robust, clean = (kinn.fem.identify(run) for run in runs)
    k = [found.parameters["k"].estimate for found in (plain, robust, clean)]
    assert abs(k[0] - 2) > 0.2
    assert abs(k[1] - k[2]) < (4 if loss == "huber" else 2) * sd_of(clean)
    assert 0.8 * sd_of(clean) < sd_of(robust) < 1.7 * sd_of(clean)


@pytest.mark.parametrize("loss", ["huber", "student"])
def test_training_finds_what_elements_find(loss):
    problem = rod(readings(4), None, loss)
    found, expected = kinn.solve(problem, time_limit=15, progress=False), kinn.fem.identify(problem)
    misfit = found.parameters["k"].estimate - expected.parameters["k"].estimate
    assert abs(misfit) < 0.3 * sd_of(expected)
    assert sd_of(found) == pytest.approx(sd_of(expected), rel=0.15)
    assert found.result.note == ""


def test_weights_of_losses():
    """Normal noise: huber loses 5 % and student's scale is smaller than the deviation; the outlier is as wide as it is wrong."""
    u = kinn.Field("u", MESH)
    data = kinn.Observations(u, np.linspace(0, 1, 2000), np.linspace(0, 1, 2000), loss="student")
    misfit = 0.01 * np.random.default_rng(1).standard_normal(2000)
    sigma = noise_of(data, misfit, 0)
    information = (1 / sigma**2).sum()
    assert 0.9 < information / (2000 / 0.01**2) < 1.15
    misfit[0] = 10
    assert noise_of(data, misfit, 0)[0] > 3
    assert np.median(noise_of(data, misfit, 0)) == pytest.approx(np.median(sigma), rel=0.1)
    given = kinn.Observations(data.expression, data.points, data.values, sigma=0.01, loss="huber")
    sigma = noise_of(given, misfit, 0)
    near = np.abs(misfit) < 0.01345
    assert np.allclose(sigma[near], 0.01) and (sigma[~near] > 0.01).all()


def test_an_unknown_loss_is_refused():
    with pytest.raises(StatementError, match="loss='hubert'.*huber"):
        rod(readings(), loss="hubert")


def test_data_that_contradict_the_statement_are_named_with_the_place():
    u = kinn.Field("u", MESH)
    values = PLACES * (1 - PLACES)
    values[40] += 0.2
    problem = kinn.Problem(
        MESH, -div(grad(u)) - 2, [kinn.Dirichlet(u, 0, on=("left", "right"))],
        [kinn.Observations(u, PLACES, values, sigma=0.002, name="thermometers")],
    )  # fmt: skip
    solution = kinn.solve(problem, time_limit=5, progress=False)
    assert "data thermometers contradict the statement" in solution.result.note
    assert f"x = {PLACES[40]:.4g}" in solution.result.note
    assert int(np.abs(solution.misfits()["thermometers"]).argmax()) == 40
    assert "contradict" in str(solution)


def test_a_wrong_unit_is_named():
    u = kinn.Field("u", MESH)
    problem = kinn.Problem(
        MESH, -div(grad(u)) - 2, [kinn.Dirichlet(u, 0, on=("left", "right"))],
        [kinn.Observations(u, PLACES, 1000 * PLACES * (1 - PLACES), sigma=2.0)],
    )  # fmt: skip
    note = kinn.solve(problem, time_limit=5, progress=False).result.note
    assert "about 1e+03 times the solution: check the unit of u" in note


def test_data_that_agree_have_no_note():
    solution = kinn.solve(rod(readings(), 0.002), time_limit=10, progress=False)
    assert solution.result.note == ""
    assert np.abs(solution.misfits()["u"]).max() < 5
    assert float(sp.sympify(solution.parameters["k"].estimate)) == pytest.approx(2, rel=0.02)


def test_the_bootstrap_has_the_deviation_of_the_intervals():
    solution = kinn.solve(rod(readings(), 0.002), time_limit=10, progress=False)
    found = kinn.bootstrap(solution, draws=12, statistic=lambda s: s([[0.5]]), seed=3)
    assert found.statistics is not None
    assert found.parameters["k"].shape == (12,) and found.statistics.shape == (12, 1)
    assert 0.5 * sd_of(solution) < found.deviation("k") < 1.7 * sd_of(solution)
    low, high = found.interval("k")
    assert low < solution.parameters["k"].estimate < high and high - low < 6 * sd_of(solution)
    # u = x (1 - x) / k at the middle
    assert np.allclose(found.statistics[:, 0], 0.25 / found.parameters["k"], rtol=1e-3)


def test_a_bootstrap_needs_data_and_draws():
    u = kinn.Field("u", MESH)
    bare = kinn.solve(
        kinn.Problem(MESH, -div(grad(u)) - 2, [kinn.Dirichlet(u, 0, on=("left", "right"))]), steps=5, progress=False
    )
    with pytest.raises(StatementError, match="no observations"):
        kinn.bootstrap(bare)
    with pytest.raises(StatementError, match="draws=1"):
        kinn.bootstrap(kinn.solve(rod(readings(), 0.002), steps=10, progress=False), draws=1)


@pytest.mark.parametrize("form", ["strong", "weak"])
def test_parameters_are_those_of_elements_while_the_physics_are_still_rough(form):
    """The last step by sensitivities takes out what the network's physics give way."""
    problem = rod(readings(), 0.002, guess=4.0)
    found = kinn.solve(problem, steps=10, form=form, progress=False)
    expected = kinn.fem.identify(problem)
    assert found.result.estimate is not None and found.result.estimate > 1e-4
    misfit = found.parameters["k"].estimate - expected.parameters["k"].estimate
    assert abs(misfit) < 0.02 * sd_of(expected)
    assert sd_of(found) == pytest.approx(sd_of(expected), rel=0.02)


def test_misfits_of_a_value_that_is_left_out_are_those_of_a_fit_without_it(tmp_path):
    """-u'' = q: few values, each of which moves its own prediction."""
    u, q = kinn.Field("u", MESH), kinn.Parameter("q", guess=1.0)
    at, values = np.array([0.2, 0.5, 0.6]), np.array([0.17, 0.24, 0.27])

    def solved(kept):
        data = kinn.Observations(u, at[kept], values[kept], sigma=0.01)
        problem = kinn.Problem(MESH, -div(grad(u)) - q, [kinn.Dirichlet(u, 0, on=("left", "right"))], [data])
        return kinn.solve(problem, time_limit=10, progress=False)

    solution, without = solved([0, 1, 2]), solved([0, 2])
    expected = (without([[0.5]])[0] - values[1]) / 0.01
    left_out = solution.misfits(left_out=True)["u"]
    assert left_out[1] == pytest.approx(expected, rel=2e-2)  # physics are as exact as the noise asks for
    assert abs(solution.misfits()["u"][1]) < 0.8 * abs(expected)
    solution.save(tmp_path / "rod.kinn")
    assert np.array_equal(kinn.load(tmp_path / "rod.kinn", solution.problem).misfits(left_out=True)["u"], left_out)


def test_what_a_value_has_moved_is_not_known_where_nothing_is_unknown():
    u = kinn.Field("u", MESH)
    problem = kinn.Problem(
        MESH, -div(grad(u)) - 2, [kinn.Dirichlet(u, 0, on=("left", "right"))],
        [kinn.Observations(u, PLACES, PLACES * (1 - PLACES), sigma=0.002)],
    )  # fmt: skip
    with pytest.raises(StatementError, match="what each value has moved is not known: nothing is unknown"):
        kinn.solve(problem, time_limit=5, progress=False).misfits(left_out=True)
