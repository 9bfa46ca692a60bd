"""Small solves, each judged by the error of its solution and by what it says about itself."""

import math

import numpy as np
import pytest
import sympy as sp
import torch
from torch import nn

import kinn
from kinn import LBFGS, Adam, GaussNewton, Status, div, grad


class Sines(nn.Module):
    """A module that a user might bring."""

    def __init__(self, seed=0):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.inner = nn.Parameter(torch.randn(2, 8, generator=generator, dtype=torch.float64))
        self.outer = nn.Parameter(0.3 * torch.randn(8, 1, generator=generator, dtype=torch.float64))

    def forward(self, x):
        return torch.sin(2 * x * self.inner[0] + self.inner[1]) @ self.outer


def rod(source=None):
    """-u'' = f with u = sin(3 x) + x given at the left, its slope at the right."""
    mesh = kinn.Mesh.box(0, 2, cells=8)
    (x,) = mesh.coordinates
    u, exact = kinn.Field("u", mesh), sp.sin(3 * x) + x
    flux = grad(u)
    conditions = [kinn.Dirichlet(u, exact, on="left"), kinn.Neumann(flux, exact.diff(x), on="right")]
    equation = -div(flux) + exact.diff(x, 2) if source is None else source(u, x)
    return kinn.Problem(mesh, {"rod": equation}, conditions, exact={u: exact})


def plate(slope=1.0):
    mesh = kinn.Mesh.box((0, 0), (1, 1), cells=4)
    x, y = mesh.coordinates
    u, exact = kinn.Field("u", mesh), slope * sp.sin(2 * x) * sp.exp(y)
    equation = -div(grad(u)) - 3 * exact
    return kinn.Problem(mesh, {"plate": equation}, [kinn.Dirichlet(u, exact, on="boundary")], exact={u: exact})


def network(d=1, seed=0):
    return kinn.KAN([d, 3, 1], kinn.Chebyshev(3), base=False, seed=seed)


def solve(problem, net=None, **options):
    net = network(problem.mesh.dimension) if net is None else net
    return kinn.solve(problem, network=net, progress=False, **options)


def true_enough(solution):
    """Whether the estimate lies between 1/5 and 5 of the true error."""
    return solution.estimate is not None and 0.2 < solution.estimate / error(solution).relative_h1 < 5


def error(solution):
    (found,) = solution.error(solution.problem.exact).values()
    return found


def test_the_tests_state_what_they_mean():
    rod().verify()
    plate().verify()


def test_a_rod_converges_and_the_estimate_is_true():
    solution = solve(rod(), tolerance=1e-5, time_limit=20)
    assert solution.status is Status.CONVERGED and (solution.estimate or 1) < 1e-5
    assert error(solution).relative_l2 < 2e-5 and true_enough(solution)


def test_a_plate_within_a_time_limit():
    solution = solve(plate(), time_limit=1.5, tolerance=1e-12)
    assert solution.status is Status.TIME_LIMIT and 0.7 < solution.result.seconds < 10
    assert error(solution).relative_l2 < 1e-3 and true_enough(solution)
    assert solution.history[-1].n_parameters > network(2).n_parameters  # it was refined


def test_the_weak_form_trains_too():
    solution = solve(plate(), form="weak", time_limit=4, tolerance=1e-3)
    assert solution.result.form == "weak" and error(solution).relative_l2 < 3e-3
    assert true_enough(solution)


def test_the_weak_form_trains_in_single_precision():
    solution = solve(plate(), form="weak", steps=12, dtype=torch.float32)
    assert error(solution).relative_l2 < 2e-2 and solution.result.surrogate.center.dtype is torch.float32


def test_the_default_races_a_few_networks():
    solution = kinn.solve(rod(), tolerance=1e-4, time_limit=20, progress=False)
    assert error(solution).relative_l2 < 2e-4 and solution.result.network.startswith("KAN [1, ")


def test_a_limit_on_steps_ends_the_run():
    for steps in (1, 7):
        solution = solve(rod(), steps=steps)
        assert solution.status is Status.STEP_LIMIT and solution.result.steps == steps
        assert solution.estimate is not None and math.isfinite(solution.estimate)


def test_callbacks_see_the_solution_and_are_not_timed():
    seen = []

    def watch(step, seconds, solution):
        seen.append((step, seconds, solution([[1.0]])[0]))
        end = torch.zeros(())
        for _ in range(40):
            end = end + torch.randn(200, 200).matmul(torch.randn(200, 200)).sum()

    solution = solve(rod(), tolerance=1e-4, time_limit=20, callback=watch)
    assert [(r.step, r.seconds) for r in solution.history] == [(step, seconds) for step, seconds, _ in seen]
    assert len(seen) > 1 and seen[-1][2] == pytest.approx(math.sin(3) + 1, abs=1e-3)
    assert list(np.diff([seconds for _, seconds, _ in seen]) >= 0) and all(r.loss >= 0 for r in solution.history)


def test_ctrl_c_returns_the_best_solution_so_far():
    def interrupt(step, seconds, solution):
        if solution.estimate is not None and solution.estimate < 0.1:
            raise KeyboardInterrupt

    solution = solve(rod(), tolerance=1e-9, time_limit=20, callback=interrupt)
    assert solution.status is Status.INTERRUPTED and "continue with start=" in solution.result.message
    assert error(solution).relative_l2 < 0.1


def test_ctrl_c_at_once_still_returns_something():
    def interrupt(step, seconds, solution):
        raise KeyboardInterrupt

    solution = solve(rod(), callback=interrupt)
    assert solution.status is Status.INTERRUPTED and np.isfinite(solution([[1.0]])).all()


def test_a_term_that_is_not_finite_is_named():
    solution = solve(rod(lambda u, x: -div(grad(u)) + sp.log(u - 50)))
    assert solution.status is Status.NONFINITE and "'rod'" in solution.result.message
    assert np.isfinite(solution([[0.5], [2.0]])).all()


def test_start_continues_from_an_earlier_solution():
    first = solve(plate(), tolerance=1e-3, time_limit=10)
    again = solve(plate(), tolerance=1e-3, time_limit=10, start=first)
    assert again.status is Status.CONVERGED and again.result.steps < first.result.steps
    other = solve(plate(slope=1.1), tolerance=1e-3, time_limit=10, start=first)
    assert other.status is Status.CONVERGED and other.result.steps < first.result.steps
    assert error(other).relative_l2 < 1e-3


def test_start_of_another_problem_is_refused():
    first = solve(rod(), steps=2)
    mesh = kinn.Mesh.box(0, 1, cells=2)
    v = kinn.Field("v", mesh)
    problem = kinn.Problem(mesh, {"p": -div(grad(v)) - 1}, [kinn.Dirichlet(v, 0, on="boundary")])
    with pytest.raises(kinn.StatementError, match="start="):
        kinn.solve(problem, start=first, progress=False)


NETWORKS = {
    "mlp": lambda: kinn.MLP([1, 8, 8, 1], seed=1),
    "module": lambda: Sines,  # a few of them race, as a single one may start badly
    "bspline": lambda: kinn.KAN([1, 3, 1], kinn.BSpline(5, 1), seed=0),
    "gaussian": lambda: kinn.KAN([1, 3, 1], kinn.Gaussian(4), seed=0),
    "float32": lambda: network(),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_other_networks_train(name):
    dtype = torch.float32 if name == "float32" else torch.float64
    solution = solve(rod(), NETWORKS[name](), tolerance=1e-3, steps=120, dtype=dtype)
    assert error(solution).relative_l2 < (2e-3 if name not in ("mlp", "module") else 5e-2), solution
    assert solution.result.surrogate.center.dtype is dtype


def test_the_same_seed_gives_the_same_result_to_the_last_bit():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        runs = [kinn.solve(rod(), steps=5, seed=seed, progress=False) for seed in (3, 3, 4)]
    finally:
        torch.set_num_threads(threads)
    x = np.random.default_rng(0).uniform(0, 2, (20, 1))
    first, again, other = (run(x) for run in runs)
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert [r.loss for r in runs[0].history if r.check] == [r.loss for r in runs[1].history if r.check]


def test_a_network_that_the_user_brings_is_not_changed():
    mine = network()
    before = [p.detach().clone() for p in mine.parameters()]
    solve(rod(), mine, steps=5)
    assert all(torch.equal(a, b) for a, b in zip(before, mine.parameters(), strict=True))


def test_the_solution_that_a_run_starts_from_is_not_changed():
    first = solve(rod(), steps=5)
    before = first([[0.3], [1.7]])
    solve(rod(), steps=5, start=first)
    assert np.array_equal(first([[0.3], [1.7]]), before)


def test_adam_lowers_the_loss_and_gauss_newton_goes_on_from_there():
    first = solve(rod(), stages=[Adam(steps=150, learning_rate=0.03)])
    losses = [r.loss for r in first.history]
    assert first.status is Status.STEP_LIMIT and first.result.steps == 150 and losses[-1] < 0.5 * losses[0]
    both = solve(rod(), stages=[Adam(steps=20), GaussNewton()], tolerance=1e-4, time_limit=10)
    assert both.status is Status.CONVERGED and error(both).relative_l2 < 2e-4


def test_lbfgs_after_adam_trains_without_a_race():
    made = []

    def network(seed):
        made.append(kinn.MLP([1, 4, 4, 1], seed=seed))
        return made[-1]

    solution = solve(rod(), network, stages=[Adam(50), LBFGS(400)])
    alone = solve(rod(), network, stages=[Adam(450)])
    assert error(solution).relative_l2 < 0.1 and solution.history[-1].loss < 0.1 * alone.history[-1].loss
    assert solution.status in (Status.STALLED, Status.STEP_LIMIT)
    assert solution.result.steps <= 450 and solution.result.n_points == 3 * made[0].n_parameters
    few = solve(rod(), network, stages=[Adam(1, learning_rate=1e-12)])
    assert torch.allclose(next(few.result.surrogate.network.parameters()), next(made[-5].parameters()))


def test_exact_steps_train_as_well():
    solution = solve(rod(), stages=[GaussNewton(exact=True)], tolerance=1e-6, time_limit=10)
    assert solution.status is Status.CONVERGED and error(solution).relative_l2 < 2e-6


def test_a_network_keeps_its_size_where_it_is_asked_to():
    network = kinn.KAN([1, 3, 1], kinn.Chebyshev(4), base=False)
    solution = solve(rod(), network, stages=[GaussNewton(refine=False)], tolerance=1e-13, time_limit=10)
    assert solution.result.n_parameters == network.n_parameters and solution.status is not Status.CONVERGED
    assert error(solution).relative_l2 < 1e-2


def test_a_run_without_limits_ends_by_itself():
    solution = solve(rod(), kinn.MLP([1, 3, 1]), tolerance=1e-13)
    assert solution.status in (Status.STALLED, Status.UNDER_INTEGRATED) and solution.result.seconds < 20
    assert solution.estimate is not None and solution.estimate > 1e-13


def test_a_parameter_is_identified_with_an_interval():
    mesh = kinn.Mesh.box(0, 1, cells=8)
    (x,) = mesh.coordinates
    u, k = kinn.Field("u", mesh), kinn.Parameter("k", guess=1.0, lower=0)
    at = np.linspace(0.1, 0.9, 15)[:, None]
    noise = 0.002 * np.random.default_rng(1).standard_normal(15)
    data = kinn.Observations(u, at, (at * (1 - at) / 4)[:, 0] + noise, sigma=0.002)  # k = 2
    problem = kinn.Problem(mesh, {"p": -div(k * grad(u)) - 1}, [kinn.Dirichlet(u, 0, on="boundary")], [data])
    solution = solve(problem, time_limit=2.5)
    found = solution.parameters["k"]
    # by hand: u = c x (1 - x) / 2 with c = 1 / k, weighted least squares in c
    shape = (at * (1 - at) / 2)[:, 0]
    c = shape @ data.values / (shape @ shape)
    sd = 0.002 / math.sqrt(shape @ shape) / c**2
    assert found.estimate == pytest.approx(1 / c, rel=2e-3) and found.sd == pytest.approx(sd, rel=0.1)
    assert found.lower is not None and found.upper is not None and found.lower < 2 < found.upper


@pytest.mark.parametrize("argument, message", [
    ({"tolerance": 0.0}, "tolerance is 0.0"),
    ({"network": "kna"}, "network 'kna' is not known.*'kan'"),
    ({"network": kinn.MLP([3, 4, 1])}, "maps 3 inputs to 1 outputs"),
    ({"form": "energie"}, "form 'energie' is not known"),
    ({"device": "warp"}, "device 'warp' is not there"),
    ({"network": kinn.KAN([1, 2, 1], kinn.BSpline(2, 2))}, "derivatives of order 2, but the network's basis has 1"),
])  # fmt: skip
def test_wrong_arguments_are_refused_before_training(argument, message):
    with pytest.raises(kinn.StatementError, match=message):
        kinn.solve(rod(), progress=False, **argument)


def test_a_function_of_a_seed_makes_the_networks_that_race():
    seeds = []

    def make(seed):
        seeds.append(seed)
        return kinn.MLP([1, 5, 1], seed=seed)

    solution = solve(rod(), make, steps=2, seed=3)
    assert seeds == [15, 16, 17, 18, 19] and solution.result.network.startswith("MLP [1, 5, 1]")


def test_a_pure_neumann_problem_is_estimated_up_to_its_constant():
    mesh = kinn.Mesh.box(0, 1, cells=8)
    (x,) = mesh.coordinates
    u, exact = kinn.Field("u", mesh), sp.cos(2 * sp.pi * x)
    problem = kinn.Problem(mesh, {"eq": -div(grad(u)) - 4 * sp.pi**2 * exact}, [], exact={u: exact})
    solution = solve(problem, time_limit=3, tolerance=1e-4)
    assert solution.status is Status.CONVERGED and true_enough(solution)


def two_rods():
    """-(k u')' = 0 with k = 1 and 10, equations per subdomain, flux 1 out at the right: u = x, then 0.5 + (x - 0.5) / 10."""
    points = np.linspace(0, 1, 9)[:, None]
    cells = np.stack([np.arange(8), np.arange(1, 9)], 1)
    parts = {"a": np.arange(4), "b": np.arange(4, 8)}
    mesh = kinn.Mesh(points, cells, "line", {"left": [0], "right": [8]}, parts)
    u = kinn.Field("u", mesh)
    equations = {name: kinn.Equation(-div(k * grad(u)), on=name) for name, k in (("a", 1), ("b", 10))}
    conditions = [kinn.Dirichlet(u, 0, on="left"), kinn.Neumann(10 * grad(u), 1, on="right")]
    return kinn.Problem(mesh, equations, conditions)


def test_equations_in_subdomains_take_the_weak_form_and_count_a_flux_once():
    problem = two_rods()
    at = [[0.25], [0.5], [1.0]]
    assert np.allclose(kinn.fem.solve(problem, tolerance=1e-3)(at), [0.25, 0.5, 0.55], atol=1e-9)
    solution = solve(problem, steps=60, tolerance=1e-2)
    assert solution.result.form == "weak" and np.allclose(solution(at), [0.25, 0.5, 0.55], atol=0.02)
    with pytest.raises(kinn.StatementError, match="different subdomains"):
        solve(problem, form="strong")


def test_two_sets_of_data_for_one_field_both_count():
    problem = rod()
    (u,) = problem.components
    low, high = (kinn.Observations(u, [[1.0]], [value], sigma=0.1) for value in (1.0, 3.0))
    both = kinn.Problem(problem.mesh, problem.equations, problem.conditions, [low, high])
    assert [data.name for data in both.observations] == ["u", "u (2)"]
    assert set(solve(both, steps=3).result.sigmas) == {"u", "u (2)"}


def test_a_general_condition_has_no_estimate_and_the_reason_is_given():
    mesh = kinn.Mesh.box((0, 0), (1, 1), cells=4)
    u = kinn.Field("u", mesh)
    problem = kinn.Problem(mesh, {"eq": -div(grad(u)) - 1}, [kinn.Condition(u, on="boundary")])
    solution = solve(problem, network(2), steps=3)
    assert solution.estimate is None and "general condition" in str(solution)


def test_start_follows_the_precision_asked_for_and_the_bounds():
    problem = rod()
    first = solve(problem, steps=3)
    assert solve(problem, start=first, steps=2, dtype=torch.float32).result.surrogate.center.dtype == torch.float32


def test_stages_that_could_not_run_are_refused():
    for stages in ([], [GaussNewton(), Adam(5)]):
        with pytest.raises(kinn.StatementError, match="it comes last"):
            solve(rod(), stages=stages)
