"""Mistakes that were found by reading: each was silent or a crash once."""

import numpy as np
import pytest
import sympy as sp
from made_meshes import halves

import kinn
from kinn import div, grad


def line(split):
    mesh = kinn.Mesh.box(0, 1, cells=10)
    middle = mesh.points[mesh.cells].mean(1)[:, 0]
    parts = {"a": np.flatnonzero(middle < split), "b": np.flatnonzero(middle > split)}
    return kinn.Mesh(mesh.points, mesh.cells, "line", mesh.boundaries, parts)


def conduction(mesh, conditions=(), k=None):
    u = kinn.Field("u", mesh)
    k = kinn.Coefficient("k", mesh, {"a": 1, "b": 10}) if k is None else k
    flux = k * grad(u)
    return kinn.Problem(mesh, {"heat": -div(flux) - 1}, [kinn.Dirichlet(u, 0, on="left"), *conditions])


def test_a_coefficient_knows_which_cells_have_which_value():
    one, two = conduction(line(0.5)), conduction(line(0.2))
    values = [p.coefficients["k"].numeric(np.array([0.35]))[0] for p in (one, two)]
    assert values == [1, 10] and one.fingerprint() != two.fingerprint()


def test_a_problem_knows_where_its_names_are():
    def problem(height):
        mesh = kinn.Mesh.box((0, 0), (1, 1), cells=4).tag("inlet", lambda x, y: (x < 1e-9) & (y < height))
        u = kinn.Field("u", mesh)
        return kinn.Problem(mesh, {"p": -div(grad(u))}, [kinn.Dirichlet(u, 1, on="inlet")])

    assert problem(0.5).fingerprint() == problem(0.5).fingerprint() != problem(0.8).fingerprint()


def test_a_flux_is_stated_once():
    mesh = kinn.Mesh.box((0, 0), (1, 1), cells=2)
    u = kinn.Field("u", mesh)
    twice = [kinn.Neumann(grad(u), 1, on=("top", "right")), kinn.Neumann(grad(u), 5, on="top")]
    problem = kinn.Problem(mesh, {"heat": -div(grad(u))}, [kinn.Dirichlet(u, 0, on="left"), *twice])
    with pytest.raises(kinn.StatementError, match="flux of 'heat' is stated by .* on 2 facets; state it once"):
        problem.check()
    # insulation by default and a name that is insulated twice are no contradiction
    zero = [kinn.Neumann(grad(u), 0, on=("top", "right")), kinn.Neumann(grad(u), 0, on="top")]
    kinn.Problem(mesh, {"heat": -div(grad(u))}, [kinn.Dirichlet(u, 0, on="left"), *zero]).check()


def test_a_periodic_side_has_no_flux_of_its_own():
    mesh = kinn.Mesh.box((0, 0), (1, 1), cells=2)
    u = kinn.Field("u", mesh)
    conditions = [
        kinn.Periodic(u, "left", "right"),
        kinn.Neumann(grad(u), 1, on="left"),
        kinn.Dirichlet(u, 0, on="top"),
    ]
    with pytest.raises(kinn.StatementError, match="states a flux of 1 on a side of"):
        kinn.Problem(mesh, {"heat": -div(grad(u))}, conditions).check()


def test_a_slit_that_no_trial_solution_can_open_is_refused():
    whole = kinn.Mesh.box((0, 0), (1, 1), cells=4).cut("crack", lambda x, y: abs(y - 0.5) < 1e-9)
    solid = kinn.Mesh.box((0, 0, 0), (1, 1, 1), cells=2).cut("crack", lambda x, y, z: (abs(z - 0.5) < 1e-9) & (x < 0.5))
    for mesh, reason in ((whole, "only where it ends in the domain"), (solid, "in two dimensions of space only")):
        u = kinn.Field("u", mesh)
        problem = kinn.Problem(mesh, {"p": -div(grad(u)) - 1}, [kinn.Dirichlet(u, 0, on=("left", "bottom"))])
        with pytest.raises(kinn.StatementError, match=f"open along .* facets.*{reason}"):
            kinn.solve(problem, steps=1, progress=False)
    edge = kinn.Mesh.box((0, 0), (1, 1), cells=4).cut("crack", lambda x, y: (abs(y - 0.5) < 1e-9) & (x < 0.5))
    u = kinn.Field("u", edge)
    problem = kinn.Problem(edge, {"p": -div(grad(u)) - 1}, [kinn.Dirichlet(u, 0, on="left")])
    assert kinn.solve(problem, steps=1, progress=False).result.surrogate.trial.modes


def test_a_start_with_other_materials_is_refused():
    mesh = line(0.5)
    first = kinn.solve(conduction(mesh), steps=1, progress=False)
    with pytest.raises(kinn.StatementError, match="start= is a solution with other materials"):
        kinn.solve(conduction(mesh, k=sp.Integer(1)), form="weak", start=first, steps=1, progress=False)


@pytest.mark.parametrize("law", [lambda u: grad(u).dot(grad(u)), lambda u: sp.sqrt(u)], ids=["p-laplacian", "root"])
def test_a_tangent_that_vanishes_or_is_infinite_at_rest_is_no_crash(law):
    mesh = kinn.Mesh.box((0, 0), (1, 1), cells=3)
    u = kinn.Field("u", mesh)
    problem = kinn.Problem(mesh, {"p": -div(law(u) * grad(u)) - 1}, [kinn.Dirichlet(u, 0, on="boundary")])
    solution = kinn.solve(problem, form="weak", steps=2, progress=False)
    assert solution.status in (kinn.Status.STEP_LIMIT, kinn.Status.NONFINITE, kinn.Status.STALLED)


def test_an_unknown_wall_flux_beside_two_materials():
    mesh = halves(kinn.Mesh.box((0, 0), (1, 1), cells=4))
    u, q = kinn.Field("u", mesh), kinn.Field("q", mesh, on="left")
    flux = kinn.Coefficient("k", mesh, dict.fromkeys(mesh.subdomains, 1) | {next(iter(mesh.subdomains)): 5}) * grad(u)
    x, y = mesh.coordinates
    data = kinn.Observations(u, [[0.3, 0.4], [0.6, 0.5]], [0.1, 0.2], sigma=0.01)
    problem = kinn.Problem(
        mesh, {"heat": -div(flux)}, [kinn.Dirichlet(u, 0, on="right"), kinn.Neumann(flux, q, on="left")], [data]
    )
    solution = kinn.solve(problem, steps=3, progress=False)
    assert solution.result.form == "weak" and np.isfinite(solution.evaluate(q, [[0.0, 0.5]])).all()


def test_a_load_cell_reads_from_a_file(tmp_path):
    mesh = kinn.Mesh.box((0, 0), (1, 1), cells=2)
    u = kinn.Field("u", mesh)
    (tmp_path / "cell.csv").write_text("force,noise\n3.1,0.1\n2.9,0.1\n")
    data = kinn.Observations.read(kinn.Integral(u, over="right"), tmp_path / "cell.csv", value="force", sigma="noise")
    assert data.is_global and data.values.tolist() == [3.1, 2.9] and data.sigma.tolist() == [0.1, 0.1]
