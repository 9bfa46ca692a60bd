"""Where errors and sharp functions sit in a mesh, and that judges with parameters refine there."""

import numpy as np
import pytest

import kinn
from kinn import div, grad
from kinn.formulations.estimate import LARGEST, ErrorEstimate, estimation_space
from kinn.formulations.galerkin import GalerkinSpace
from kinn.formulations.indicators import cell_errors, participation, quadratic_parts
from kinn.statement.terms import weak_terms

BOXES = {
    "line": kinn.Mesh.box(0, 2, cells=8),
    "triangle": kinn.Mesh.box((0, 0), (2, 1), cells=(4, 3)),
    "quad": kinn.Mesh([[0, 0], [1, 0], [2, 0], [0, 1], [1, 1], [2, 1]], [[0, 1, 4, 3], [1, 2, 5, 4]], "quad"),
    "tetra": kinn.Mesh.box((0, 0, 0), (2, 1, 1), cells=2),
}


def stated(mesh):
    u, k = kinn.Field("u", mesh), kinn.Parameter("k", guess=1.0)
    data = kinn.Observations(u, mesh.points[:2] * 0.5 + 0.25, [0.1, 0.2], sigma=0.1)
    problem = kinn.Problem(mesh, -div(k * grad(u)) - 1, [kinn.Dirichlet(u, 0, on="boundary")], [data])
    return problem, weak_terms(problem)


@pytest.mark.parametrize("mesh", BOXES.values(), ids=BOXES)
def test_linear_elements_hold_a_linear_function_and_not_a_square(mesh):
    problem, weak = stated(mesh)
    space, finer = GalerkinSpace(problem, weak, mesh), GalerkinSpace(problem, weak, mesh.refined())
    x = [s.nodes[:, 0] for s in (space, finer)]
    assert quadratic_parts(space, 3 * x[0] - 1).max() < 1e-24
    assert cell_errors(space, x[0]).sum() == pytest.approx(mesh.volumes.sum())  # gradient 1
    assert cell_errors(finer, x[1], len(mesh.cells)) == pytest.approx(mesh.volumes)
    coarse, fine = (quadratic_parts(s, t**2).sum() for s, t in zip((space, finer), x, strict=True))
    assert fine == pytest.approx(coarse / 4)
    if mesh.dimension == 1:  # x^2 less its chord on a cell of size h has the slope 2 (x - middle): h^3 / 3
        assert quadratic_parts(space, x[0] ** 2)[0] == pytest.approx(np.full(8, 0.25**3 / 3))


def test_few_cells_participate_where_one_has_all():
    assert participation(np.array([0.0, 0.0, 3.0, 0.0])) == pytest.approx(0.25)
    assert participation(np.full(10, 0.2)) == pytest.approx(1)
    assert participation(np.zeros(4)) == 1  # where nothing is left, nothing is concentrated


@pytest.mark.parametrize("sharp", [True, False])
def test_a_judge_refines_where_sensitivities_are_too_sharp_for_it(sharp):
    problem, weak = stated(kinn.Mesh.box((-1, -1), (1, 1), cells=(4, 4)))
    judge = ErrorEstimate(problem, estimation_space(problem, weak), smooth=True)
    before = len(judge.space.mesh.cells)
    for _ in range(8):
        x, y = judge.space.nodes.T
        judge._sensitivities = np.stack([np.tanh((x - 0.3) / 0.03) if sharp else np.sin(x), x * y], 1)
        judge.resolve()
        judge._move()
    cells = judge.space.mesh.points[judge.space.mesh.cells]
    width, middle = np.ptp(cells[..., 0], axis=1), cells[..., 0].mean(1)
    if not sharp:
        assert len(cells) == before
        return
    layer = np.abs(middle - 0.3) < 0.01
    assert width[layer].max() < 0.02  # 0.0625 before
    assert width[np.abs(middle - 0.3) > 0.3].min() > 0.03
    # resolved: nothing is refined any more
    assert 2 * judge.space.size <= LARGEST[2]  # by that, and not for want of room
    count, (x, y) = len(cells), judge.space.nodes.T
    judge._sensitivities = np.stack([np.tanh((x - 0.3) / 0.03), x * y], 1)
    judge.resolve()
    judge._move()
    assert len(judge.space.mesh.cells) == count


def test_the_strong_form_lets_its_judge_resolve_sensitivities(monkeypatch):
    asked, mesh = [], kinn.Mesh.box(0, 1, cells=8)
    monkeypatch.setattr(ErrorEstimate, "resolve", lambda self: asked.append(self._sensitivities.shape[1]))
    kinn.solve(stated(mesh)[0], form="strong", steps=20, progress=False)
    assert asked and set(asked) == {1}
