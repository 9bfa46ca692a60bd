"""Second-order meshes: curved cells through files, points, normals, search, refinement and elements."""

from pathlib import Path

import meshio
import numpy as np
import pytest
import skfem

import kinn
from kinn import div, grad
from kinn.geometry import Interval, Mesh, gauss, graded, sample
from kinn.geometry.cells import shape_functions
from kinn.statement.errors import StatementError

MESHES = Path(__file__).parent / "meshes"
ELEMENTS = {
    "triangle": skfem.ElementTriP2, "quad": skfem.ElementQuad2, "tetra": skfem.ElementTetP2, "hexahedron": skfem.ElementHex2
}  # fmt: skip


def bent(mesh: Mesh, by=lambda x: x + 0.05 * np.sin(np.roll(3 * x, 1, axis=-1) + x)) -> Mesh:
    """The second-order mesh whose nodes are those of `mesh`, moved."""
    nodes = shape_functions(mesh.kind.reference, mesh.kind.nodes(2))[0] @ mesh.points[mesh.cells]
    names = mesh.boundaries, mesh.subdomains, mesh.coordinate_names, mesh.spatial_dimension
    return Mesh(by(mesh.points), mesh.cells, mesh.cell_type, *names, curved=by(nodes))


def blocks() -> Mesh:
    square = Mesh([[0, 0], [1, 0], [2, 0], [0, 1], [1, 1.2], [2, 1]], [[0, 1, 4, 3], [1, 2, 5, 4]], "quad")
    flat = square * Interval("z", 0, 1, 2)
    return Mesh(flat.points, flat.cells, "hexahedron", flat.boundaries)


def unsorted() -> Mesh:
    """Triangles in an order that scikit-fem changes."""
    box = Mesh.box((0, 0), (1, 1), 2)
    turned = np.array([np.roll(row, k)[:: (-1) ** k] for k, row in enumerate(box.cells)])
    nodes = shape_functions(box.kind.reference, box.kind.nodes(2))[0] @ box.points[turned]
    curve = lambda x: x + 0.05 * np.sin(np.roll(3 * x, 1, axis=-1) + x)  # noqa: E731
    return Mesh(curve(box.points), turned, "triangle", box.boundaries, curved=curve(nodes))


FILES = (
    "disk2_tri6",
    "disk2_tri6_22",
    "disk2_quad8",
    "disk2_quad9",
    "ball2_tet10",
    "ring2_hex20",
    "ring2_hex27",
    "crack2_22",
)
MADE = {
    "triangles": lambda: bent(Mesh.box((0, 0), (1, 1), 3)),
    "unsorted": unsorted,
    "quads": lambda: bent(Mesh.read(MESHES / "quad_41_ascii.msh")),
    "tets": lambda: bent(Mesh.box((0, 0, 0), (1, 1, 1), 2)),
    "hexes": lambda: bent(blocks()),
    **{name: (lambda name=name: Mesh.read(MESHES / f"{name}.msh")) for name in FILES},
}


@pytest.fixture(scope="module", params=MADE)
def mesh(request):
    return MADE[request.param]()


def test_divergence_theorem(mesh):
    assert mesh.order == 2
    around = gauss(mesh, 2, "boundary")
    assert around.normal is not None
    flux = (around.weight * (around.x * around.normal).sum(axis=1)).sum()
    assert abs(flux - mesh.dimension * mesh.measure) < 1e-12 * mesh.measure
    assert np.allclose(np.linalg.norm(around.normal, axis=1), 1, atol=1e-14)
    # polynomials of degree p are of degree 2 p in the reference cell
    inside, around = gauss(mesh, 6), gauss(mesh, 6, "boundary")
    assert around.normal is not None
    for axis in range(mesh.dimension):
        for other in range(mesh.dimension):
            volume = (inside.weight * 3 * inside.x[:, axis] ** 2).sum() if axis == other else 0.0
            surface = (around.weight * around.x[:, axis] ** 3 * around.normal[:, other]).sum()
            assert abs(volume - surface) < 1e-12 * around.weight.sum()
    assert np.isclose(gauss(mesh, 0).weight.sum(), mesh.measure, rtol=1e-14)


def test_scikit_fem_agrees(mesh):
    """The same cells, facets and dofs: its integrals and normals are ours."""
    element = ELEMENTS[mesh.cell_type]()
    basis = skfem.Basis(mesh.skfem, element, intorder=8)
    assert np.isclose(basis.dx.sum(), mesh.measure, rtol=1e-13)
    assert np.array_equal(mesh.skfem.facets, mesh.skeleton.facets) and np.array_equal(mesh.skfem.t.T, mesh.cells)
    assert np.allclose(
        np.asarray(basis.doflocs).T[np.asarray(basis.element_dofs).T], mesh.nodes[mesh.cell_nodes], atol=1e-14
    )
    assert np.array_equal(mesh.nodes[: len(mesh.points)], mesh.points)
    for facet in mesh.exterior[:: len(mesh.exterior) // 2]:
        theirs = skfem.FacetBasis(mesh.skfem, element, facets=np.array([facet]), intorder=8)
        ours = gauss(mesh, 6, facets=[facet])
        assert ours.normal is not None
        assert np.isclose(ours.weight.sum(), theirs.dx.sum(), rtol=1e-5)  # a root: no rule is exact
        normal = np.einsum("dfq,fq->d", np.asarray(theirs.normals), theirs.dx)
        assert np.allclose(ours.weight @ ours.normal, normal, atol=1e-12)
        moment = np.einsum("dfq,fq->d", np.asarray(theirs.global_coordinates()), theirs.dx)
        assert np.allclose(ours.weight @ ours.x, moment, atol=1e-5 * theirs.dx.sum())


def test_search(mesh):
    rule, around = gauss(mesh, 2), gauss(mesh, 3, "boundary")
    assert around.normal is not None and rule.cell is not None
    assert np.array_equal(mesh.locate(rule.x), rule.cell) and mesh.contains(mesh.nodes, 1e-9).all()
    extent = np.ptp(mesh.nodes, axis=0).min()
    assert mesh.contains(around.x + 1e-7 * extent * around.normal).all()
    # between chord and curve as well, on both sides of it
    assert not mesh.contains(around.x + 1e-4 * extent * around.normal).any() or len(mesh.slit)
    assert mesh.contains(around.x - 1e-4 * extent * around.normal, 0).all()
    place, jacobian = mesh.reference(rule.x, rule.cell)
    shapes, slopes = shape_functions(mesh.kind.nodes(2), place)
    corners = mesh.nodes[mesh.cell_nodes[rule.cell]]
    assert np.allclose(np.einsum("nk,nkd->nd", shapes, corners), rule.x, atol=1e-12)
    assert np.allclose(np.einsum("nkr,nkd->ndr", slopes, corners), jacobian)
    facet = mesh.exterior[:1].repeat(3)
    x, normal = mesh.on_facet(np.array([[0.2, 0.3], [0.5, 0.1], [0.1, 0.6]])[:, : mesh.dimension - 1], facet)
    assert mesh.contains(x, 1e-9).all() and np.allclose(np.linalg.norm(normal, axis=1), 1)
    assert (mesh.locate(x - 1e-4 * extent * normal, 0) == mesh.skfem.f2t[0, facet]).all()
    assert mesh.locate(np.array([mesh.upper + 1, np.full(mesh.dimension, np.nan)])).tolist() == [-1, -1]


def test_samples(mesh):
    points, around = sample(mesh, 2048), sample(mesh, 1024, "boundary")
    assert around.normal is not None and points.cell is not None
    assert np.isclose(points.weight.sum(), mesh.measure) and (points.weight > 0).all()
    assert mesh.contains(points.x, 1e-10).all() and mesh.contains(around.x, 1e-9).all()
    exact, rule = gauss(mesh, 4), gauss(mesh, 8, "boundary")
    error = points.weight @ points.x**2 - exact.weight @ exact.x**2
    assert np.abs(error).max() < 0.01 * mesh.measure * (mesh.nodes**2).max()
    assert np.isclose(around.weight.sum(), rule.weight.sum(), rtol=2e-3)
    assert np.isclose(
        (around.weight * (around.x * around.normal).sum(axis=1)).sum(), mesh.dimension * mesh.measure, rtol=0.02
    )


@pytest.mark.parametrize("cut", ["refined", "graded"])
def test_the_geometry_stays_exactly_the_same(mesh, cut):
    marks = (np.arange(len(mesh.cells)) % 3 == 0).astype(float)
    finer = mesh.refined() if cut == "refined" else graded(mesh, marks)
    assert finer.order == 2 and len(finer.cells) > len(mesh.cells)
    assert np.isclose(finer.measure, mesh.measure, rtol=1e-14)
    assert list(finer.boundaries) == list(mesh.boundaries) and list(finer.subdomains) == list(mesh.subdomains)
    for name in [*mesh.boundaries, *mesh.subdomains]:
        coarse, fine = gauss(mesh, 8, name), gauss(finer, 8, name)
        assert np.isclose(coarse.weight.sum(), fine.weight.sum(), rtol=1e-6)
        assert np.allclose(coarse.weight @ coarse.x**2, fine.weight @ fine.x**2, rtol=1e-5)
    # the boundary of the finer mesh is on that of the coarse one
    around = gauss(finer, 2, "boundary")
    assert around.normal is not None
    extent = np.ptp(mesh.nodes, axis=0).max()
    assert mesh.contains(around.x, 1e-10).all()
    if not len(mesh.slit):
        assert not mesh.contains(around.x + 1e-6 * extent * around.normal, 1e-8).any()


def test_files(mesh, tmp_path):
    values = np.arange(len(mesh.points), dtype=float)
    mesh.write(tmp_path / "m.vtu", {"u": values, "x": mesh.nodes[:, 0]}, {"k": np.ones(len(mesh.cells))})
    raw = meshio.vtu.read(tmp_path / "m.vtu")
    assert [block.type for block in raw.cells] == [mesh.kind.second]
    assert np.allclose(raw.point_data["x"], raw.points[:, 0])
    assert np.array_equal(np.asarray(raw.point_data["u"])[: len(values)], values)
    again = Mesh.read(tmp_path / "m.vtu")
    assert again.identity == mesh.identity and np.array_equal(again.nodes, mesh.nodes)
    for part in ("boundaries", "subdomains"):
        assert list(getattr(again, part)) == list(getattr(mesh, part))
        assert all(np.array_equal(getattr(again, part)[name], numbers) for name, numbers in getattr(mesh, part).items())


def test_names_and_measures_of_gmsh_files():
    for name in ("tri6", "tri6_22", "quad8", "quad9"):
        disk = Mesh.read(MESHES / f"disk2_{name}.msh")
        assert disk.measure == pytest.approx(np.pi, rel=3e-4)  # straight: 5e-2
        length = {part: gauss(disk, 6, part).weight.sum() for part in disk.boundaries}
        assert length == pytest.approx({"rim": 2 * np.pi, "interface": 0.8 * np.pi}, rel=1e-3)
        area = {part: gauss(disk, 0, part).weight.sum() for part in disk.subdomains}
        assert area == pytest.approx({"core": 0.16 * np.pi, "shell": 0.84 * np.pi}, rel=2e-3)
        rim = gauss(disk, 3, "rim")
        assert rim.normal is not None and np.abs(rim.normal - rim.x).max() < 0.02
    serendipity, full = (Mesh.read(MESHES / f"ring2_hex{count}.msh") for count in (20, 27))
    assert serendipity.measure == pytest.approx(full.measure, rel=1e-12)
    assert gauss(full, 8, "floor").weight.sum() == pytest.approx(np.pi / 4 * 0.75, rel=2e-3)
    ball = Mesh.read(MESHES / "ball2_tet10.msh")
    assert ball.measure == pytest.approx(np.pi / 6, rel=3e-3)
    assert gauss(ball, 8, "round").weight.sum() == pytest.approx(np.pi / 2, rel=3e-3)


def test_identity_tags_and_boxes():
    box = Mesh.box((0, 0), (1, 1), 3)
    plain, curved = bent(box, lambda x: x), bent(box)
    assert len({box.identity, plain.identity, curved.identity}) == 3
    assert plain.box_sides() is not None and curved.box_sides() is None
    # inner nodes moved, the sides straight: still a box
    inner = bent(box, lambda x: x + 0.1 * np.sin(np.pi * x).prod(axis=-1, keepdims=True))
    assert inner.box_sides() is not None and inner.measure == pytest.approx(1, rel=1e-13)
    disk = Mesh.read(MESHES / "disk2_tri6.msh")
    disk.tag("all", lambda x, y: np.hypot(x, y) > 0.9999)  # midpoints of the chords: 0.97
    assert np.array_equal(disk.boundaries["all"], disk.exterior)
    with pytest.raises(StatementError, match="second-order mesh times an interval is not supported yet"):
        _ = disk * Interval("t", 0, 1)


def test_bad_nodes():
    box = Mesh.box((0, 0), (1, 1), 2)
    nodes = shape_functions(box.kind.reference, box.kind.nodes(2))[0] @ box.points[box.cells]
    with pytest.raises(StatementError, match="second-order nodes have shape"):
        Mesh(box.points, box.cells, "triangle", curved=nodes[:, :5])
    wrong = nodes.copy()
    wrong[0, 3:] += 0.01
    with pytest.raises(StatementError, match="second-order nodes of cell .* differ from its neighbor's"):
        Mesh(box.points, box.cells, "triangle", curved=wrong)
    with pytest.raises(StatementError, match="turned inside out by its second-order nodes .*optimize_ho"):
        bent(box, lambda x: x + 0.6 * np.sin(2 * np.pi * x).prod(axis=-1, keepdims=True))


def test_finite_elements_converge_on_a_disk():
    """-lap u = 4, u = 0 on the circle: u = 1 - r^2. P2 on curved cells: order 3 in L2, on straight ones 2."""
    errors = []
    for mesh in (Mesh.box((-1, -1), (1, 1), n) for n in (4, 8)):
        # squares to circles: each concentric square is mapped to the circle of the same size
        def circle(x):
            r = np.abs(x).max(axis=-1, keepdims=True)
            length = np.linalg.norm(x, axis=-1, keepdims=True)
            return x * np.where(length > 0, r / np.maximum(length, 1e-300), 1.0)

        disk = bent(mesh, circle)
        u = kinn.Field("u", disk)
        problem = kinn.Problem(disk, {"p": -div(grad(u)) - 4}, [kinn.Dirichlet(u, 0, on="boundary")])
        solution = kinn.fem.solve(problem, tolerance=1.0)
        points = gauss(disk, 4)
        error = solution(points.x) - (1 - (points.x**2).sum(axis=1))
        errors.append((np.sqrt((points.weight * error**2).sum()), abs(disk.measure - np.pi)))
    rates = np.log2(np.array(errors[0]) / np.array(errors[1]))
    assert rates[0] > 2.5 and rates[1] > 3.5, (errors, rates)
