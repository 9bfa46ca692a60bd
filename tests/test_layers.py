"""Boundary layers: found from the equations, read by networks, resolved by the tests."""

import numpy as np
import pytest
import sympy as sp
import torch
from oracles import network_of
from torch import nn

import kinn
from kinn import div, grad
from kinn.candidates import candidates
from kinn.formulations.galerkin_form import GalerkinForm
from kinn.formulations.layers import boundary_layers, peclet
from kinn.formulations.lift import BoxLift
from kinn.formulations.trial import Trial
from kinn.networks import Inputs, JetSpace, Layer
from kinn.statement.terms import weak_terms

UNIT = kinn.Mesh.box((0, 0), (1, 1), cells=4)


def flow(mesh=UNIT, eps=0.01, wind=(1, 1), sign=1, conservative=False, reaction=0, on=("boundary",)):
    u = kinn.Field("u", mesh)
    carried = div(sp.Matrix(wind) * u) if conservative else sp.Matrix(wind).dot(grad(u))
    equation = sign * (-div(eps * grad(u)) + carried + reaction * u - 1)
    return kinn.Problem(mesh, {"transport": equation}, [kinn.Dirichlet(u, 0, on=on)])


def layers_of(problem):
    return {tuple(np.round(layer.normal, 6)): layer for layer in boundary_layers(problem, weak_terms(problem))}


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("conservative", [False, True])
def test_flow_makes_layers_where_it_leaves(sign, conservative):
    found = layers_of(flow(wind=(1, -2), sign=sign, conservative=conservative))
    assert set(found) == {(1, 0), (0, -1)}
    assert found[1, 0].width == pytest.approx(0.01) and found[1, 0].edge == 1
    # twice as much flow, half the width; thinner than the tests have room for, so twice that
    assert found[0, -1].width == pytest.approx(0.01) and found[0, -1].edge == 0
    problem = flow(wind=(1, -2), sign=sign, conservative=conservative)
    assert peclet(problem, weak_terms(problem)) == pytest.approx(0.5 * 5**0.5 / 0.01)


def test_reaction_makes_layers_on_all_sides_and_flow_parabolic_ones_along_it():
    found = layers_of(flow(eps=1e-3, wind=(0, 0), reaction=1))
    assert len(found) == 4 and all(layer.width == pytest.approx(1e-3**0.5) for layer in found.values())
    along = layers_of(flow(eps=1e-3, wind=(1, 0)))
    assert set(along) == {(1, 0), (0, 1), (0, -1)}
    assert along[0, 1].width == pytest.approx((1e-3 * 0.5) ** 0.5)


def test_smooth_solutions_free_sides_curves_and_re_entrant_sides_have_none():
    assert not layers_of(flow(wind=(0, 0))) and not layers_of(flow(eps=1.0))
    assert set(layers_of(flow(on=("left", "bottom", "top")))) == {(0, 1)}
    disk = kinn.Mesh.read("tests/meshes/disk_41_ascii.msh")
    assert not layers_of(flow(disk))
    lshape = kinn.Mesh.read("problems/meshes/lshape.msh")
    for normal, layer in layers_of(flow(lshape)).items():
        assert (lshape.nodes @ np.array(normal)).max() == pytest.approx(layer.edge)
    assert not layers_of(flow(UNIT * kinn.Interval("t", 0, 1)))


@pytest.mark.parametrize("length, shift", [(1e3, 0), (1, 100)])
def test_widths_follow_the_units(length, shift):
    mesh = kinn.Mesh.box((shift, shift), (shift + length, shift + length), cells=4)
    found = layers_of(flow(mesh, eps=0.01 * length))
    assert all(layer.width == pytest.approx(0.01 * length) for layer in found.values()) and len(found) == 2


def test_a_layer_is_an_input_with_exact_derivatives():
    layer = Layer((0.6, 0.8), 1.0, 0.3)
    inputs = Inputs(torch.zeros(2).double(), torch.ones(2).double(), (None, None), (layer,))
    x = torch.rand(5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    space = JetSpace.of([(2, 0), (1, 1), (0, 2)], 2)
    found = inputs.jets(x, space)[..., 2]
    decay = torch.exp((x @ torch.tensor([0.6, 0.8], dtype=torch.float64) - 1) / 0.3)
    wanted = {
        (0, 0): 2 * decay - 1,
        (1, 0): 4 * decay,
        (1, 1): 2 * decay * 0.48 / 0.09,
        (0, 2): 2 * decay * 0.64 / 0.09,
    }
    for index, value in wanted.items():
        torch.testing.assert_close(found[space.position[index]], value)


def squares(n):
    """n x n quadrilaterals on the unit square."""
    x, y = np.meshgrid(np.linspace(0, 1, n + 1), np.linspace(0, 1, n + 1), indexing="ij")
    first = (np.arange(n)[:, None] * (n + 1) + np.arange(n)).ravel()
    cells = first[:, None] + np.array([0, n + 1, n + 2, 1])
    return kinn.Mesh(np.stack([x.ravel(), y.ravel()], 1), cells, "quad")


MESHES = {
    "coarse": lambda: kinn.Mesh.box((0, 0), (1, 1), cells=8),
    "fine": lambda: kinn.Mesh.box((0, 0), (1, 1), cells=45),
    "very fine": lambda: kinn.Mesh.box((0, 0), (1, 1), cells=70),
    "squares": lambda: squares(16),
    "interval": lambda: kinn.Mesh.box(0, 1, cells=8),
}


@pytest.mark.parametrize("eps", [1e-2, 1e-3, 1e-12])
@pytest.mark.parametrize("name", MESHES)
def test_the_tests_resolve_every_layer(name, eps):
    mesh = MESHES[name]()
    problem = flow(mesh, eps=eps, wind=(1,) * mesh.dimension)
    trial = Trial.of(problem, weak_terms(problem))
    form = GalerkinForm(problem, weak_terms(problem), mesh)
    form._resolve(trial)
    corners = form.mesh.points[form.mesh.cells]
    assert len(trial.layers) == mesh.dimension and len(form._growth) < 40
    for layer in trial.layers:
        heights = corners @ np.array(layer.normal)
        there = heights.max(1) > layer.edge - 1e-9
        assert np.ptp(heights[there], axis=1).max() <= 1.2 * layer.width * (1 + 1e-9)


def test_no_distance_divides_a_layer():
    problem = flow()
    trial = Trial.of(problem, weak_terms(problem))
    assert isinstance(trial.lift, BoxLift)
    assert trial.n_inputs(2) == 4 and set(trial.lift.sides[0]) == {(0, 0), (1, 0)}


def test_equations_make_layers_only_where_they_hold():
    x = np.linspace(0, 2, 17)[:, None]
    cells = np.stack([np.arange(16), np.arange(1, 17)], 1)
    mesh = kinn.Mesh(
        x, cells, "line", {"left": [0], "right": [16]}, {"fluid": list(range(8)), "solid": list(range(8, 16))}
    )
    u = kinn.Field("u", mesh)
    problem = kinn.Problem(
        mesh,
        [
            kinn.Equation(-div(0.01 * grad(u)) + u.diff(mesh.coordinates[0]) - 1, on="fluid"),
            kinn.Equation(-div(0.01 * grad(u)), on="solid"),
        ],
        [kinn.Dirichlet(u, 0, on="left"), kinn.Dirichlet(u, 1, on="right")],
    )
    assert not layers_of(problem)


def linear(n):
    return nn.Sequential(nn.Linear(n, 3), nn.Tanh(), nn.Linear(3, 1)).double()


class Columns(nn.Module):
    """Reads two columns of whatever it is given."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1, dtype=torch.float64))

    def forward(self, x):
        return self.weight * (x[:, :1] + torch.sin(x[:, 1:2]))


@pytest.mark.parametrize("network", [network_of("mlp", 2), linear(2), Columns(), lambda seed: linear(2)])
def test_a_network_that_reads_coordinates_only_goes_without_layers(network):
    problem = flow()
    trial = Trial.of(problem, weak_terms(problem))
    made, plain = candidates(problem, network, trial, 0, torch.float64, torch.device("cpu"))
    assert (
        isinstance(plain.lift, BoxLift) and not plain.layers and len(plain.lift.sides[0]) == 4 and made[0].n_inputs == 2
    )


def test_a_network_may_read_layers_and_others_are_told_of_them():
    problem = flow()
    trial = Trial.of(problem, weak_terms(problem))
    made, same = candidates(problem, linear(4), trial, 0, torch.float64, torch.device("cpu"))
    assert same is trial and made[0].n_inputs == 4
    with pytest.raises(
        kinn.StatementError, match="2 coordinates and 1 components.*4 inputs are .* and 2 boundary layers"
    ):
        candidates(problem, network_of("mlp", 3), trial, 0, torch.float64, torch.device("cpu"))


@pytest.mark.parametrize("order", [("u", "v"), ("v", "u")])
def test_one_network_without_layers_means_none_for_all_fields(order):
    u, v = kinn.Field("u", UNIT), kinn.Field("v", UNIT)
    equations = {f.name: -div(0.01 * grad(f)) + f.diff(UNIT.coordinates[0]) - 1 for f in (u, v)}
    problem = kinn.Problem(UNIT, equations, [kinn.Dirichlet(f, 0, on="boundary") for f in (u, v)])
    networks = {"u": kinn.MLP([2, 3, 1]), "v": "kan"}
    trial = Trial.of(problem, weak_terms(problem))
    made, plain = candidates(
        problem, {name: networks[name] for name in order}, trial, 0, torch.float64, torch.device("cpu")
    )
    assert trial.layers and not plain.layers and made[0].n_inputs == 2


@pytest.mark.parametrize("form, wind", [(None, (1, 2)), (None, (-1, -1)), (None, (0, 0)), ("strong", (1, 1))])
def test_a_solution_goes_on_with_its_own_layers(form, wind):
    start = kinn.solve(flow(eps=0.02, wind=(2, 1)), steps=1, progress=False)
    found = []
    kinn.solve(
        flow(eps=0.02, wind=wind), start=start, form=form, steps=1, progress=False,
        callback=lambda step, seconds, solution: found.append(solution.result.surrogate.trial.layers),
    )  # fmt: skip
    assert start.result.surrogate.trial.layers and set(found) == {start.result.surrogate.trial.layers}


def test_layers_of_a_smaller_domain_are_refused():
    start = kinn.solve(flow(), steps=1, progress=False)
    with pytest.raises(kinn.StatementError, match="sides with boundary layers"):
        kinn.solve(flow(kinn.Mesh.box((0, 0), (2, 1), cells=4)), start=start, progress=False)


def test_thin_layers_train_in_seconds_and_survive_saving(tmp_path):
    mesh = kinn.Mesh.box((0,), (1,), cells=16)
    (x,) = mesh.coordinates
    u = kinn.Field("u", mesh)
    eps = sp.Rational(1, 1000)
    exact = x - (sp.exp((x - 1) / eps) - sp.exp(-1 / eps)) / (1 - sp.exp(-1 / eps))
    problem = kinn.Problem(
        mesh, {"transport": -eps * div(grad(u)) + u.diff(x) - 1}, [kinn.Dirichlet(u, 0, on="boundary")]
    )
    solution = kinn.solve(problem, steps=60, tolerance=1e-5, progress=False)
    assert solution.error({u: exact})["u"].relative_l2 < 1e-5
    assert "layers" in str(solution)
    solution.save(tmp_path / "u.kinn")
    again = kinn.load(tmp_path / "u.kinn", problem)
    points = np.linspace(0, 1, 50)[:, None]
    assert np.array_equal(again(points), solution(points))
