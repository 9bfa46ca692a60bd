"""Several first guesses: the answer that one guess misses, told from the others by the data."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import sympy as sp

import kinn
from kinn import StatementError, div, grad
from kinn.formulations.data import _weights, counted
from kinn.multistart import deviance, drawn

PLACES = np.linspace(0.03, 0.97, 48)[:, None]


def spot(guess: float = 0.15, position: float | None = 0.8, data=None):
    """A narrow heat source somewhere in a rod that loses heat: far from the truth its position moves nothing that is measured."""
    mesh = kinn.Mesh.box(0, 1, cells=64)
    (x,), u = mesh.coordinates, kinn.Field("u", mesh)
    place = kinn.Parameter("place", guess=guess, lower=0, upper=1) if position is None else position
    equation = -div(0.0004 * grad(u)) + u - sp.exp(-(((x - place) / 0.04) ** 2))
    observations = [] if data is None else [kinn.Observations(u, PLACES, data, sigma=0.01)]
    return kinn.Problem(mesh, equation, [kinn.Dirichlet(u, 0, on="boundary")], observations)


def measured(seed=5):
    clean = kinn.fem.solve(spot())(PLACES)
    return np.ravel(clean) + 0.01 * np.random.default_rng(seed).standard_normal(len(PLACES))


def test_starts_find_what_one_guess_misses():
    problem = spot(position=None, data=measured())
    found = kinn.multistart(problem, starts=3, seed=5, time_limit=4, progress=False)
    first = next(start for start in found.starts if start.guess == {"place": 0.15})
    assert abs(first.solution.parameters["place"].estimate - 0.8) > 0.1  # or one start would do
    best = found.best.parameters["place"]
    assert best.sd is not None and abs(best.estimate - 0.8) < 4 * best.sd < 0.02
    assert found.starts[0].deviance < first.deviance - 100
    table = str(found).splitlines()
    assert len(table) == 4 and "place from" in table[0] and "deviance above first" in table[0]
    assert f"{best.estimate:.6g}" in table[1]


def test_another_guess_of_one_run():
    problem = spot(position=None, data=measured())
    for key in ("place", problem.parameters["place"]):
        found = kinn.solve(problem, guess={key: 0.75}, time_limit=4, progress=False).parameters["place"].estimate
        assert found == pytest.approx(0.8, abs=0.01)
    with pytest.raises(StatementError, match="'plase'.*Did you mean 'place'"):
        kinn.solve(problem, guess={"plase": 0.3})
    with pytest.raises(StatementError, match="guess=1.5 outside its bounds"):
        kinn.solve(problem, guess={"place": 1.5})


def test_a_guess_counts_beside_a_start():
    problem = spot(position=None, data=measured())
    start = kinn.solve(problem, guess={"place": 0.75}, steps=5, progress=False)
    again = kinn.solve(problem, start=start, guess={"place": 0.3}, steps=1, progress=False)
    assert again.parameters["place"].estimate < 0.6 < kinn.solve(
        problem, start=start, steps=1, progress=False
    ).parameters["place"].estimate  # fmt: skip


def test_ctrl_c_ends_the_starts_and_keeps_them():
    seen = []

    def interrupt(step, seconds, solution):
        if seen and step < seen[-1]:  # the second start
            raise KeyboardInterrupt
        seen.append(step)

    problem = spot(position=None, data=measured())
    found = kinn.multistart(problem, starts=9, steps=5, callback=interrupt, progress=False)
    assert sorted(start.solution.status.name for start in found.starts) == ["INTERRUPTED", "STEP_LIMIT"]


def test_starts_whose_physics_are_not_solved_come_last(monkeypatch):
    """Made-up solutions, (deviance, estimate, status): a low deviance does not bring a rough one to the front."""
    converged = kinn.Status.CONVERGED
    made = [(1.0, 0.5, converged), (9.0, 0.01, converged), (0.0, None, converged), (-5.0, 0.01, kinn.Status.NONFINITE),
            (7.0, 0.1, converged)]  # fmt: skip
    results = iter(made)

    def solve(*_, **__):
        _, estimate, status = now = next(results)
        return SimpleNamespace(result=SimpleNamespace(estimate=estimate), status=status, made=now)

    module = sys.modules["kinn.multistart"]  # the name in the package is the function
    monkeypatch.setattr(module, "solve", solve)
    monkeypatch.setattr(module, "deviance", lambda solution: solution.made[0])
    found = kinn.multistart(spot(position=None, data=np.zeros(48)), starts=5)
    assert [start.deviance for start in found.starts] == [7.0, 9.0, -5.0, 0.0, 1.0]


def test_the_deviance_is_that_of_the_noise():
    mesh = kinn.Mesh.box(0, 1, cells=8)
    (x,), u, k = mesh.coordinates, kinn.Field("u", mesh), kinn.Parameter("k", guess=1.0)
    at, random = np.linspace(0.1, 0.9, 30)[:, None], np.random.default_rng(0)
    values = at[:, 0] + 0.1 * random.standard_normal(30)
    two = [kinn.Observations(u, at, values, name="known", sigma=0.1), kinn.Observations(u, at, values, name="not")]
    problem = kinn.Problem(mesh, -div(grad(u)), [kinn.Dirichlet(u, k * x, on="boundary")], two)
    solution = kinn.solve(problem, time_limit=5, progress=False)
    wrong = solution([*at]) - values
    sigma = solution.result.sigmas["not"]
    expected = (wrong**2).sum() * (1 / 0.1**2 + 1 / sigma**2) + 60 * np.log(0.1 * sigma)
    assert deviance(solution) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("loss", [None, "huber", "student"])
def test_what_misfits_count_has_the_slope_of_their_weights(loss):
    z, step = np.array([-8.0, -1.2, 0.3, 1.5, 40.0]), 1e-5
    slope = (counted(loss, z + step) - counted(loss, z - step)) / (2 * step)
    weight = np.ones(5) if loss is None else _weights(loss, z)
    assert slope == pytest.approx(2 * weight * z, rel=1e-6)


@pytest.mark.parametrize(
    ("bounds", "low", "high"),
    [((0, 4), 0.0, 4.0), ((0.5, None), 0.65, 15.5), ((None, 3), -7.0, 2.9), ((None, None), 0.2, 20.0)],
)
def test_guesses_are_drawn_where_the_answer_may_be(bounds, low, high):
    symbol, random = kinn.Parameter("p", 2.0, *bounds), np.random.default_rng(0)
    found = np.array([drawn(symbol, 2.0, random) for _ in range(400)])
    assert all(symbol.admits(value) for value in found)
    assert low <= found.min() and found.max() <= high
    assert found.max() - found.min() > 0.9 * (high - low)


def test_a_guess_of_zero_is_drawn_on_both_sides():
    random = np.random.default_rng(1)
    found = [drawn(kinn.Parameter("p", 0.0), 0.0, random) for _ in range(50)]
    assert min(found) < 0 < max(found)


def test_starts_need_parameters_data_and_a_number():
    with pytest.raises(StatementError, match="no parameters"):
        kinn.multistart(spot())
    with pytest.raises(StatementError, match="no observations"):
        kinn.multistart(spot(position=None))
    with pytest.raises(StatementError, match="checkpoint='here'"):
        kinn.multistart(spot(position=None, data=np.zeros(48)), checkpoint="here")
    with pytest.raises(StatementError, match="give a dict"):
        kinn.multistart(spot(position=None, data=np.zeros(48)), guess=2.0)
    with pytest.raises(StatementError, match="starts=1"):
        kinn.multistart(spot(position=None, data=np.zeros(48)), starts=1)
