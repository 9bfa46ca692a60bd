"""Jets against nested torch.func derivatives, for every mixed derivative up to order 4."""

import math
from itertools import product

import pytest
import torch
from oracles import BASES, NETWORKS, all_indices, derivative, network_of, plain

from kinn.networks import KAN, JetSpace, Tape, jets
from kinn.networks.activations import silu, tanh
from kinn.networks.jets import closure, partitions

BELL = {0: 1, 1: 1, 2: 2, 3: 5, 4: 15}


def points(dimension, n=5):
    generator = torch.Generator().manual_seed(dimension)
    return 1.9 * torch.rand(n, dimension, generator=generator, dtype=torch.float64) - 0.95


@pytest.mark.parametrize("dimension", [1, 2, 3])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_mixed_derivative_up_to_order_4(name, dimension):
    network, x = network_of(name, dimension, 2), points(dimension)
    space = JetSpace.of(all_indices(dimension, jets.MAX_ORDER), dimension)
    assert len(space.indices) == math.comb(4 + dimension, 4)
    with torch.no_grad():
        found = network.jets(x, space)
        weights = list(network.parameters())
        function = plain(network)
        for position, index in enumerate(space.indices):
            expected = derivative(lambda at: function(weights, at), x, index)
            error = (found[position] - expected).abs().max()
            assert error <= 1e-10 * expected.abs().max(), (index, error)


def test_modules_agree_with_reverse_mode_too():
    network, x = network_of("module", 2), points(2).requires_grad_()
    value = network(x)
    for axis in (0, 1, 1):
        (slopes,) = torch.autograd.grad(value.sum(), x, create_graph=True)
        value = slopes[:, axis : axis + 1]
    space = JetSpace.of([(1, 2)], 2)
    found = network.jets(x.detach(), space)[space.position[1, 2]]
    assert (found - value).abs().max() < 1e-12 * value.abs().max()


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_of_functions_have_the_derivatives_of_the_composition(name):
    outer, inner, x = network_of(name, 3, 2), network_of("mlp", 2, 3), points(2)
    space, weights, first = JetSpace.of([(4, 0), (2, 2)], 2), list(outer.parameters()), list(inner.parameters())
    with torch.no_grad():
        found = outer.compose(inner.jets(x, space), space)
        assert found.shape == (len(space.indices), len(x), 2)
        for position, index in enumerate(space.indices):
            expected = derivative(lambda at: plain(outer)(weights, plain(inner)(first, at)), x, index)
            assert (found[position] - expected).abs().max() <= 1e-10 * expected.abs().max(), index


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_below_a_network_receive_their_gradients_through_it(name):
    outer, inner, x = network_of(name, 3, 2), network_of("mlp", 2, 3), points(2)
    space, weights = JetSpace.of([(2, 0)], 2), list(inner.parameters())
    found = torch.autograd.grad(outer.compose(inner.jets(x, space), space)[-1].sum(), weights)
    upper = list(outer.parameters())
    expected = torch.func.grad(
        lambda lower: derivative(lambda at: plain(outer)(upper, plain(inner)(lower, at)), x, (2, 0)).sum()
    )(weights)
    for one, other in zip(found, expected, strict=True):
        assert (one - other).abs().max() <= 1e-10 * other.abs().max()


@pytest.mark.parametrize("name", NETWORKS)
def test_tapes_give_the_jacobian_of_a_composition(name):
    outer, inner, x = network_of(name, 3, 2), network_of("mlp", 2, 3), points(2)
    space, tape = JetSpace.of([(1, 1)], 2), Tape()
    output = outer.compose(inner.jets(x, space, tape), space, tape)
    found = tape.jacobian(torch.autograd.grad(output[-1].prod(-1).sum(), tape.outputs))

    def rows(lower, upper):
        return derivative(lambda at: plain(outer)(upper, plain(inner)(lower, at)), x, (1, 1)).prod(-1)

    lower, upper = (list(network.parameters()) for network in (inner, outer))
    blocks = [*torch.func.jacrev(rows, 0)(lower, upper), *torch.func.jacrev(rows, 1)(lower, upper)]
    expected = torch.cat([block.flatten(1) for block in blocks], 1)
    assert (found - expected).abs().max() <= 1e-10 * expected.abs().max()


@pytest.mark.parametrize("name", NETWORKS)
def test_jets_of_the_inputs_that_happen_to_vanish_have_gradients(name):
    network, x, space = network_of(name, 2), points(2), JetSpace.of([(2, 0)], 2)
    inputs = space.coordinates(x).requires_grad_()
    (slope,) = torch.autograd.grad(network.compose(inputs, space)[-1].sum(), inputs)
    # d^2 N(g) = N' g'' + N'' g' g': what multiplies g'' is the gradient of the network
    expected = network.jets(x, JetSpace.of([(1, 0), (0, 1)], 2))[1:, :, 0].T
    assert (slope[-1] - expected).abs().max() < 1e-12 * expected.abs().max()


def test_modules_may_stand_on_a_single_point_at_the_origin():
    network = network_of("module", 2)
    x, space = torch.zeros(1, 2, dtype=torch.float64), JetSpace.of([], 2)
    assert torch.equal(network.jets(x, space)[0], network(x))
    assert network(x).abs().max() < 1e-15


def test_a_partial_space_gives_the_same_derivatives_as_the_full_one():
    network, x = network_of("gaussian", 3), points(3)
    full, few = JetSpace.of(all_indices(3, 4), 3), JetSpace.of([(2, 1, 0), (0, 0, 2)], 3)
    some, every = network.jets(x, few), network.jets(x, full)
    for position, index in enumerate(few.indices):
        assert torch.allclose(some[position], every[full.position[index]], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", ["bspline", "chebyshev", "gaussian"])
def test_refined_networks_are_the_same_function(name):
    network = network_of(name, 2)
    assert isinstance(network, KAN)
    finer, x, space = network.refined(), points(2, 200), JetSpace.of(all_indices(2, 2), 2)
    assert finer is not None and finer.n_parameters > network.n_parameters
    before, after = network.jets(x, space), finer.jets(x, space)
    assert (before - after).abs().amax((1, 2)).div(before.abs().amax((1, 2))).max() < 1e-12


def test_edges_are_what_the_forward_pass_sums():
    network, x = network_of("bspline", 2, 1), points(2)
    assert isinstance(network, KAN)
    layer = network._layers()[0]
    found = layer.jets(x.T[None], JetSpace.of([], 2), None)[0].T
    assert torch.allclose(layer.edges(x)[0].sum(-1) + layer.bias, found, atol=1e-14)


@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_products_follow_leibniz(dimension):
    x, space = points(dimension), JetSpace.of(all_indices(dimension, 4), dimension)
    f, g = network_of("mlp", dimension), network_of("chebyshev", dimension)
    weights_f, weights_g = list(f.parameters()), list(g.parameters())
    with torch.no_grad():
        found = space.multiply(f.jets(x, space), g.jets(x, space))
        for position, index in enumerate(space.indices):
            expected = derivative(lambda at: plain(f)(weights_f, at) * plain(g)(weights_g, at), x, index)
            assert (found[position] - expected).abs().max() <= 1e-10 * expected.abs().max(), index


@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_composition_follows_faa_di_bruno(dimension):
    x, space = points(dimension), JetSpace.of(all_indices(dimension, 4), dimension)
    inner = network_of("mlp", dimension)
    weights = list(inner.parameters())
    with torch.no_grad():
        values = inner.jets(x, space)
        sine = torch.stack([torch.sin(values[0] + k * math.pi / 2) for k in range(5)])
        found = space.compose(sine, values)
        for position, index in enumerate(space.indices):
            expected = derivative(lambda at: torch.sin(plain(inner)(weights, at)), x, index)
            assert (found[position] - expected).abs().max() <= 1e-10 * expected.abs().max(), index


def test_partitions_count_as_bell_numbers():
    for index in all_indices(3, 4):
        assert sum(count for count, _ in partitions(index)) == BELL[sum(index)]
        for _, blocks in partitions(index):
            assert tuple(map(sum, zip(*blocks, strict=True))) == index if blocks else sum(index) == 0


def test_closure_is_the_smallest_that_composition_needs():
    assert closure([], 2) == ((0, 0),)
    found = closure([(1, 2), (3, 0)], 2)
    assert set(found) == set(product(range(2), range(3))) | {(k, 0) for k in range(4)}
    assert [sum(index) for index in found] == sorted(sum(index) for index in found)
    assert closure(found, 2) == found


def test_rescaling_turns_reference_derivatives_into_physical_ones():
    network, x, scale = network_of("mlp", 2), points(2), torch.tensor([2.0, 50.0], dtype=torch.float64)
    space, weights = JetSpace.of(all_indices(2, 3), 2), list(network.parameters())
    with torch.no_grad():
        found = network.jets(x / scale, space) * space.rescale(scale)[:, None, None]
        for position, index in enumerate(space.indices):
            expected = derivative(lambda at: plain(network)(weights, at / scale), x, index)
            assert (found[position] - expected).abs().max() <= 1e-10 * expected.abs().max()


@pytest.mark.parametrize("function, plainly", [(tanh, torch.tanh), (silu, torch.nn.functional.silu)])
def test_activations(function, plainly):
    x = torch.linspace(-6, 6, 61, dtype=torch.float64)[:, None]
    found = function(x, 6)
    for order in range(7):
        expected = derivative(plainly, x, (order,))
        assert (found[order] - expected).abs().max() < 1e-11 * max(expected.abs().max().item(), 1)


@pytest.mark.parametrize("name", ["bspline", "chebyshev", "gaussian"])
def test_initial_outputs_have_the_stated_variance(name):
    x, basis = points(2, 4000), BASES[name]
    for gain in (0.5, 1.0):
        networks = [KAN([2, 40], basis, base=False, seed=seed, gain=gain) for seed in range(5)]
        variance = torch.cat([network(x).detach() for network in networks], 1).square().mean().item()
        assert 0.7 * gain**2 < variance < 1.4 * gain**2


def test_seeds_make_networks_and_touch_no_global_state():
    before = torch.get_rng_state()
    first, again, other = (KAN([2, 3, 1], seed=seed) for seed in (4, 4, 5))
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(first(points(2)), again(points(2))) and not torch.equal(first(points(2)), other(points(2)))


def test_no_change_of_the_weights_of_a_kan_leaves_its_function_as_it_is():
    network, x, tape = KAN([2, 5, 5, 1], BASES["chebyshev"], base=False, seed=2), points(2, 400), Tape()
    (output,) = network.jets(x, JetSpace.of([], 2), tape)
    jacobian = tape.jacobian(torch.autograd.grad(output.sum(), tape.outputs))
    singular = torch.linalg.svdvals(jacobian / jacobian.norm(dim=0))
    # a constant on each edge, where a node needs one, would make 29 of these zero
    assert jacobian.shape[1] == network.n_parameters and singular[-1] > 1e-9 * singular[0]
