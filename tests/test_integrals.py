"""Integrals in conditions and data: their derivatives, means that settle constants, load cells, integrals that are refused."""

from dataclasses import replace

import numpy as np
import pytest
import sympy as sp
import torch

import kinn
from kinn import Integral, Parameter, div, grad
from kinn.formulations.choice import choose
from kinn.formulations.data import Data, data_blocks
from kinn.formulations.estimate import ErrorEstimate, estimation_space
from kinn.formulations.integrals import IntegralBlock, IntegralTerm, integral_points, measure_integrals, with_offset
from kinn.formulations.null_space import null_space
from kinn.formulations.scaling import Waves, initial_surrogate, unit_surrogate
from kinn.formulations.system import System
from kinn.formulations.trial import Trial
from kinn.formulations.unknowns import Unknowns
from kinn.geometry import gauss
from kinn.statement.terms import weak_terms

LIKE = torch.zeros(0, dtype=torch.float64)
MESH = kinn.Mesh.box((0, 0), (1, 1), cells=6)
X, Y = MESH.coordinates
U = kinn.Field("u", MESH)
K = Parameter("k", 2.0, lower=0)


def unknowns_of(problem, seed=0):
    """A random network of size 1 on the problem's trial space."""
    d, c = problem.mesh.dimension, len(problem.components)
    network = kinn.KAN([d, 4, c], seed=seed).double()
    surrogate = initial_surrogate(problem, network, Trial.of(problem), LIKE)
    ones = torch.ones(c, dtype=torch.float64)
    return Unknowns.at_guess(problem, replace(surrogate, amplitude=ones))


class Quarter(Waves):
    """The constant 1 / 4, so that a lift on both ends of (0, 1), 4 x (1 - x), makes x (1 - x) of it."""

    def __init__(self):
        super().__init__(1, 1)

    def compose(self, inputs, space, tape=None):
        jets = inputs.new_zeros(len(inputs), inputs.shape[1], 1)
        jets[0] = 0.25
        return jets


def nonlinear_problem():
    number = K * Integral(U**2) - Integral(K * U.diff(X) * MESH.normal[0], "right") ** 2 - 3
    return kinn.Problem(MESH, {"p": -div(K * grad(U)) - 1}, [kinn.Dirichlet(U, 0, on="left"), kinn.Condition(number)])


def test_the_jacobian_of_a_term_of_integrals_is_that_of_differences():
    problem = nonlinear_problem()
    unknowns = unknowns_of(problem)
    term = IntegralTerm("n", problem.conditions[1].residuals(), problem)
    block = IntegralBlock(term, unknowns.surrogate, 2.0, np.array([1.0, 5.0]), np.array([4.0, 9.0]))
    (part,) = block.parts(unknowns)
    rows, jacobian = block.jacobian(unknowns, part)
    assert torch.allclose(rows, block.residuals(unknowns).flatten(), rtol=1e-13)
    assert rows[0] / 4 + 1.0 == pytest.approx(rows[1].item() / 6 + 5.0)  # one number against two values
    theta = unknowns.vector()
    direction = torch.linspace(-1, 1, len(theta), dtype=torch.float64)
    sides = []
    for sign in (1, -1):
        unknowns.assign(theta + sign * 1e-5 * direction)
        sides.append(block.residuals(unknowns).flatten())
    unknowns.assign(theta)
    assert torch.allclose((sides[0] - sides[1]) / 2e-5, jacobian @ direction, rtol=1e-6)
    assert System(unknowns, [block]).triangle() is not None


@pytest.mark.parametrize("over", [None, "right", "core"])
def test_integrals_of_a_known_network(over):
    mesh = kinn.Mesh(MESH.points, MESH.cells, "triangle", MESH.boundaries, {"core": np.arange(20)})
    x, y = mesh.coordinates
    u = kinn.Field("u", mesh)
    problem = kinn.Problem(mesh, {"p": -div(grad(u))}, [kinn.Condition(Integral(x * u.diff(y), over) - 1)])
    unknowns = unknowns_of(problem)
    unknowns.surrogate = unit_surrogate(unknowns.surrogate)
    assert isinstance(unknowns.surrogate.network, Waves)
    block = IntegralBlock(IntegralTerm("c", problem.conditions[0].residuals(), problem), unknowns.surrogate)
    points = gauss(mesh, 12, over)
    at = torch.tensor(points.x)
    slope = unknowns.surrogate.values(at, ((0, (0, 1)),))[0].numpy()
    found = block.residuals(unknowns).item()
    assert found == pytest.approx(points.weight @ (points.x[:, 0] * slope) - 1, rel=1e-7)


def test_integrals_over_the_faces_of_a_crack_take_their_own_side():
    mesh = kinn.Mesh.box((-1, -1), (1, 1), cells=4).cut("crack", lambda x, y: (abs(y) < 1e-9) & (x < 0))
    upper, lower = (integral_points(mesh, (name,)) for name in ("crack+", "crack-"))
    assert (upper.x[:, 1] > 0).all() and (lower.x[:, 1] < 0).all()
    assert upper.weight.sum() == pytest.approx(1) == lower.weight.sum()
    meshes = [mesh.refined(n) for n in (0, 3, 5)]
    shares = [len(integral_points(fine, ())) / len(fine.cells) for fine in meshes]
    assert shares[0] > shares[1] > shares[2] == 3  # fine meshes take lower orders


def test_sizes_do_not_vanish_where_a_wave_has_mean_zero():
    mesh = kinn.Mesh.box(0, 1, cells=8)
    (x,) = mesh.coordinates
    u = kinn.Field("u", mesh)
    problem = kinn.Problem(mesh, {"p": -div(grad(u))}, [kinn.Condition(4 * Integral(u) - 12)])
    unknowns = unknowns_of(problem)
    term = IntegralTerm("mean", problem.conditions[0].residuals(), problem)
    rest, changes = measure_integrals([term], unknowns.surrogate, unknowns.parameters())
    assert rest.item() == pytest.approx(12) and 2 < changes.item() < 6  # 4 int |waves|, waves of size 1
    placed = with_offset(unknowns.surrogate, [term], unknowns.parameters())
    assert placed.offset.item() == pytest.approx(3)
    held = kinn.Problem(mesh, {"p": -div(grad(u))}, [kinn.Dirichlet(u, 0, on="left"), *problem.conditions])
    kept = with_offset(unknowns_of(held).surrogate, [IntegralTerm("m", [Integral(u) - 3], held)], LIKE)
    assert kept.offset.item() == 0


EXACT = sp.cos(sp.pi * X) * sp.cos(sp.pi * Y) / 4 + 3


def mean_problem(condition):
    source = sp.pi**2 / 2 * sp.cos(sp.pi * X) * sp.cos(sp.pi * Y)
    return kinn.Problem(MESH, {"p": -div(grad(U)) - source}, [kinn.Condition(condition)], exact={U: EXACT})


CONDITIONS = {
    "mean": Integral(U) - 3,
    "on a side": Integral(2 * U, "left") / 2 - 3,
    "with a flux": Integral(U + U.diff(X) * Y) - 3,
}


@pytest.mark.parametrize("name", ["mean", "on a side"])
def test_elements_take_the_constant_from_an_integral(name):
    solution = kinn.fem.solve(mean_problem(CONDITIONS[name]), tolerance=5e-3)
    assert solution([[0.0, 0.0], [1.0, 0.0]]) == pytest.approx([3.25, 2.75], abs=2e-4)


def test_what_integrals_do_not_settle_is_refused_by_elements():
    dirichlet = kinn.Dirichlet(U, 0, on="left")
    flux = kinn.Condition(Integral(U.diff(X), "right") - 1)
    cases = [
        [dirichlet, kinn.Condition(Integral(U) - 1)],
        [flux],
        [kinn.Condition(Integral(U) - 1), kinn.Condition(Integral(U, "left"))],
    ]
    for conditions in cases:
        with pytest.raises(
            kinn.StatementError, match="no FEM: 'condition'.* something else than what the equations leave"
        ):
            kinn.fem.solve(kinn.Problem(MESH, {"p": -div(grad(U))}, conditions))
    with pytest.raises(kinn.StatementError, match="is not linear in what the equations leave open"):
        kinn.fem.solve(kinn.Problem(MESH, {"p": -div(grad(U)) + 1}, [kinn.Condition(Integral(U**2) - 1)]))


def test_the_estimate_sees_an_error_of_a_settled_constant():
    problem = mean_problem(Integral(U) - 3)
    assert not len(null_space(problem))
    unknowns = unknowns_of(problem)
    quiet = replace(unknowns.surrogate, amplitude=torch.zeros(1, dtype=torch.float64))
    estimates = []
    for constant in (3.0, 5.0):
        unknowns.surrogate = replace(quiet, offset=torch.tensor([constant], dtype=torch.float64))
        estimate = ErrorEstimate(problem, estimation_space(problem, weak_terms(problem)), smooth=True)
        estimates.append(estimate(unknowns))
        # the correction is the exact solution minus the constant: |e|^2 = int (cos cos / 4 + 3 - c)^2 + grad^2 / 4
        size = sp.integrate((EXACT - constant) ** 2, (X, 0, 1), (Y, 0, 1)) * 4 + sp.pi**2 / 32
        assert estimates[-1] == pytest.approx(float(sp.sqrt(size) / (2 * constant)), rel=1e-4)


@pytest.mark.parametrize("form", ["strong", "weak"])
def test_a_mean_is_trained(form):
    problem = mean_problem(Integral(U) - 3)
    solution = kinn.solve(problem, form=form, tolerance=2e-3, steps=40, progress=False)
    assert solution.status is kinn.Status.CONVERGED and solution.result.estimate_note == ""
    assert solution.error(problem.exact)["u"].relative_l2 < 1e-3
    assert solution.integral(U) == pytest.approx(3, abs=3e-3)


def test_a_load_cell_identifies_a_modulus():
    mesh = kinn.Mesh.box(0, 2, cells=8)
    u, modulus = kinn.Field("u", mesh), Parameter("E", 1.0, lower=0)
    stress = modulus * grad(u)
    force = Integral(stress.dot(mesh.normal), over="right")
    data = kinn.Observations(force, values=[0.70, 0.72, 0.68], sigma=0.02, name="force")
    ends = [kinn.Dirichlet(u, 0, on="left"), kinn.Dirichlet(u, 0.2, on="right")]
    problem = kinn.Problem(mesh, {"bar": -div(stress)}, ends, [data])
    solution = kinn.solve(problem, tolerance=1e-3, steps=60, progress=False)
    found = solution.parameters["E"]  # force = E 0.2 / 2, its mean 0.70 known to 0.02 / sqrt(3)
    assert solution.status is kinn.Status.CONVERGED
    assert found.estimate == pytest.approx(7.0, rel=1e-3) and found.sd == pytest.approx(0.1155, rel=0.2)


def test_noise_of_integrals_is_estimated_from_their_spread():
    values = [2.9, 3.1, 3.0]
    mean = kinn.Observations(Integral(K * U), values=values)
    problem = kinn.Problem(MESH, {"p": -div(grad(U))}, [kinn.Dirichlet(U, 0, on="left")], [mean])
    unknowns, data = unknowns_of(problem), Data.of(problem)
    misfits = data.residuals(unknowns)[0]
    assert np.allclose(np.diff(misfits), -np.diff(values))
    data.estimate_noise(unknowns, 0.0)
    assert data.sigmas[0][0] == pytest.approx(np.sqrt((misfits @ misfits) / 3))
    data.estimate_noise(unknowns, 1.0)
    assert data.sigmas[0][0] == pytest.approx(np.sqrt((misfits @ misfits) / 2))
    (block,) = data_blocks(problem, data.programs, unknowns.surrogate, data.sigmas, 1.0)
    assert block.loss(unknowns) == pytest.approx(2.0)


def test_a_parameter_in_place_of_an_integral_makes_an_equation_nonlocal():
    # -w'' = 1 + int w, w = 0 at both ends: w = (1 + c) x (1 - x) / 2 with c = (1 + c) / 12
    mesh = kinn.Mesh.box(0, 1, cells=4)
    w, c = kinn.Field("w", mesh), Parameter("c", 0.0)
    ends = kinn.Dirichlet(w, 0, on="boundary")
    with pytest.raises(
        kinn.StatementError, match=r"not supported yet: equation 'heat' holds Integral.*Condition\(Integral"
    ):
        kinn.solve(kinn.Problem(mesh, {"heat": -div(grad(w)) - 1 - Integral(w)}, [ends]), progress=False)
    problem = kinn.Problem(mesh, {"heat": -div(grad(w)) - 1 - c}, [ends, kinn.Condition(Integral(w) - c)])
    solution = kinn.solve(problem, steps=40, progress=False)
    assert solution.parameters["c"].estimate == pytest.approx(1 / 11, rel=1e-5)
    assert solution.status is kinn.Status.CONVERGED


def test_the_estimate_lets_conditions_determine_parameters():
    # -(w'' + c) = 0 with c = int w / 2 + 1: at c = 2 the solution is x (1 - x), the right one has c = 24 / 23
    mesh = kinn.Mesh.box(0, 1, cells=4)
    (x,) = mesh.coordinates
    w, c = kinn.Field("w", mesh), Parameter("c", 2.0)
    conditions = [kinn.Dirichlet(w, 0, on="boundary"), kinn.Condition(Integral(w) / 2 + 1 - c)]
    problem = kinn.Problem(mesh, {"heat": -div(grad(w)) - c}, conditions)
    unknowns = unknowns_of(problem)
    lifted = replace(unknowns.surrogate, network=Quarter().double())
    unknowns.surrogate = replace(lifted, amplitude=torch.ones(1, dtype=torch.float64))
    estimate = ErrorEstimate(problem, estimation_space(problem, weak_terms(problem)), smooth=True)
    assert estimate(unknowns) == pytest.approx(abs(12 / 23 - 1), rel=1e-9)
    error = sp.lambdify(x, (sp.Rational(12, 23) - 1) * x * (1 - x))(estimate.space.nodes[:, 0])
    assert np.allclose(estimate.space.values(estimate.error), error, atol=1e-9)


NONLOCAL = {
    "condition": lambda: kinn.Problem(MESH, {"p": -div(grad(U))}, [kinn.Condition(U - Integral(U), on="left")]),
    "flux": lambda: kinn.Problem(MESH, {"p": -div(grad(U))}, [kinn.Neumann(grad(U), Integral(U), on="left")]),
    "data": lambda: kinn.Problem(
        MESH, {"p": -div(grad(U))}, [], [kinn.Observations(U * Integral(U), [[0.5, 0.5]], [1.0])]
    ),
}


@pytest.mark.parametrize("name", NONLOCAL)
def test_integrals_beside_points_are_refused_before_training(name):
    with pytest.raises(
        kinn.StatementError, match="not supported yet: .* holds Integral.* beside what is taken at points"
    ):
        choose(NONLOCAL[name]().check())


def test_elements_refuse_integrals_in_equations_and_normals_on_interfaces():
    problem = kinn.Problem(MESH, {"p": -div(grad(U)) - Integral(U)}, [kinn.Dirichlet(U, 0, on="left")])
    with pytest.raises(kinn.StatementError, match="not supported yet: Integral"):
        kinn.fem.solve(problem)
    square = kinn.Mesh.box((0, 0), (1, 1), cells=2)
    inner = np.setdiff1d(np.arange(len(square.facet_nodes)), square.exterior)[:1]
    mesh = kinn.Mesh(square.points, square.cells, "triangle", {"weld": inner})
    u = kinn.Field("u", mesh)
    expression = Integral(grad(u).dot(mesh.normal), "weld") - 1
    problem = kinn.Problem(mesh, {"p": -div(grad(u))}, [kinn.Condition(expression)])
    with pytest.raises(kinn.StatementError, match="where it has two senses"):
        kinn.solve(problem, progress=False)
