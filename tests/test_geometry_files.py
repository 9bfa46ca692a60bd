"""Mesh files: what Gmsh and `Mesh.write` put in comes out, and a bad file gives one clear sentence."""

from pathlib import Path
from typing import Any

import meshio
import numpy as np
import pytest

from kinn.geometry import Interval, Mesh, gauss
from kinn.statement.errors import StatementError

MESHES = Path(__file__).parent / "meshes"
LSHAPE = MESHES.parent.parent / "problems/meshes/lshape.msh"


@pytest.mark.parametrize("name", ["two_22_ascii", "two_22_binary", "two_41_ascii", "two_41_binary", "quad_41_ascii"])
def test_names_of_two_materials(name):
    """Interior boundaries, facets in two groups, a group passed backwards, one without a name, cells in two groups."""
    mesh = Mesh.read(MESHES / f"{name}.msh")
    lengths = {part: gauss(mesh, 1, part).weight.sum() for part in mesh.boundaries}
    expected = {"inlet": 1, "outlet": 1, "wall": 4, "openings": 2, "interface": 1, "reversed": 1, "curve 10": 1}
    assert lengths == pytest.approx(expected)
    assert {part: gauss(mesh, 1, part).weight.sum() for part in mesh.subdomains} == pytest.approx(
        {"steel": 1, "air gap": 1, "all": 2}
    )
    assert np.allclose(gauss(mesh, 1, "interface").x[:, 0], 1) and np.allclose(gauss(mesh, 1, "inlet").x[:, 0], 0)
    assert len(np.unique(np.sort(mesh.cells, axis=1), axis=0)) == len(mesh.cells)  # 2.2 writes such cells twice


@pytest.mark.parametrize("name", ["cube_22_ascii", "cube_41_binary", "hex_41_ascii"])
def test_names_in_space(name):
    mesh = Mesh.read(MESHES / f"{name}.msh")
    assert mesh.measure == pytest.approx(1) and list(mesh.subdomains) == ["body"]
    assert gauss(mesh, 1, "floor").weight.sum() == pytest.approx(1)
    assert "edge" not in mesh.boundaries  # curve groups of a 3-D mesh name no facets


def test_one_dimension_and_no_groups():
    rod = Mesh.read(MESHES / "rod_41_ascii.msh")
    assert gauss(rod, 1, "hot").x.tolist() == [[0]] and gauss(rod, 1, "cold").x.tolist() == [[2]]
    disk = Mesh.read(MESHES / "disk_41_ascii.msh")
    assert not disk.boundaries and len(disk.facets_of("boundary"))
    assert set(disk.cells.ravel()) == set(range(len(disk.points)))  # the center of the arcs is dropped


def test_committed_lshape():
    mesh = Mesh.read(LSHAPE)
    assert mesh.measure == pytest.approx(3) and list(mesh.subdomains) == ["domain"]
    assert np.array_equal(mesh.facets_of("wall"), mesh.facets_of("boundary"))


@pytest.mark.parametrize(
    "make",
    [
        *[lambda path=path: Mesh.read(path) for path in sorted(MESHES.glob("*.msh"))],
        lambda: Mesh.box(0, 1, 3),
        lambda: Mesh.box((0, 0, 1), (1, 1, 2), 2),
        lambda: Mesh.box(0, 1, 3) * Interval("t", 0, 1, 2),
        lambda: Mesh.read(MESHES / "quad_41_ascii.msh") * Interval("t", 0, 1, 2),
    ],
)
def test_write_then_read(make, tmp_path):
    mesh = make()
    values = np.arange(len(mesh.points))
    mesh.write(tmp_path / "m.vtu", {"u": values, "v": mesh.points[:, :2]}, {"k": np.ones(len(mesh.cells))})
    again = Mesh.read(tmp_path / "m.vtu")
    assert again.identity == mesh.identity and again.coordinates == mesh.coordinates
    for part in ("boundaries", "subdomains"):
        assert getattr(again, part).keys() == getattr(mesh, part).keys()
        for name, numbers in getattr(mesh, part).items():
            assert np.array_equal(getattr(again, part)[name], numbers)
    assert np.array_equal(np.asarray(meshio.vtu.read(tmp_path / "m.vtu").point_data["u"])[: len(values)], values)


def test_bad_writes(tmp_path):
    mesh = Mesh.box(0, 1, 3)
    with pytest.raises(StatementError, match="kinn writes .vtu files"):
        mesh.write(tmp_path / "m.stl")
    with pytest.raises(StatementError, match="its folder does not exist"):
        mesh.write(tmp_path / "nowhere" / "m.vtu")
    with pytest.raises(StatementError, match=r"data 'u' has shape \(3,\); the mesh has 4 points"):
        mesh.write(tmp_path / "m.vtu", {"u": np.zeros(3)})


def test_missing_and_unknown_files(tmp_path):
    with pytest.raises(StatementError, match="no.msh' does not exist"):
        Mesh.read(tmp_path / "no.msh")
    with pytest.raises(StatementError, match="is a folder"):
        Mesh.read(tmp_path)
    (tmp_path / "part.stl").write_text("solid")
    with pytest.raises(StatementError, match="unknown format '.stl'; kinn reads .msh"):
        Mesh.read(tmp_path / "part.stl")
    (tmp_path / "empty.msh").write_bytes(b"")
    with pytest.raises(StatementError, match="is not a Gmsh mesh"):
        Mesh.read(tmp_path / "empty.msh")
    (tmp_path / "old.msh").write_text("$MeshFormat\n3 0 8\n$EndMeshFormat\n")
    with pytest.raises(StatementError, match="has Gmsh format 3; kinn reads 2.2 and 4.1"):
        Mesh.read(tmp_path / "old.msh")


@pytest.mark.parametrize("name", ["two_22_ascii", "two_22_binary", "two_41_ascii", "two_41_binary", "cube_41_binary"])
def test_truncated_files(name, tmp_path):
    data = (MESHES / f"{name}.msh").read_bytes()
    for share in (0.02, 0.3, 0.6, 0.9, 0.99):
        (tmp_path / "cut.msh").write_bytes(data[: int(share * len(data))])
        with pytest.raises(StatementError, match=r"truncated|is not a Gmsh mesh"):
            Mesh.read(tmp_path / "cut.msh")
    # a piece missing in the middle, all section marks there
    middle = data.index(b"$Elements") + 60
    (tmp_path / "hole.msh").write_bytes(data[:middle] + data[middle + 41 :])
    with pytest.raises(StatementError, match="hole.msh"):
        Mesh.read(tmp_path / "hole.msh")


def test_truncated_vtu(tmp_path):
    Mesh.box((0, 0), (1, 1), 2).write(tmp_path / "m.vtu")
    data = (tmp_path / "m.vtu").read_bytes()
    (tmp_path / "m.vtu").write_bytes(data[: len(data) // 2])
    with pytest.raises(StatementError, match="is damaged"):
        Mesh.read(tmp_path / "m.vtu")


def gmsh_file(path: Path, points: list, cells: Any) -> Path:
    meshio.gmsh.write(path, meshio.Mesh(np.array(points, dtype=float), cells), "2.2", binary=False)
    return path


def test_unsuitable_cells(tmp_path):
    path = tmp_path / "m.msh"
    square = [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [2, 0, 0], [0.5, 0, 0], [1, 0.5, 0], [0.5, 0.5, 0]]
    gmsh_file(path, square, [("quad", [[0, 1, 2, 3]]), ("triangle", [[1, 4, 2]])])
    with pytest.raises(StatementError, match="mixes quad and triangle cells"):
        Mesh.read(path)
    gmsh_file(path, [*square, [0.2, 0, 0], [0.8, 0, 0]], [("triangle10", [[0, 1, 2, 5, 8, 6, 7, 9, 3, 4]])])
    with pytest.raises(StatementError, match="cells of type 'triangle10'; .* first and second order .*ElementOrder"):
        Mesh.read(path)
    gmsh_file(path, square, [("vertex", [[0], [1]])])
    with pytest.raises(StatementError, match="has no cells; mesh it first"):
        Mesh.read(path)
    gmsh_file(path, square, [("line", [[0, 1], [1, 2], [2, 3], [3, 0]])])
    with pytest.raises(StatementError, match="lines only.*mesh the surface too"):
        Mesh.read(path)
    gmsh_file(path, [[0, 2, 0], [1, 2, 0], [0, 2, 1]], [("triangle", [[0, 1, 2]])])
    with pytest.raises(StatementError, match=r"another plane than z = constant \(y = 2\)"):
        Mesh.read(path)
    gmsh_file(path, [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 1]], [("triangle", [[0, 1, 2], [0, 2, 3]])])
    with pytest.raises(StatementError, match="on a surface in 3-D and no 3-D cells"):
        Mesh.read(path)
    gmsh_file(path, [[0, 0, 5], [1, 0, 5], [0, 1, 5]], [("triangle", [[0, 1, 2]])])
    assert Mesh.read(path).measure == pytest.approx(0.5)  # a plane z = constant is fine


def test_reading_is_fast(tmp_path):
    """100,000 cells in seconds: no Python loop over cells after meshio's."""
    mesh = Mesh.box((0, 0), (1, 1), 224)
    mesh.write(tmp_path / "m.vtu")
    again = Mesh.read(tmp_path / "m.vtu")
    assert len(again.cells) == 2 * 224**2 and again.identity == mesh.identity
    assert (again.locate(np.random.default_rng(0).random((20_000, 2))) >= 0).all()
