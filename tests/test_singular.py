"""Singular functions: exponents against what is known in closed form, modes against their equations, corners of meshes."""

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy as sp
import torch

import kinn
from kinn import div, grad
from kinn.formulations.pencil import angular_modes, slit_mode
from kinn.formulations.singular import MAX_CORNERS, SingularMode, describe, singular_corners, singular_modes
from kinn.networks.jets import JetSpace
from kinn.statement.terms import weak_terms

PI = np.pi
LAPLACE = np.eye(2).reshape(1, 2, 1, 2)
SECOND = JetSpace.of(product(range(3), range(3)), 2)
FOURTH = JetSpace(tuple(i for i in JetSpace.of(product(range(5), range(5)), 2).indices if sum(i) <= 4))
MESHES = Path(__file__).parents[1] / "problems" / "meshes"


def plane_stress(young=1000.0, nu=0.3):
    lame, mu, one = young * nu / (1 - nu**2), young / 2 / (1 + nu), np.eye(2)
    shear = np.einsum("cd,kl->ckdl", one, one) + np.einsum("cl,kd->ckdl", one, one)
    return lame * np.einsum("ck,dl->ckdl", one, one) + mu * shear


def exponents(sectors, first, last, **more):
    return np.array([mode.exponent for mode in angular_modes(sectors, first, last, **more)])


def mode_at_origin(sectors, mode, rotation, size):
    opening = sum(opening for opening, _ in sectors)
    return SingularMode(
        np.zeros(2), rotation, opening, mode.exponent, mode.breaks, mode.coefficients, tuple(range(size)), size
    )


def places(angles, seed=0):
    r = torch.from_numpy(np.random.default_rng(seed).uniform(0.1, 2, len(angles)))
    a = torch.as_tensor(angles)
    return torch.stack([r * torch.cos(a), r * torch.sin(a)], 1)


def scalar_problem(mesh, conditions, k: Any = 1.0):
    u = kinn.Field("u", mesh)
    return kinn.Problem(mesh, {"heat": -div(k * grad(u, mesh)) - 1}, conditions(u))


def modes_of(problem, singular=True):
    return singular_modes(problem, weak_terms(problem), singular)


def notched():
    """[-1, 1]^2 without its lower right quarter."""
    mesh = kinn.Mesh.box((-1, -1), (1, 1), cells=4)
    center = mesh.points[mesh.cells].mean(axis=1)
    return part_of(mesh, ~((center[:, 0] > 0) & (center[:, 1] < 0)))


def part_of(mesh, keep, **subdomains):
    used, cells = np.unique(mesh.cells[keep], return_inverse=True)
    return kinn.Mesh(mesh.points[used], cells.reshape(-1, mesh.cells.shape[1]), mesh.cell_type, subdomains=subdomains)


# The exponents.


@pytest.mark.parametrize("opening", [0.75 * PI, 1.2 * PI, 1.5 * PI, 2 * PI])
def test_exponents_of_the_laplacian(opening):
    k = np.arange(1, 9)
    for held, wanted in (((True, True), k), ((False, False), k), ((True, False), k - 0.5)):
        wanted = wanted * PI / opening
        wanted = wanted[(wanted < 2) & (np.abs(wanted - np.round(wanted)) > 1e-9)]
        found = exponents([(opening, LAPLACE)], [held[0]], [held[1]], rotation=0.7)
        assert np.abs(found - wanted).max() < 1e-11


def test_an_anisotropic_material_is_a_stretched_isotropic_one():
    c = np.diag([1.0, 25.0]).reshape(1, 2, 1, 2)
    turn = np.arctan2(-1.0, 5.0) % (2 * PI)  # where (x, y / 5) maps the edge at -45 degrees to
    (found,) = exponents([(1.75 * PI, c)], [True], [True], largest=1)
    assert found == pytest.approx(PI / turn, abs=1e-9)


def test_two_materials_at_a_boundary():
    one, two, ratio = 0.9, 1.6, 7.0
    for found in exponents([(one, LAPLACE), (two, ratio * LAPLACE)], [True], [True]):
        assert abs(1 / np.tan(found.real * one) + ratio / np.tan(found.real * two)) < 1e-9 and found.imag == 0


@pytest.mark.parametrize("ratio", [3.0, 1e4])
def test_four_quadrants(ratio):
    materials = [(PI / 2, LAPLACE), (PI / 2, ratio * LAPLACE)] * 2
    assert exponents(materials, None, None)[0] == pytest.approx(4 / PI * np.arctan(ratio**-0.5), abs=1e-11)


def test_free_elastic_corners():
    found = exponents([(1.5 * PI, plane_stress())], [False] * 2, [False] * 2, rotation=0.3)
    assert np.abs(found[:2] - [0.5444837368, 0.9085291898]).max() < 1e-9
    assert np.abs(np.sin(found * 1.5 * PI) ** 2 - (found * np.sin(1.5 * PI)) ** 2).max() < 1e-9
    crack = exponents([(2 * PI, plane_stress())], [False] * 2, [False] * 2)
    assert len(crack) == 4 and np.abs(crack - [0.5, 0.5, 1.5, 1.5]).max() < 1e-10


def test_clamped_and_free_elastic_edges():
    nu, opening = 0.3, PI / 2
    (found,) = exponents([(opening, plane_stress(nu=nu))], [True] * 2, [False] * 2, largest=1)
    right = (4 - (found * (1 + nu) * np.sin(opening)) ** 2) / ((3 - nu) * (1 + nu))
    assert found.imag == 0 and np.sin(found * opening) ** 2 == pytest.approx(right, abs=1e-10)


def test_a_crack_between_two_materials_oscillates():
    ratio, kappa = 20, (3 - 0.3) / (1 + 0.3)
    beta = (kappa - 1) * (1 - ratio) / ((kappa + 1) * (1 + ratio))
    bend = abs(np.log((1 - beta) / (1 + beta)) / (2 * PI))
    found = exponents([(PI, plane_stress()), (PI, ratio * plane_stress())], [False] * 2, [False] * 2, largest=1)
    assert len(found) == 2 and np.abs(found - (0.5 + 1j * bend)).max() < 1e-10


def test_polynomials_are_no_modes():
    for held in ([True], [False]):
        assert not len(exponents([(PI, LAPLACE)], held, held, largest=3.5))
    assert not len(exponents([(PI, LAPLACE), (PI, 5 * LAPLACE)], None, None, largest=2.5))  # kinks along a line
    assert not len(exponents([(PI, plane_stress())], [False] * 2, [False] * 2, largest=1.5))


# The modes.

SKEW = np.array([[2.0, 0.6], [0.6, 1.0]]).reshape(1, 2, 1, 2)
SYSTEMS = {
    "reentrant": ([(1.5 * PI, LAPLACE)], [True], [False]),
    "anisotropic": ([(1.7 * PI, SKEW)], [True], [True]),
    "two materials": ([(1.1, LAPLACE), (2.4, 9 * LAPLACE)], [False], [True]),
    "elastic": ([(1.5 * PI, plane_stress())], [False] * 2, [False] * 2),
    "clamped": ([(0.8 * PI, plane_stress())], [True] * 2, [False] * 2),
    "interface crack": ([(PI, plane_stress()), (PI, 5 * plane_stress())], [False] * 2, [False] * 2),
    "quadrants": ([(PI / 2, LAPLACE), (PI / 2, 5 * LAPLACE)] * 2, None, None),
}


@pytest.mark.parametrize("name", SYSTEMS)
def test_modes_solve_their_problem(name):
    sectors, first, last = SYSTEMS[name]
    rotation, size = 0.4, sectors[0][1].shape[0]
    bounds = np.concatenate([[0.0], np.cumsum([opening for opening, _ in sectors])])
    found = angular_modes(sectors, first, last, rotation)
    assert found
    place = SECOND.position
    for mode in (mode_at_origin(sectors, m, rotation, size) for m in found):
        outside = PI - bounds[-1] / 2  # the modes go on as solutions there
        for number, (opening, c) in enumerate(sectors):
            low = bounds[number] - (outside if number == 0 else 0)
            high = bounds[number] + opening + (outside if number == len(sectors) - 1 else 0)
            x = places(rotation + np.random.default_rng(1).uniform(low, high, 40))
            jets = mode.jets(x, SECOND).numpy()
            seconds = np.stack([jets[place[2, 0]], jets[place[1, 1]], jets[place[1, 1]], jets[place[0, 2]]])
            balance = np.einsum("ckdl,klnd->nc", c, seconds.reshape(2, 2, *seconds.shape[1:]))
            assert np.abs(balance).max() < 1e-8 * np.abs(c).max() * np.abs(seconds).max()
        for cut, held in enumerate(first_and_last(sectors, first, last)):
            before, after = (
                side_of(mode, rotation + bounds[cut] + step, sectors[number % len(sectors)][1])
                for number, step in ((cut - 1, -1e-9), (cut, 1e-9))
            )
            scale = [1, 10 * np.abs(sectors[0][1]).max()]
            if held is None:
                assert all(np.abs(a - b).max() < 1e-7 * s for a, b, s in zip(before, after, scale, strict=True))
            else:
                value, flux = (part / s for part, s in zip(after if cut == 0 else before, scale, strict=True))
                assert np.abs(np.where(held, value, flux)).max() < 1e-7


def first_and_last(sectors, first, last):
    """For each ray around the corner what is held there, None between sectors."""
    return [None] * len(sectors) if first is None else [first, *[None] * (len(sectors) - 1), last]


def side_of(mode, angle, c):
    """Values and fluxes (n, c) across a ray."""
    jets = mode.jets(places(np.full(9, angle)), SECOND).numpy()
    normal, slopes = np.array([-np.sin(angle), np.cos(angle)]), [SECOND.position[1, 0], SECOND.position[0, 1]]
    return jets[0], np.einsum("k,ckdl,lnd->nc", normal, c, jets[slopes])


def plain_jets(function, x, space):
    """Derivatives (m, n) of a pointwise function by nested autograd."""
    x = x.clone().requires_grad_(True)
    known = {(0, 0): function(x)}
    for index in space.indices[1:]:
        axis = 0 if index[0] else 1
        below = known[index[0] - (axis == 0), index[1] - (axis == 1)]
        known[index] = torch.autograd.grad(below.sum(), x, create_graph=True)[0][:, axis]
    return torch.stack([known[index] for index in space.indices]).detach()


def close(found, exact):
    """Equal jets: every derivative of a polynomial of degree 18 costs a digit or so."""
    orders = torch.tensor([sum(index) for index in FOURTH.indices])
    return bool(((found - exact).abs().amax(1) < 1e-12 * 30.0**orders * exact.abs().amax(1)).all())


def lshape_exact(x):
    r, angle = torch.hypot(x[:, 0], x[:, 1]), torch.atan2(-x[:, 0] - x[:, 1], x[:, 1] - x[:, 0])
    return r ** (2 / 3) * torch.cos(2 * angle / 3)


def test_the_corner_of_the_lshape():
    mesh = kinn.Mesh.read(MESHES / "lshape.msh")
    problem = scalar_problem(mesh, lambda u: [kinn.Dirichlet(u, 0, on="wall")])
    first, second = modes_of(problem)
    assert describe(first) == "r^0.667 at (0, 0), opening 270 degrees" and first.radius == np.inf
    assert second.exponent == pytest.approx(4 / 3, abs=1e-11)
    x = torch.from_numpy(mesh.points[np.abs(mesh.points).max(axis=1) > 0.05])
    found, exact = first.jets(x, FOURTH)[..., 0], plain_jets(lshape_exact, x, FOURTH)
    assert close(found, exact)
    assert (first.jets(x, SECOND)[0, :, 0] - lshape_exact(x)).abs().max() < 1e-10
    assert first.jets(torch.zeros(1, 2).double(), SECOND)[0, 0, 0] == 0
    assert first.jets(torch.zeros(1, 2).double(), SECOND).isfinite().all()


def test_a_cutoff_and_a_third_coordinate():
    first = angular_modes([(1.5 * PI, LAPLACE)], [True], [True])[0]
    mode = SingularMode(np.zeros(2), 0.0, 1.5 * PI, first.exponent, first.breaks, first.coefficients, (1,), 3, 0.9)
    x = places(np.linspace(0.01, 1.49 * PI, 200))

    def exact(x):
        square = (x**2).sum(1)
        return lshape_exact(x) * torch.where(square < 0.81, 1 - square / 0.81, 0 * square) ** 4

    wanted = plain_jets(exact, x, FOURTH)
    found = mode.jets(x, FOURTH)
    assert found.shape == (15, 200, 3) and not found[..., [0, 2]].any()
    assert close(found[..., 1], wanted)
    space = JetSpace.of([(2, 0, 0), (1, 1, 0), (0, 0, 1), (1, 0, 1)], 3)
    longer = mode.jets(torch.cat([x, x[:, :1] + 5], 1), space)
    for k, index in enumerate(space.indices):
        if index[2]:
            assert not longer[k].any()
        else:
            assert torch.equal(longer[k], found[FOURTH.position[index[:2]]])


# Corners of meshes.


def cracked(start=-1.0, end=0.0):
    mesh = kinn.Mesh.box((-1, -1), (1, 1), cells=8)
    return mesh.cut("crack", lambda x, y: (np.abs(y) < 1e-9) & (x > start) & (x < end))


def test_the_tip_of_a_slit():
    mesh = cracked()
    problem = scalar_problem(mesh, lambda u: [kinn.Dirichlet(u, 0, on="right")])
    first, *_ = modes_of(problem)
    assert first.exponent == pytest.approx(0.5, abs=1e-11) and first.radius == np.inf
    x = torch.tensor([[0.5, 0.3], [-0.5, 1e-9], [-0.5, -1e-9], [-0.3, -0.4]]).double()
    exact = torch.hypot(*x.T) ** 0.5 * torch.sin(torch.atan2(x[:, 1], x[:, 0]) / 2)
    found = first.jets(x, SECOND)[0, :, 0]
    assert torch.minimum((found - exact).abs().max(), (found + exact).abs().max()) < 1e-10
    (jump,) = modes_of(problem, singular=False)
    exact = torch.hypot(*x.T) * torch.sin(torch.atan2(x[:, 1], x[:, 0]) / 2)
    assert (jump.jets(x, SECOND)[0, :, 0].abs() - exact.abs()).abs().max() < 1e-12
    assert "jump" in describe(jump) and "(0, 0)" in describe(jump)


def test_both_tips_of_an_inner_crack_share_its_length():
    modes = modes_of(scalar_problem(cracked(-0.5, 0.5), lambda u: [kinn.Dirichlet(u, 0, on="right")]))
    tips = {tuple(mode.corner) for mode in modes if mode.exponent.real < 1}
    assert tips == {(-0.5, 0.0), (0.5, 0.0)} and all(mode.radius == pytest.approx(0.9) for mode in modes)


def test_corners_of_a_square_hole_end_before_the_domain_comes_back():
    mesh = kinn.Mesh.box((-1, -1), (1, 1), cells=8)
    outside = np.abs(mesh.points[mesh.cells].mean(axis=1)).max(axis=1) > 0.5
    modes = modes_of(scalar_problem(part_of(mesh, outside), lambda u: [kinn.Dirichlet(u, 0, on="boundary")]))
    assert len({tuple(mode.corner) for mode in modes}) == 4
    assert all(1.2 < mode.radius < 0.9 * np.sqrt(2) for mode in modes)


def test_smooth_problems_have_no_modes():
    mesh = kinn.Mesh.box((0, 0), (2, 1), cells=4)
    x, _ = mesh.coordinates
    assert not modes_of(scalar_problem(mesh, lambda u: [kinn.Dirichlet(u, 0, on="left")], k=1 + x**2))
    ring = np.linspace(0, 2 * PI, 25)[:-1]
    points = np.concatenate([r * np.stack([np.cos(ring), np.sin(ring)], 1) for r in (1, 1.5, 2)])
    quads = [
        [24 * j + i, 24 * j + (i + 1) % 24, 24 * j + 24 + (i + 1) % 24, 24 * j + 24 + i]
        for j in (0, 1)
        for i in range(24)
    ]
    round_ = kinn.Mesh(points, quads, "quad", subdomains={"inner": range(24), "outer": range(24, 48)})
    k = kinn.Coefficient("k", round_, {"inner": 1.0, "outer": 50.0})
    assert not modes_of(scalar_problem(round_, lambda u: [kinn.Dirichlet(u, 0, on="boundary")], k))


@pytest.mark.parametrize("name", ["periodic_cell", "plate_with_hole", "heat_bracket_2d"])
def test_curves_of_second_order_are_no_corners(name):
    mesh = kinn.Mesh.read(MESHES / f"{name}.msh")
    parts = {part: 10.0**i for i, part in enumerate(mesh.subdomains)}
    k = kinn.Coefficient("k", mesh, parts) if len(parts) > 1 else 1.0
    assert not modes_of(scalar_problem(mesh, lambda u: [kinn.Dirichlet(u, 0, on="left")], k))


def test_a_change_of_conditions_on_a_straight_side():
    mesh = kinn.Mesh.box((-1, 0), (1, 1), cells=4).tag("cold", lambda x, y: (y == 0) & (x > 0))
    first, second = modes_of(scalar_problem(mesh, lambda u: [kinn.Dirichlet(u, 0, on="cold")]))
    assert first.exponent == pytest.approx(0.5, abs=1e-11) and tuple(first.corner) == (0, 0)
    assert first.radius == np.inf and second.exponent == pytest.approx(1.5, abs=1e-11)


def test_corners_of_an_inclusion():
    mesh = kinn.Mesh.box((-1, -1), (1, 1), cells=8)
    inside = np.abs(mesh.points[mesh.cells].mean(axis=1)).max(axis=1) < 0.5
    mesh = kinn.Mesh(
        mesh.points,
        mesh.cells,
        "triangle",
        subdomains={"core": np.flatnonzero(inside), "rest": np.flatnonzero(~inside)},
    )
    x, y = mesh.coordinates
    by_name = kinn.Coefficient("k", mesh, {"core": 20.0, "rest": 1.0})
    by_place = sp.Piecewise((20, (sp.Abs(x) < 0.5) & (sp.Abs(y) < 0.5)), (1, True))
    (wanted,) = [e for e in exponents([(PI / 2, 20 * LAPLACE), (1.5 * PI, LAPLACE)], None, None, largest=0.95)]
    for k in (by_name, by_place):
        modes = modes_of(scalar_problem(mesh, lambda u: [kinn.Dirichlet(u, 0, on="boundary")], k))
        singular = [mode for mode in modes if mode.exponent.real < 0.95]
        assert {tuple(mode.corner) for mode in singular} == set(product((-0.5, 0.5), (-0.5, 0.5)))
        assert all(mode.exponent == pytest.approx(wanted, abs=1e-10) for mode in singular)
        assert all(mode.radius == pytest.approx(0.9) for mode in modes)


def test_heat_and_elasticity_are_two_blocks_and_a_pressure_is_none():
    mesh = notched()
    v, heat, p = kinn.Field("v", mesh, components=2), kinn.Field("T", mesh), kinn.Field("p", mesh)
    strain = (grad(v) + grad(v).T) / 2
    stress = 2 * strain + (strain.trace() - heat) * sp.eye(2)
    held = [kinn.Dirichlet(heat, 0, on="boundary")]
    problem = kinn.Problem(mesh, {"balance": -div(stress), "heat": -div(grad(heat)) - 1}, held)
    first = {mode.components: mode.exponent for mode in reversed(modes_of(problem))}
    v0, v1 = (problem.index(c) for c in v)
    assert first[problem.index(heat),] == pytest.approx(2 / 3, abs=1e-10)
    assert first[tuple(sorted((v0, v1)))] == pytest.approx(0.5444837368, abs=1e-8)
    stokes = {"balance": div(2 * strain - p * sp.eye(2)), "mass": div(v)}
    problem = kinn.Problem(mesh, stokes, [kinn.Dirichlet(v, [0, 0], on="boundary")])
    assert not modes_of(problem)


def test_space_time_and_nonlinear_problems():
    tip = modes_of(scalar_problem(cracked() * kinn.Interval("t", 0, 1, cells=2), lambda u: []))[0]
    assert tip.exponent == pytest.approx(0.5, abs=1e-10) and tuple(tip.corner) == (0, 0) and tip.radius == np.inf
    mesh = notched() * kinn.Interval("t", 0, 1, cells=2)
    u, t = kinn.Field("u", mesh), mesh.coordinates[2]
    for flux in (grad(u), (1 + u**2) * (1 + t) * grad(u)):
        conditions = [kinn.Dirichlet(u, 0, on="boundary")]
        problem = kinn.Problem(mesh, {"heat": u.diff(t) - div(flux) - 1}, conditions)
        first = modes_of(problem)[0]
        assert first.exponent == pytest.approx(2 / 3, abs=1e-10) and tuple(first.corner) == (0, 0)
        assert first.jets(torch.rand(3, 3).double(), JetSpace.of([(1, 0, 0)], 3)).shape == (2, 3, 1)
    degenerate = (u.diff(mesh.coordinates[0]) ** 2 + u.diff(mesh.coordinates[1]) ** 2) * grad(u)
    assert not modes_of(kinn.Problem(mesh, {"heat": u.diff(t) - div(degenerate) - 1}, conditions))


def test_only_the_most_singular_corners_are_used():
    mesh = kinn.Mesh.box((0, 0), (8, 3), cells=16)
    x, y = mesh.points[mesh.cells].mean(axis=1).T
    teeth = (y < 1.5) | (np.floor(x) % 2 == 0)
    problem = scalar_problem(part_of(mesh, teeth), lambda u: [kinn.Dirichlet(u, 0, on="boundary")])
    assert len(singular_corners(problem, weak_terms(problem))) == 7
    assert len({tuple(mode.corner) for mode in modes_of(problem)}) == MAX_CORNERS


def test_the_slit_mode_has_a_bounded_gradient():
    mode = mode_at_origin([(2 * PI, LAPLACE)], slit_mode(), PI, 1)
    jets = mode.jets(places(np.linspace(-3.1, 3.1, 50)) * 1e-6, JetSpace.of([(1, 0), (0, 1)], 2))
    assert jets[1:].abs().max() < 1.5
