"""One network for each field: values, Jacobians, refinement, storage, and which outputs belong to which field."""

import copy
import json
from pathlib import Path

import pytest
import sympy as sp
import torch
from oracles import derivative, network_of, plain

import kinn
from kinn import div, grad
from kinn.bases import Fourier
from kinn.candidates import candidates
from kinn.formulations.blocks import PointBlock
from kinn.formulations.choice import choose
from kinn.formulations.program import Program
from kinn.formulations.scaling import initial_surrogate
from kinn.formulations.trial import Trial
from kinn.formulations.unknowns import Unknowns
from kinn.geometry import sample
from kinn.networks import KAN, MLP, Inputs, JetSpace, Separate, Tape, network_from, places_of
from kinn.statement.errors import StatementError

SPACE = JetSpace.of([(2, 0), (1, 1)], 2)


def separate_of(*names):
    """Three parts whose five outputs are interleaved."""
    one, two, three = names
    parts = [network_of(one, 2, 2), network_of(two, 2, 1), network_of(three, 2, 2)]
    return Separate(parts, [[3, 0], [2], [1, 4]])


def points(n=6):
    return 2 * torch.rand(n, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64) - 1


mixtures = pytest.mark.parametrize(
    "network", [separate_of("chebyshev", "mlp", "module"), separate_of("mlp", "bspline", "bspline")]
)


@mixtures
def test_outputs_stand_where_they_belong(network):
    found, x = network.jets(points(), SPACE), points()
    for part, places in zip(network.parts, network.outputs, strict=True):
        assert torch.equal(found[..., places], part.jets(x, SPACE))
    assert network.n_parameters == sum(part.n_parameters for part in network.parts)


def residual(jets):
    """Couples all five outputs nonlinearly: (m, n, 5) -> (n,)."""
    value, slope, second = jets[0], jets[SPACE.position[1, 0]], jets[SPACE.position[2, 0]]
    return value[:, 0] * second[:, 1] + slope[:, 2] ** 2 * value[:, 3] - second[:, 4] + second[:, 0] * slope[:, 1]


@mixtures
def test_jacobian_is_that_of_jacrev(network):
    x, tape = points(), Tape()
    rows = residual(network.jets(x, SPACE, tape))
    found = tape.jacobian(torch.autograd.grad(rows.sum(), tape.outputs, allow_unused=True))
    functions, shapes = [plain(part) for part in network.parts], [p.shape for p in network.parameters()]
    counts = [len(list(part.parameters())) for part in network.parts]

    def oracle(theta):
        flat = torch.split(theta, [shape.numel() for shape in shapes])
        weights = iter(part.view(shape) for part, shape in zip(flat, shapes, strict=True))
        owned = [[next(weights) for _ in range(count)] for count in counts]

        def function(at):
            parts = [each(own, at) for each, own in zip(functions, owned, strict=True)]
            columns = {}
            for values, places in zip(parts, network.outputs, strict=True):
                columns.update({place: values[:, k] for k, place in enumerate(places)})
            return torch.stack([columns[place] for place in range(5)], 1)

        return residual(torch.stack([derivative(function, x, index) for index in SPACE.indices]))

    theta = torch.nn.utils.parameters_to_vector(network.parameters()).detach()
    assert torch.allclose(rows, oracle(theta), rtol=1e-10)
    expected = torch.func.jacrev(oracle)(theta)
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= 1e-10 * expected.abs().max()


@mixtures
def test_weights_of_one_field_do_not_enter_another(network):
    tape, x = Tape(), points()
    jets, start = network.jets(x, SPACE, tape), 0
    for part, places in zip(network.parts, network.outputs, strict=True):
        row = jets[:, :, places].square().sum((0, 2))
        block = tape.jacobian(torch.autograd.grad(row.sum(), tape.outputs, retain_graph=True, allow_unused=True))
        own = slice(start, start + part.n_parameters)
        assert block[:, own].any()
        block[:, own] = 0
        assert not block.any()
        start += part.n_parameters


def test_the_engine_takes_separate_networks():
    """Two fields, two networks: the rows' Jacobian gives the gradient that autograd finds without a tape."""
    mesh = kinn.Mesh.box((0, 0), (2, 1), cells=2)
    u, p = kinn.Field("u", mesh, components=2), kinn.Field("p", mesh)
    x, y = mesh.coordinates
    equation = u[0] * u[1].diff(x) - p.diff(y) + u[0].diff(x, 2) * p
    problem = kinn.Problem(mesh, {"one": equation, "two": u[1] * p - 1}, [kinn.Dirichlet(p, 1, on="left")])
    owners = [component.field for component in problem.components]
    parts = [MLP([2, 4, 1], seed=1), KAN([2, 3, 2], seed=2)]
    network = Separate(parts, places_of(["p", "u"], owners))
    surrogate = initial_surrogate(problem, network, Trial(), torch.zeros(0, dtype=torch.float64))
    surrogate.amplitude[:] = torch.tensor([0.5, 2.0, 1.5])
    unknowns = Unknowns.at_guess(problem, surrogate)
    block = PointBlock("one", Program([equation, u[1] * p - 1], problem), sample(mesh, 20, seed=0), surrogate)
    loss, gradient = block.gradient(unknowns)
    rows = block.rows(unknowns, slice(0, 20), unknowns.parameters())
    slopes = torch.autograd.grad(rows.square().sum(), list(network.parameters()))
    expected = torch.cat([slope.flatten() for slope in slopes])
    assert abs(loss - rows.square().sum().item()) < 1e-12 * loss
    assert (gradient - expected).abs().max() < 1e-11 * expected.abs().max()


def test_refinement_refines_what_can_be():
    network = separate_of("chebyshev", "mlp", "bspline")
    finer, x = network.refined(), points(50)
    assert finer is not None
    sizes = [[sum(weight.numel() for weight in part.parameters()) for part in made.parts] for made in (network, finer)]
    assert [new > old for old, new in zip(*sizes, strict=True)] == [True, False, True]
    before, after = network.jets(x, SPACE), finer.jets(x, SPACE)
    assert (before - after).abs().max() < 1e-11 * before.abs().max()
    with torch.no_grad():
        for weight in finer.parameters():
            weight.zero_()  # nothing of it belongs to the network before
    assert torch.equal(network.jets(x, SPACE), before)
    assert separate_of("mlp", "module", "mlp").refined() is None


def test_smoothness_is_that_of_the_roughest_part():
    assert separate_of("mlp", "module", "chebyshev").smoothness is None
    rough = KAN([2, 1], kinn.BSpline(3))
    assert Separate([rough, KAN([2, 1], kinn.BSpline(5)), MLP([2, 1])], [[0], [1], [2]]).smoothness == 2


def test_settings_and_weights_build_it_again():
    network = separate_of("gaussian", "mlp", "bspline")
    inside = Separate([network, KAN([2, 3, 1], Fourier(2), seed=4)], [[5, 0, 1, 2, 3], [4]])  # they nest
    again = network_from(json.loads(json.dumps(inside.settings())))
    again.load_state_dict(inside.state_dict())
    assert torch.equal(again.jets(points(), SPACE), inside.jets(points(), SPACE))
    with pytest.raises(StatementError, match="Ridge; pass one as network="):
        network_from(separate_of("module", "mlp", "mlp").settings())


def test_periodic_inputs_reach_every_part():
    like = torch.tensor([0.5, 0.5], dtype=torch.float64)
    inputs = Inputs(like, like, (1.0, None))
    network = Separate([KAN([3, 3, 1], seed=1), MLP([3, 4, 1], seed=2)], [[1], [0]])
    ends = torch.tensor([[0.0, 0.2], [1.0, 0.2]], dtype=torch.float64)
    jets = network.compose(inputs.jets(ends, SPACE), SPACE)
    assert (jets[:, 0] - jets[:, 1]).abs().max() < 1e-12 * jets.abs().max()


def test_fields_own_outputs_in_any_layout():
    # a second set of outputs, as for a second material, belongs to the same fields
    assert places_of([("u", "v"), "p"], ["u", "v", "p", "u", "v", "p"]) == [[0, 1, 3, 4], [2, 5]]
    assert places_of(["T"], ["T"]) == [[0]]


@pytest.mark.parametrize(
    "names, reason",
    [
        (["u"], "no network for the field 'p'"),
        (["u", "q"], "names 'q', which is no field"),
        (["u", "p", ("u",)], "'u' twice"),
    ],
)
def test_every_field_has_one_network(names, reason):
    with pytest.raises(StatementError, match=reason):
        places_of(names, ["u", "u", "p"])


def test_parts_that_do_not_fit_are_refused():
    one = MLP([2, 3, 1])
    for parts, places, reason in (
        ([one], [[0, 1]], "cannot fill the places"),
        ([one, MLP([2, 1])], [[0], [0]], "every place once"),
        ([], [], "cannot fill"),
        ([one, MLP([3, 1])], [[0], [1]], "same number of inputs"),
        ([one, one], [[0], [1]], "share weights"),
    ):
        with pytest.raises(StatementError, match=reason):
            Separate(parts, places)
    assert Separate([one, copy.deepcopy(one)], [[0], [1]]).n_outputs == 2


CORNER = kinn.Mesh.read(Path(__file__).parents[1] / "problems" / "meshes" / "lshape.msh")


def coupled(mesh=CORNER):
    """A vector and a scalar field; on the L each has singular functions of its own."""
    u, p = kinn.Field("u", mesh, components=2), kinn.Field("p", mesh)
    equations = {"u": -div(grad(u)) - sp.Matrix([1, p]), "p": -div(grad(p)) - 1}
    return kinn.Problem(mesh, equations, [kinn.Dirichlet(u, 0, on="boundary"), kinn.Dirichlet(p, 0, on="boundary")])


def halves():
    """A field with two materials, and a smooth one that follows no jump."""
    mesh = kinn.Mesh([[0.0], [0.5], [1.0]], [[0, 1], [1, 2]], "line", {"ends": [0, 2]}, {"a": [0], "b": [1]})
    u, p = kinn.Field("u", mesh), kinn.Field("p", mesh)
    k = kinn.Coefficient("k", mesh, {"a": 1.0, "b": 5.0})
    equations = {"u": -div(k * grad(u)) - p, "p": -div(grad(p)) - 1}
    return kinn.Problem(mesh, equations, [kinn.Dirichlet(u, 0, on="ends"), kinn.Dirichlet(p, 0, on="ends")])


def made(problem, network, trial=None):
    trial = Trial.of(problem, choose(problem).weak) if trial is None else trial
    return candidates(problem, network, trial, 0, torch.float64, torch.device("cpu"))


@pytest.mark.parametrize(
    "size, periodic, widths",
    [
        ([1, 1], (), [2, 8, 8, 1]),
        ([1, 1], ("left", "right"), [3, 8, 8, 1]),
        ([1, 1, 1], (), [3, 6, 6, 1]),
        ([1, 1, 1], (), [3, 8, 8, 3]),
    ],
)
def test_hidden_layers_are_narrower_for_few_fields_in_space_but_not_with_a_periodic_axis(size, periodic, widths):
    mesh = kinn.Mesh.box([0] * len(size), size, cells=2)
    u = kinn.Field("u", mesh, components=widths[-1])
    rest = [name for name in mesh.boundaries if name not in periodic]
    conditions: list = [kinn.Dirichlet(u, 0, on=name) for name in rest]
    conditions += [kinn.Periodic(u, *periodic)] if periodic else []
    load = sp.ones(3, 1) if widths[-1] == 3 else 1
    networks, _ = made(kinn.Problem(mesh, {"p": -div(grad(u)) - load}, conditions), None)
    assert [network.widths for network in networks] == [widths] * len(networks)


def test_fields_get_networks_by_name():
    mesh = kinn.Mesh.box(0, 1, cells=8)
    (x,), u, p = mesh.coordinates, kinn.Field("u", mesh), kinn.Field("p", mesh)
    exact = {u: (x**4 - 2 * x**3 + x) / 24, p: x * (1 - x) / 2}
    ends = [kinn.Dirichlet(u, 0, on="boundary"), kinn.Dirichlet(p, 0, on="boundary")]
    problem = kinn.Problem(mesh, {"u": -div(grad(u)) - p, "p": -div(grad(p)) - 1}, ends, exact=exact)
    problem.verify()
    own = MLP([1, 4, 1], seed=3)
    solution = kinn.solve(problem, network={"p": own, "u": "kan"}, steps=40, progress=False)
    network, places = solution.result.surrogate.network, {c.field: k for k, c in enumerate(problem.components)}
    assert isinstance(network, Separate) and network.outputs == [[places["p"]], [places["u"]]]
    assert [type(part) for part in network.parts] == [MLP, KAN]
    assert solution.result.network.startswith("MLP [1, 4, 1], tanh, 13 weights + KAN [1, 1], chebyshev degree")
    pairs = zip(own.parameters(), MLP([1, 4, 1], seed=3).parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)  # the user's network is left as it was
    assert all((entry.relative_h1 or 1) < 1e-3 for entry in solution.error(exact).values())


def test_the_defaults_of_a_dict_race_beside_what_is_given():
    (first, second, *others), _ = made(coupled(), {"p": None, "u": "mlp"})
    assert len(others) == 3 and isinstance(second, Separate)
    assert all((a != b).any() for a, b in zip(first.parameters(), second.parameters(), strict=True) if a.std() > 0)
    given = MLP([2, 3, 1])
    raced, trial = made(halves(), {"p": given, "u": lambda seed: KAN([2, 3, 1], seed=seed)}, Trial(periods=(None, 1.0)))
    assert len(raced) == 5 and trial.parts is None


def test_materials_and_singular_functions_belong_to_their_field():
    problem = coupled()
    trial = Trial.of(problem, choose(problem).weak)
    owners = trial.owners(problem)
    assert owners[:3] == ["u", "u", "p"] and len(owners) == trial.n_outputs(3) > 3
    assert owners[3:] == [problem.components[mode.components[0]].field for mode in trial.modes] and "p" in owners[3:]
    (network, *_), kept = made(problem, {"u": "kan", "p": "kan"})
    assert kept.modes and network.outputs == places_of(["u", "p"], owners)
    (network, *_), kept = made(halves(), {("p", "u"): "mlp"})
    assert not isinstance(network, Separate) and network.n_outputs == 4  # one network for all is no pair
    (network, *_), kept = made(halves(), {"p": "mlp", "u": "kan"})
    assert isinstance(network, Separate) and network.outputs == places_of(["p", "u"], kept.owners(halves()))
    assert [len(own) for own in network.outputs] == [2, 2]  # one for each material


class Plain(torch.nn.Module):
    """A user's module with any number of outputs."""

    def __init__(self, outputs, inputs=2):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(inputs, outputs, dtype=torch.float32))

    def forward(self, x):
        return torch.sin(x @ self.weight)


@pytest.mark.parametrize(
    "network", [Plain(3), MLP([2, 3, 3]), {"u": Plain(2), "p": "kan"}, {"u": "mlp", "p": Plain(1)}]
)
def test_a_network_for_the_fields_alone_has_the_plain_trial_space(network):
    (found, *_), trial = made(coupled(), network)
    assert not trial.modes and found.n_outputs == 3
    problem = coupled()
    every = Trial.of(problem, choose(problem).weak).n_outputs(3)
    (found, *_), trial = made(problem, Plain(every))
    assert trial.modes and found.n_outputs == every


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        ({"u": "kan"}, "network= has no network for the field 'p'"),
        ({"u": "kan", "p": "kan", "q": "kan"}, "names 'q', which is no field"),
        ({}, "no network for the field 'u'"),
        ({"u": "kan", "p": "spline"}, "network 'spline' is not known"),
        ({"u": "kan", "p": 3}, "or a dict with one of these for each field"),
        (
            {"u": "kan", "p": MLP([2, 3, 2])},
            r"2 inputs to 2 outputs, but the problem has 2 coordinates and 1 components",
        ),
        ({"u": "kan", "p": lambda seed: "kan"}, "the network is a str; give a kinn network"),
        (Plain(3, inputs=3), r"fails on points of shape \(1, 2\), the problem's coordinates"),
        (torch.nn.Flatten(0), r"maps points \(1, 2\) to shape \(2,\); give one that maps \(n, 2\)"),
    ],
)
def test_networks_that_do_not_fit_the_fields_are_refused(network, reason):
    with pytest.raises(StatementError, match=reason):
        made(coupled(), network)


def test_all_parts_have_the_derivatives_that_the_form_needs():
    problem = coupled(kinn.Mesh.box((0, 0), (1, 1), cells=4))
    rough = {"u": "kan", "p": KAN([2, 3, 1], kinn.BSpline(2))}
    with pytest.raises(StatementError, match="takes derivatives of order 2, but the network's basis has 1"):
        kinn.solve(problem, network=rough, form="strong", progress=False)
