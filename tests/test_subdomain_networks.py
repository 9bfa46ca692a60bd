"""One network for each subdomain: which outputs are whose, and that the solution is found, kept, or refused as it should be."""

from pathlib import Path

import numpy as np
import pytest
import torch

import kinn
from kinn import div, grad
from kinn.candidates import candidates
from kinn.formulations.choice import choose
from kinn.formulations.trial import Trial
from kinn.networks import KAN, MLP, Separate
from kinn.problem_file import ProblemFile
from kinn.statement.errors import StatementError

BAR = ProblemFile.load(Path(__file__).parents[1] / "problems" / "two_materials_1d.py")


def checkerboard():
    """Four squares of two materials that meet in a point, where the solution is singular."""
    plain = kinn.Mesh.box((-1, -1), (1, 1), cells=4)
    hard = plain.points[plain.cells].mean(axis=1).prod(axis=1) > 0
    parts = {"hard": np.flatnonzero(hard), "soft": np.flatnonzero(~hard)}
    mesh = kinn.Mesh(plain.points, plain.cells, "triangle", {}, parts)
    u = kinn.Field("u", mesh)
    k = kinn.Coefficient("k", mesh, {"hard": 10.0, "soft": 1.0})
    return kinn.Problem(mesh, {"u": -div(k * grad(u)) - 1}, [kinn.Dirichlet(u, 0, on="boundary")])


def made(problem, network):
    trial = Trial.of(problem, choose(problem).weak)
    (first, *_), kept = candidates(problem, network, trial, 0, torch.float64, torch.device("cpu"))
    return first, kept


def test_each_subdomain_is_solved_by_its_own_network(tmp_path):
    problem, own = BAR.problem(), MLP([1, 12, 1], seed=3)
    solution = kinn.solve(problem, network={"second": own, "first": "kan"}, steps=40, progress=False)
    network = solution.result.surrogate.network
    assert isinstance(network, Separate) and [type(part) for part in network.parts] == [MLP, KAN]
    assert solution.result.surrogate.trial.parts is not None
    labels = solution.result.surrogate.trial.parts.labels
    assert [labels[own] for (own,) in network.outputs] == ["second", "first"]
    (error,) = solution.error(problem.exact).values()
    assert error.relative_l2 < 2e-3
    # the weights of one network say nothing of the other's subdomain
    x = torch.tensor([[0.2], [0.8]], dtype=torch.float64)
    before = solution.result.surrogate.values(x, ((0, (0,)),))[0]
    with torch.no_grad():
        for weight in network.parts[0].parameters():
            weight.mul_(0.5)
    after = solution.result.surrogate.values(x, ((0, (0,)),))[0]
    assert after[0] == before[0] and after[1] != before[1]
    solution.save(tmp_path / "bar.kinn")
    again = kinn.load(tmp_path / "bar.kinn", problem).result.surrogate
    assert torch.equal(again.values(x, ((0, (0,)),))[0], after)


def test_singular_functions_reach_into_all_subdomains_and_count_for_the_first():
    problem = checkerboard()
    network, trial = made(problem, {"soft": "kan", "rest": "kan"})
    assert trial.parts is not None and trial.modes and trial.parts.labels == ["soft", "hard"]
    assert network.outputs == [[0, *range(2, 2 + len(trial.modes))], [1]]
    shared, _ = made(problem, {("hard", "soft"): "kan"})
    assert isinstance(shared, KAN) and shared.n_outputs == 2 + len(trial.modes)


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        ({"first": "kan"}, "no network for the subdomain 'second'; give one for each of: second, first, or one named"),
        ({"first": "kan", "second": "kan", "rest": "kan"}, "names 'rest', which is no subdomain of the problem"),
        ({"first": "kan", ("first", "second"): "kan"}, "names the subdomain 'first' twice"),
        ({"first": "kan", "third": "kan"}, "names 'first', which is no field of the problem"),
        ({"first": "kan", "second": MLP([1, 4, 2])}, "1 inputs to 2 outputs, but the problem has 1 coordinates and 1"),
    ],
)
def test_networks_that_do_not_fit_the_subdomains_are_refused(network, reason):
    with pytest.raises(StatementError, match=reason):
        made(BAR.problem(), network)


def test_a_smooth_solution_has_no_subdomains():
    mesh = kinn.Mesh([[0.0], [0.5], [1.0]], [[0, 1], [1, 2]], "line", {"ends": [0, 2]}, {"a": [0], "b": [1]})
    u = kinn.Field("u", mesh)
    problem = kinn.Problem(mesh, {"u": -div(grad(u)) - 1}, [kinn.Dirichlet(u, 0, on="ends")])
    with pytest.raises(StatementError, match="subdomains 'a', 'b', but the trial solution is one smooth function"):
        kinn.solve(problem, network={"a": "kan", "b": "kan"}, progress=False)


def test_a_subdomain_that_cuts_a_material_is_refused():
    mesh = kinn.Mesh(
        np.linspace(0, 1, 5)[:, None], [[0, 1], [1, 2], [2, 3], [3, 4]], "line", {"ends": [0, 4]},
        {"a": [0, 1], "b": [2, 3], "middle": [1, 2], "all": [0, 1, 2, 3]},
    )  # fmt: skip
    u, k = kinn.Field("u", mesh), kinn.Coefficient("k", mesh, {"a": 1.0, "b": 5.0})
    problem = kinn.Problem(mesh, {"u": -div(k * grad(u)) - 1}, [kinn.Dirichlet(u, 0, on="ends")])
    with pytest.raises(StatementError, match="names 'middle', which holds some of the cells of 'b'"):
        made(problem, {"middle": "kan", "rest": "kan"})
    with pytest.raises(StatementError, match="two networks for the subdomain"):
        made(problem, {"a": "kan", "b": "kan", "all": "kan"})
    assert isinstance(made(problem, {"all": "kan"})[0], KAN)
