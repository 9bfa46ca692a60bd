"""Elasticity and conduction: exact solutions, rigid motions, invariants, and the plane laws from the one in space."""

import numpy as np
import pytest
import sympy as sp

from kinn import physics
from kinn.geometry import Mesh
from kinn.statement import Dirichlet, Field, Neumann, Problem, Robin, StatementError, div, weak_terms

PLATE, BLOCK = Mesh.box((0, 0), (2, 1), cells=2), Mesh.box((0, 0, 0), (1, 1, 1), cells=1)
X, Y = PLATE.coordinates
XYZ = BLOCK.coordinates
V, W = Field("v", PLATE, components=2), Field("w", BLOCK, components=3)
E, NU = sp.Rational(1000), sp.Rational(3, 10)
PLANE = {"plane_stress": physics.plane_stress, "plane_strain": physics.plane_strain}


def rigid(points):
    """Translations, and rotations about every axis."""
    d = len(points)
    motions = [sp.eye(d).col(i) for i in range(d)]
    for i in range(d):
        for j in range(i):
            motion = sp.zeros(d, 1)
            motion[i], motion[j] = points[j], -points[i]
            motions.append(motion + 0 * sp.Matrix(points))
    return motions


def of(law, field, displacement):
    """A law of the field with a displacement put in."""
    values = dict(zip(field, displacement, strict=True))
    return law(field, E, NU).subs(values).doit()


@pytest.mark.parametrize("law", PLANE)
def test_rigid_motions_of_a_plate_have_no_stress(law):
    assert all(of(PLANE[law], V, motion) == sp.zeros(2) for motion in rigid((X, Y)))
    assert of(PLANE[law], V, (X, 0)) != sp.zeros(2)


def test_rigid_motions_of_a_block_have_no_stress():
    assert all(of(physics.elastic_stress, W, motion) == sp.zeros(3) for motion in rigid(XYZ))


def test_stresses_are_symmetric_and_follow_lame():
    for stress in (physics.plane_stress(V, E, NU), physics.plane_strain(V, E, NU), physics.elastic_stress(W, E, NU)):
        assert stress == stress.T
    mu = E / (2 * (1 + NU))
    assert of(physics.elastic_stress, W, (XYZ[1], 0, 0))[0, 1] == mu
    bulk = E / (3 * (1 - 2 * NU))
    assert of(physics.elastic_stress, W, XYZ) == 3 * bulk * sp.eye(3)


def test_uniaxial_tension_has_one_stress():
    load = 7
    x, y, z = XYZ
    stress = of(physics.elastic_stress, W, (load / E * x, -NU * load / E * y, -NU * load / E * z))
    assert stress == sp.diag(load, 0, 0) and physics.von_mises(stress) == load
    assert physics.traction(stress, [1, 0, 0]) == sp.Matrix([load, 0, 0])
    assert physics.traction(stress, [0, 1, 0]) == sp.zeros(3, 1)
    plate = of(physics.plane_stress, V, (load / E * X, -NU * load / E * Y))
    assert plate == sp.diag(load, 0) and physics.von_mises(plate) == load


def test_plane_laws_are_the_law_in_space_with_a_stress_or_a_strain_of_zero():
    x, y, z = XYZ
    a, b, c = sp.Rational(1, 3), sp.Rational(-1, 7), sp.Rational(1, 5)
    space = of(physics.elastic_stress, W, (a * x + c * y, b * y, 0))
    assert of(physics.plane_strain, V, (a * X + c * Y, b * Y)) == space[:2, :2]
    assert space[2, 2] == NU * (space[0, 0] + space[1, 1])
    assert sp.simplify(physics.von_mises(space) - physics.von_mises(sp.Matrix(space[:2, :2]), nu=NU)) == 0
    thinned = of(physics.elastic_stress, W, (a * x + c * y, b * y, -NU / (1 - NU) * (a + b) * z))
    assert thinned[2, 2] == 0 and of(physics.plane_stress, V, (a * X + c * Y, b * Y)) == thinned[:2, :2]


def test_exact_solutions_are_in_equilibrium():
    """Lame's tube u_r = A r + B / r, and pure bending of a beam."""
    r2 = (X + 3) ** 2 + (Y + 1) ** 2
    tube = [(2 + 5 / r2) * (X + 3), (2 + 5 / r2) * (Y + 1)]
    bending = [X * Y, -(X**2) / 2 - NU / 2 * Y**2]
    for exact in (tube, bending):
        conditions = [Dirichlet(V, exact, on="left")]
        problem = Problem(PLATE, {"balance": -div(physics.plane_stress(V, E, NU))}, conditions, exact={V: exact})
        assert max(problem.check().verify().values()) < 1e-12
    stress = of(physics.plane_stress, V, bending)
    assert sp.simplify(stress - sp.Matrix([[E * Y, 0], [0, 0]])) == sp.zeros(2)


def test_tractions_are_natural_conditions():
    stress = physics.plane_stress(V, E, NU)
    conditions = [Dirichlet(V, 0, on="left"), Neumann(stress, [0, -1], on="right")]
    rows = weak_terms(Problem(PLATE, -div(stress), conditions).check()).rows
    assert [row.boundary for row in rows] == [(), ((("right",), 1),)]


@pytest.mark.parametrize("d", [2, 3])
def test_invariants_agree_with_eigenvalues_and_do_not_see_rotations(d):
    random = np.random.default_rng(3)
    symbols = sp.symbols(f"s0:{d * d}")
    matrix = sp.Matrix(d, d, symbols)
    principal = sp.lambdify(symbols, list(physics.principal_stresses(matrix)))
    mises = sp.lambdify(symbols, physics.von_mises(matrix))
    for scale in (1, 1e6):
        stress = random.normal(size=(d, d)) * scale
        stress += stress.T
        rotation = np.linalg.qr(random.normal(size=(d, d)))[0]
        turned = rotation @ stress @ rotation.T
        values = np.linalg.eigvalsh(stress)[::-1]
        assert np.allclose(principal(*stress.ravel()), values, rtol=1e-9, atol=1e-9 * scale)
        assert np.isclose(mises(*stress.ravel()), mises(*turned.ravel()), rtol=1e-12)
        one, two, three = [*values, 0][:3]
        assert np.isclose(mises(*stress.ravel()) ** 2, ((one - two) ** 2 + (two - three) ** 2 + (three - one) ** 2) / 2)
    assert np.allclose(principal(*(2 * np.eye(d)).ravel()), 2)
    assert sp.simplify(physics.von_mises(sp.Matrix([[0, 5], [5, 0]])) - 5 * sp.sqrt(3)) == 0


def test_conduction_is_isotropic_or_not():
    T = Field("T", PLATE)
    assert physics.conduction(T, 50) == sp.Matrix([50 * T.diff(X), 50 * T.diff(Y)])
    assert physics.conduction(T, [[2, 1], [1, 3]]) == sp.Matrix([2 * T.diff(X) + T.diff(Y), T.diff(X) + 3 * T.diff(Y)])
    wall = 20 + 10 * X  # a bar with 20 degrees at the left, cooled at the right: k T_x = h (ambient - T)
    flux = physics.conduction(T, 3)
    problem = Problem(PLATE, -div(flux), [Robin(flux, T, 2, 55, on="right")], exact={T: wall})
    assert max(problem.verify().values()) < 1e-12


def test_wrong_shapes_are_named():
    T = Field("T", PLATE)
    for make, text in [
        (
            lambda: physics.plane_stress(W, E, NU),
            "plane_stress is for 2 dimensions, the displacement has 3; use elastic",
        ),
        (lambda: physics.elastic_stress(V, E, NU), "use plane_stress or plane_strain"),
        (lambda: physics.strain(Field("q", PLATE, components=3)), "a displacement with 3 components in 2 dimensions"),
        (lambda: physics.von_mises(T), "a stress the scalar T(x, y); give a matrix (2, 2) or (3, 3)"),
        (lambda: physics.von_mises(sp.eye(3), nu=0.3), "needs no nu"),
        (lambda: physics.traction(sp.ones(2, 3), [1, 0]), "a stress of shape (2, 3)"),
    ]:
        with pytest.raises(StatementError) as error:
            make()
        assert text in str(error.value)
