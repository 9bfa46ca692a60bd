"""The trial space against formulas written by hand: materials, singular functions, periods and ramps."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from made_meshes import halves, quarters
from oracles import all_indices, derivative, network_of, plain

import kinn
from kinn import div, grad
from kinn.formulations.scaling import initial_surrogate
from kinn.formulations.surrogate import Surrogate
from kinn.formulations.trial import Trial
from kinn.geometry import sample
from kinn.networks import JetSpace
from kinn.problem_file import ProblemFile
from kinn.statement.terms import weak_terms

LIKE = torch.zeros(0, dtype=torch.float64)
LSHAPE = ProblemFile.load(Path(__file__).parents[1] / "problems" / "lshape_harmonic.py", {}).problem()
ORDER_2 = JetSpace.of(all_indices(2, 2), 2)


def surrogate_of(problem, trial, network="chebyshev", amplitude=None):
    made = network_of(network, trial.n_inputs(problem.mesh.dimension), trial.n_outputs(len(problem.components)))
    found = initial_surrogate(problem, made, trial, LIKE)
    if amplitude is None:
        return found
    like = torch.linspace(amplitude, 2 * amplitude, len(problem.components), dtype=torch.float64)
    return Surrogate(made, found.center, found.scale, like - 3, like, trial)


def chessboard():
    """Two fields that diffuse through 1 | 10, singular where four squares meet."""
    mesh = quarters()
    u, v = kinn.Field("u", mesh), kinn.Field("v", mesh)
    k = kinn.Coefficient("k", mesh, {"bright": 1, "dark": 10})
    equations = {"u": -div(k * grad(u)) - 1, "v": -div(k * grad(v)) - v}
    return kinn.Problem(mesh, equations, [kinn.Dirichlet(u, 0, on="boundary"), kinn.Dirichlet(v, 0, on="boundary")])


def strip(jump=2.0, dimension=2, **sides):
    """Two fields on a strip of period 3."""
    mesh = kinn.Mesh.box((1, 0), (4, 1), cells=3)
    u, v = kinn.Field("u", mesh), kinn.Field("v", mesh)
    given = [kinn.Dirichlet(u, value, on=side) for side, value in sides.items()]
    equations = {"u": -div(grad(u)) - 1, "v": -div(grad(v)) - v}
    return kinn.Problem(
        mesh, equations, [kinn.Periodic(u, "left", "right", jump), kinn.Periodic(v, "left", "right"), *given]
    )


def test_each_material_has_outputs_of_its_own():
    problem = chessboard()
    trial = Trial.of(problem, weak_terms(problem), singular=False)
    assert trial.parts is not None and trial.parts.count == 2 and not trial.modes and trial.n_outputs(2) == 4
    lifted = surrogate_of(problem, trial, amplitude=5.0)
    side = torch.stack([torch.ones(20).double(), torch.linspace(-1, 1, 20).double()], 1)
    assert lifted.jets(side, ORDER_2)[0].abs().max() < 1e-12  # the given values, in both materials
    surrogate = replace(lifted, trial=replace(trial, lift=None))
    x = torch.from_numpy(sample(problem.mesh, 200, seed=1).x)
    jets, outputs = surrogate.jets(x, ORDER_2), surrogate.network.compose(surrogate.inputs.jets(x, ORDER_2), ORDER_2)
    first = int(trial.parts.of_cells(problem.mesh.subdomains["bright"])[0])
    for c in range(2):
        bright, dark = outputs[..., 2 * first + c], outputs[..., 2 * (1 - first) + c]
        expected = torch.where(x.prod(1) > 0, bright, dark) * surrogate.amplitude[c]
        expected[0] += surrogate.offset[c]
        assert torch.allclose(jets[..., c], expected, rtol=1e-13, atol=1e-13)


def test_cells_say_the_part_where_points_cannot():
    problem = chessboard()
    surrogate = surrogate_of(problem, Trial.of(problem, weak_terms(problem), singular=False), amplitude=1.0)
    corner = torch.zeros(2, 2, dtype=torch.float64)
    parts = surrogate.trial.part_of(
        corner.numpy(), np.array([problem.mesh.subdomains[n][0] for n in ("bright", "dark")])
    )
    values = surrogate.values(corner, ((0, (0, 0)),), parts)[0]
    assert parts is not None and parts.tolist() in ([0, 1], [1, 0]) and (values[0] - values[1]).abs() > 1e-3


def test_jets_of_a_singular_mode_are_those_of_the_product_by_nested_autograd():
    """u = amplitude (N0 + sum_j s_j N_j), s_1 = c r^(2/3) sin(2 theta / 3) on the L, known but for c."""
    trial = Trial.of(LSHAPE, weak_terms(LSHAPE))
    assert len(trial.modes) >= 1 and trial.lift is None and trial.n_outputs(1) == 1 + len(trial.modes)
    # one mode, so that the oracle is short
    (mode,) = [m for m in trial.modes if abs(m.exponent - 2 / 3) < 1e-9][:1]
    trial = Trial(modes=(mode,), length=trial.length)
    surrogate = surrogate_of(LSHAPE, trial, amplitude=0.7)

    def shape(x):
        angle = torch.atan2(-x[:, 0] - x[:, 1], x[:, 1] - x[:, 0])
        r2 = x.square().sum(1)
        cut = torch.ones_like(r2) if np.isinf(mode.radius) else (1 - r2 / mode.radius**2).clamp(min=0) ** 4
        return cut * r2 ** (1 / 3) * torch.cos(2 * angle / 3)

    at = torch.tensor([[-0.05, 0.05]], dtype=torch.float64)
    size = float(mode.jets(at, JetSpace.of([], 2))[0, 0, 0] / shape(at)[0]) / trial.length ** (2 / 3)
    weights, function = tuple(surrogate.network.parameters()), plain(surrogate.network)

    def field(x):
        inner = function(weights, (x - surrogate.center) / surrogate.scale)
        return surrogate.offset + surrogate.amplitude * (inner[:, :1] + size * shape(x)[:, None] * inner[:, 1:])

    x = torch.from_numpy(sample(LSHAPE.mesh, 100, seed=2).x)
    x = x[x.norm(dim=1) > 0.05]
    jets = surrogate.jets(x, ORDER_2)
    for index in all_indices(2, 2):
        expected = derivative(field, x, index)
        assert torch.allclose(jets[ORDER_2.position[index]], expected, rtol=1e-9, atol=1e-9), index


def test_materials_and_modes_add_up():
    problem = chessboard()
    trial = Trial.of(problem, weak_terms(problem))
    assert (
        trial.parts is not None
        and trial.parts.count == 2
        and len(trial.modes) >= 2
        and trial.n_outputs(2) == 4 + len(trial.modes)
    )
    surrogate = surrogate_of(problem, trial, amplitude=2.0)
    x = torch.from_numpy(sample(problem.mesh, 100, seed=1).x)
    values, outputs = surrogate.jets(x, ORDER_2), surrogate.network.compose(surrogate.inputs.jets(x, ORDER_2), ORDER_2)
    part = trial.parts.at(x.numpy())
    dx, zero = ORDER_2.position[1, 0], ORDER_2.position[0, 0]
    for c in range(2):
        expected = outputs[dx, torch.arange(len(x)), 2 * torch.from_numpy(part) + c]
        for j, mode in enumerate(trial.modes):
            s = mode.jets(x, ORDER_2)[..., c] / trial.length**mode.exponent.real
            a = outputs[..., 4 + j]
            expected = expected + s[dx] * a[zero] + s[zero] * a[dx]
        assert torch.allclose(values[dx, :, c], surrogate.amplitude[c] * expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("network", ["chebyshev", "mlp"])
@pytest.mark.parametrize("sides", [{}, {"bottom": 1, "top": 3}])
def test_periodic_fields_repeat_with_all_derivatives_and_grow_by_the_jump(network, sides):
    """Any weights: value + jump, gradient and second derivatives are those of one period before."""
    mesh = strip().mesh
    x, _ = mesh.coordinates
    sides = {side: value + 2 * x / 3 for side, value in sides.items()}  # given values grow as the field does
    problem = strip(**sides)
    trial = Trial.of(problem)
    assert trial.periodic and trial.periods == (3.0, None) and trial.n_inputs(2) == 3 and trial.n_outputs(2) == 2
    surrogate = surrogate_of(problem, trial, network, amplitude=1.5)
    assert (surrogate.lift is not None) == bool(sides)
    y = torch.linspace(0, 1, 30, dtype=torch.float64)
    left, right = (torch.stack([torch.full_like(y, at), y], 1) for at in (1.0, 4.0))
    difference = surrogate.jets(right, ORDER_2) - surrogate.jets(left, ORDER_2)
    expected = torch.zeros_like(difference)
    expected[0, :, 0] = 2.0
    sizes = surrogate.jets(left, ORDER_2).abs().amax(1, keepdim=True)
    assert ((difference - expected).abs() <= 1e-12 * (1 + sizes)).all()
    if sides:
        floor = torch.stack([torch.linspace(1, 4, 30, dtype=torch.float64), torch.zeros(30).double()], 1)
        assert torch.allclose(surrogate.values(floor, ((0, (0, 0)),))[0], 1 + 2 * floor[:, 0] / 3, rtol=0, atol=1e-12)


def test_a_ramp_has_its_slope_in_every_first_derivative_and_in_no_second():
    surrogate = surrogate_of(strip(), Trial.of(strip()), amplitude=1.5)
    flat = surrogate_of(strip(jump=0), Trial.of(strip(jump=0)), amplitude=1.5)
    x = torch.from_numpy(sample(strip().mesh, 50, seed=0).x)
    difference = surrogate.jets(x, ORDER_2) - flat.jets(x, ORDER_2)
    expected = torch.zeros_like(difference)
    expected[0, :, 0], expected[ORDER_2.position[1, 0], :, 0] = (x[:, 0] - 2.5) * 2 / 3, 2 / 3
    assert torch.allclose(difference, expected, rtol=0, atol=1e-12)


def test_two_periodic_axes_make_a_torus():
    mesh = kinn.Mesh.box((0, 0), (1, 2), cells=3)
    u = kinn.Field("u", mesh)
    conditions = [kinn.Periodic(u, "right", "left", jump=-3), kinn.Periodic(u, "bottom", "top", jump=1)]
    problem = kinn.Problem(mesh, {"u": -div(grad(u)) + u}, conditions)
    trial = Trial.of(problem)
    assert trial.periods == (1.0, 2.0) and trial.n_inputs(2) == 4 and trial.periodic
    surrogate = surrogate_of(problem, trial, amplitude=1.0)
    x = torch.rand(40, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for shift, jump in (((1.0, 0.0), 3.0), ((0.0, 2.0), 1.0)):
        difference = surrogate.jets(x + x.new_tensor(shift), ORDER_2) - surrogate.jets(x, ORDER_2)
        assert torch.allclose(difference[0], torch.full_like(difference[0], jump), rtol=0, atol=1e-12)
        sizes = surrogate.jets(x, ORDER_2).abs().amax(1, keepdim=True)
        assert (difference[1:].abs() <= 1e-12 * (1 + sizes[1:])).all()


def test_what_is_not_exactly_periodic_is_said():
    """A jump that varies, one field of two, sides that are only a part of the extent: the loss has to see these."""
    mesh = strip().mesh
    _, y = mesh.coordinates
    u, v = kinn.Field("u", mesh), kinn.Field("v", mesh)
    equations = {"u": -div(grad(u)) - 1, "v": -div(grad(v)) - v}
    both = [kinn.Periodic(u, "left", "right", jump=y), kinn.Periodic(v, "left", "right")]
    for conditions in (both, both[1:]):
        trial = Trial.of(kinn.Problem(mesh, equations, conditions))
        assert not trial.periodic and trial.n_inputs(2) == 2 and not trial.ramps
    assert Trial.of(kinn.Problem(mesh, equations, [])).periodic


def test_a_smooth_problem_has_a_plain_trial_space():
    mesh = kinn.Mesh.box((0, 0), (1, 1), cells=2)
    u = kinn.Field("u", mesh)
    problem = kinn.Problem(mesh, {"u": -div(grad(u)) - 1}, [kinn.Dirichlet(u, 0, on="boundary")])
    trial = Trial.of(problem, weak_terms(problem))
    assert trial.parts is None and not trial.modes and trial.lift is not None and len(trial.corners) == 0
    assert (trial.n_inputs(2), trial.n_outputs(1)) == (2, 1)


@pytest.mark.parametrize("make", [chessboard, lambda: LSHAPE, strip, lambda: two_materials()])
def test_a_stored_surrogate_is_the_same_function(make):
    problem = make()
    surrogate = surrogate_of(problem, Trial.of(problem, weak_terms(problem)), amplitude=0.3)
    tensors, settings = surrogate.state()
    again = Surrogate.restore(problem, tensors, json.loads(json.dumps(settings)))
    x = torch.from_numpy(sample(problem.mesh, 100, seed=5).x)
    assert torch.equal(again.jets(x, ORDER_2), surrogate.jets(x, ORDER_2))
    assert (again.trial.parts is None) == (surrogate.trial.parts is None)
    assert len(again.trial.modes) == len(surrogate.trial.modes)


def test_a_surrogate_without_singular_functions_is_restored_without():
    problem = chessboard()
    surrogate = surrogate_of(problem, Trial.of(problem, weak_terms(problem), singular=False), amplitude=0.3)
    again = Surrogate.restore(problem, *surrogate.state())
    x = torch.from_numpy(sample(problem.mesh, 20, seed=5).x)
    assert not again.trial.modes and torch.equal(again.jets(x, ORDER_2), surrogate.jets(x, ORDER_2))


def two_materials():
    mesh = halves(kinn.Mesh.box((0, 0), (1, 1), cells=4))
    u = kinn.Field("u", mesh)
    k = kinn.Coefficient("k", mesh, {"a": 1, "b": 10})
    return kinn.Problem(mesh, {"u": -div(k * grad(u)) - 1}, [kinn.Dirichlet(u, 0, on=["left", "right"])])
