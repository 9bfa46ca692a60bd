"""Per-point Jacobians from one backward pass, against torch.func.jacrev of a plain rewriting of the same residuals."""

import numpy as np
import pytest
import torch
from oracles import NETWORKS, network_of, rows_of

import kinn
from kinn import div, grad
from kinn.formulations.blocks import NormalEquations, PointBlock, chunk_size
from kinn.formulations.program import Program
from kinn.formulations.scaling import initial_surrogate
from kinn.formulations.system import System
from kinn.formulations.trial import Trial
from kinn.formulations.unknowns import Unknowns
from kinn.geometry import Points

LIKE = torch.zeros(0, dtype=torch.float64)


def statement(lifted):
    """Two components and two bounded parameters in residuals that mix derivatives nonlinearly."""
    mesh = kinn.Mesh.box((0, -1), (2, 1), cells=2)
    x, y = mesh.coordinates
    u = kinn.Field("u", mesh, components=2)
    a, b = kinn.Parameter("a", guess=0.7, lower=0), kinn.Parameter("b", guess=-0.2, lower=-1, upper=3)
    first = u[0] * u[1].diff(x, y) + a * u[0].diff(x, 2) ** 2 - u[1] * u[0].diff(y) + x
    second = b * u[0].diff(x) * u[1].diff(y) + a**2 * u[1] - y * u[0].diff(x, 2)
    sides = ("left", "right") if lifted else ()
    conditions: list = [kinn.Dirichlet(u, [1 + x + y**2, 3 * y], on=side) for side in sides]
    edge = u[0] * mesh.normal[0] * u[1].diff(x) + b * u[0] ** 2
    conditions.append(kinn.Condition(edge, on="boundary"))
    return kinn.Problem(mesh, {"one": first, "two": second}, conditions), [first, second], edge


def unknowns_of(problem, network):
    surrogate = initial_surrogate(problem, network, Trial.of(problem), LIKE)
    surrogate.amplitude[:] = torch.tensor([0.8, 2.5])
    return Unknowns.at_guess(problem, surrogate)


def points(problem, n, normals=False):
    rng = np.random.default_rng(0)
    x = rng.uniform(problem.mesh.lower, problem.mesh.upper, (n, 2))
    normal = np.column_stack([np.cos(x[:, 0]), np.sin(x[:, 0])]) if normals else None
    return Points(x, rng.uniform(0.5, 1.5, n), normal)


def assert_equal(found, expected, tolerance=1e-10):
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= tolerance * expected.abs().max()


@pytest.mark.parametrize("lifted", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_jacobian_is_that_of_jacrev(name, lifted):
    problem, expressions, _ = statement(lifted)
    unknowns = unknowns_of(problem, network_of(name, 2, 2))
    assert (unknowns.surrogate.lift is not None) is lifted
    block = PointBlock("both", Program(expressions, problem), points(problem, 6), unknowns.surrogate, factor=3.0)
    rows, jacobian = block.jacobian(unknowns, slice(0, 6))
    oracle = rows_of(block, unknowns)
    assert_equal(rows, oracle(unknowns.vector()))
    assert_equal(jacobian, torch.func.jacrev(oracle)(unknowns.vector()))


def test_boundary_terms_read_normals():
    problem, _, edge = statement(lifted=False)
    unknowns = unknowns_of(problem, network_of("chebyshev", 2, 2))
    block = PointBlock("edge", Program([edge], problem), points(problem, 6, normals=True), unknowns.surrogate)
    oracle = rows_of(block, unknowns)
    rows, jacobian = block.jacobian(unknowns, slice(0, 6))
    assert_equal(rows, oracle(unknowns.vector()))
    assert_equal(jacobian, torch.func.jacrev(oracle)(unknowns.vector()))


def test_data_terms_have_targets_and_keep_their_weights():
    problem, _, _ = statement(lifted=False)
    unknowns, (u, v) = unknowns_of(problem, network_of("mlp", 2, 2)), problem.components
    target = torch.linspace(-1, 1, 6, dtype=torch.float64)
    where = points(problem, 6)
    block = PointBlock("data", Program([u * v], problem), where, unknowns.surrogate, 0.5, target, sums=True)
    values = unknowns.surrogate.values(block.x, ((0, (0, 0)), (1, (0, 0)))).prod(0)
    expected = (0.25 * torch.tensor(where.weight) * (values - target) ** 2).sum()
    assert abs(block.loss(unknowns) - expected.item()) < 1e-12 * expected
    rows, jacobian = block.jacobian(unknowns, slice(0, 6))
    assert_equal(jacobian, torch.func.jacrev(rows_of(block, unknowns))(unknowns.vector()))


@pytest.mark.parametrize("name", ["bspline", "module"])
def test_accumulated_normal_equations_are_those_of_the_dense_jacobian(name):
    problem, expressions, _ = statement(lifted=True)
    unknowns = unknowns_of(problem, network_of(name, 2, 2))
    n = chunk_size(unknowns) + 100
    block = PointBlock("both", Program(expressions, problem), points(problem, n), unknowns.surrogate)
    rows, jacobian = block.jacobian(unknowns, slice(0, n))
    total = NormalEquations.zeros(unknowns)
    block.accumulate(unknowns, total)
    total.complete()
    assert_equal(total.gram, jacobian.T @ jacobian, 1e-12)
    assert_equal(total.gradient, jacobian.T @ rows, 1e-12)
    loss, gradient = block.gradient(unknowns)
    assert_equal(gradient, 2 * jacobian.T @ rows, 1e-12)
    for other in (total.loss, loss, block.loss(unknowns)):
        assert abs(other - (rows @ rows).item()) < 1e-12 * other


def test_system_adds_blocks_and_its_triangle_is_their_cholesky_factor():
    problem, expressions, edge = statement(lifted=False)
    unknowns = unknowns_of(problem, network_of("chebyshev", 2, 2))
    blocks = [
        PointBlock("both", Program(expressions, problem), points(problem, 40), unknowns.surrogate),
        PointBlock("edge", Program([edge], problem), points(problem, 30, normals=True), unknowns.surrogate),
    ]
    system = System(unknowns, blocks)
    loss, gram, gradient = system.normal_equations()
    found = system.triangle()
    assert found is not None
    assert_equal(found[0].T @ found[0], gram, 1e-11)
    assert_equal(found[0].T @ found[1], gradient, 1e-11)
    assert abs(sum(system.losses().values()) - loss) < 1e-12 * loss and set(system.losses()) == {"both", "edge"}
    assert_equal(system.gradient()[1], 2 * gradient, 1e-11)


def test_fewer_rows_than_unknowns_still_give_a_triangle():
    problem, expressions, _ = statement(lifted=False)
    unknowns = unknowns_of(problem, network_of("chebyshev", 2, 2))
    block = PointBlock("both", Program(expressions, problem), points(problem, 3), unknowns.surrogate)
    system = System(unknowns, [block])
    found = system.triangle()
    assert found is not None and found[0].shape == (unknowns.size, unknowns.size)
    assert_equal(found[0].T @ found[0], system.normal_equations()[1], 1e-11)


def test_a_term_without_the_network_has_a_zero_jacobian_for_it():
    problem, _, _ = statement(lifted=False)
    unknowns = unknowns_of(problem, network_of("mlp", 2, 2))
    a = problem.parameters["a"]
    block = PointBlock("prior", Program([a - 1], problem), points(problem, 4), unknowns.surrogate)
    _, jacobian = block.jacobian(unknowns, slice(0, 4))
    assert not jacobian[:, :-2].any() and jacobian[:, -2].all() and not jacobian[:, -1].any()


def test_points_of_an_assembly_do_not_depend_on_the_chunk():
    problem, expressions, _ = statement(lifted=False)
    unknowns = unknowns_of(problem, network_of("gaussian", 2, 2))
    block = PointBlock("both", Program(expressions, problem), points(problem, 20), unknowns.surrogate)
    _, whole = block.jacobian(unknowns, slice(0, 20))
    _, part = block.jacobian(unknowns, slice(5, 9))
    assert_equal(part.view(2, 4, -1), whole.view(2, 20, -1)[:, 5:9], 1e-13)


def test_parameters_respect_their_bounds_and_have_the_stated_slopes():
    problem, _, _ = statement(lifted=False)
    unknowns = unknowns_of(problem, network_of("mlp", 2, 2))
    assert torch.allclose(unknowns.parameters(), torch.tensor([0.7, -0.2], dtype=torch.float64))
    expected = torch.func.jacrev(unknowns.parameters)(unknowns.free).diagonal()
    slopes = [p.slope(f) for p, f in zip(problem.parameters.values(), unknowns.free.tolist(), strict=True)]
    assert slopes == pytest.approx(expected.tolist(), rel=1e-12)
    unknowns.assign(torch.cat([unknowns.vector()[:-2], torch.tensor([-80.0, 80.0])]))
    low, high = unknowns.parameters().tolist()
    assert 0 <= low < 1e-30 and -1 <= high <= 3


def test_single_precision_stays_single():
    mesh = kinn.Mesh.box((0, 0), (1, 1), cells=2)
    u = kinn.Field("u", mesh)
    problem = kinn.Problem(mesh, {"p": -div(grad(u)) - 1}, [kinn.Dirichlet(u, 0, on="left")])
    network = network_of("chebyshev", 2).to(torch.float32)
    surrogate = initial_surrogate(problem, network, Trial.of(problem), LIKE.float())
    unknowns = Unknowns.at_guess(problem, surrogate)
    block = PointBlock("p", Program([(-div(grad(u)) - 1).doit()], problem), points(problem, 5), surrogate)
    rows, jacobian = block.jacobian(unknowns, slice(0, 5))
    assert rows.dtype is torch.float32 and jacobian.dtype is torch.float32 and torch.isfinite(jacobian).all()
