"""XDMF files, and what is wrong with a mesh told in one sentence with its remedy."""

import builtins
from pathlib import Path
from xml.etree import ElementTree

import meshio
import numpy as np
import pytest

from kinn.geometry import Mesh, gauss
from kinn.geometry.gmsh_file import load_gmsh
from kinn.statement.errors import StatementError

MESHES = Path(__file__).parent / "meshes"


def xdmf(path: Path, source: str, lowest: int = 1) -> Path:
    """The file that meshio makes of a Gmsh file, without cells of a dimension below `lowest`."""
    raw, _ = load_gmsh(MESHES / f"{source}.msh")
    kept = [k for k, block in enumerate(raw.cells) if block.dim >= lowest]
    cells = [raw.cells[k] for k in kept]
    data = {"gmsh:physical": [raw.cell_data["gmsh:physical"][k] for k in kept]}
    meshio.xdmf.write(path, meshio.Mesh(raw.points, cells, cell_data=data))
    return path


@pytest.mark.parametrize(
    ("source", "lowest"), [("two_22_ascii", 1), ("cube_22_ascii", 2), ("disk2_quad8", 2), ("ring2_hex20", 3)]
)
def test_groups_in_xdmf(tmp_path, source, lowest):
    mesh, again = Mesh.read(MESHES / f"{source}.msh"), Mesh.read(xdmf(tmp_path / "m.xdmf", source, lowest))
    assert again.identity == mesh.identity and again.order == mesh.order
    # meshio loses the names and keeps the tags
    word = {1: "curve", 2: "surface", 3: "volume"}
    assert all(name.startswith(word[mesh.dimension - 1]) for name in again.boundaries)
    assert all(name.startswith(word[mesh.dimension]) for name in again.subdomains)
    assert len(again.boundaries) == (len(mesh.boundaries) if lowest < mesh.dimension else 0)
    for part in ("boundaries", "subdomains"):
        known = [numbers.tolist() for numbers in getattr(mesh, part).values()]
        assert all(numbers.tolist() in known for numbers in getattr(again, part).values())


def test_names_in_xdmf(tmp_path):
    path = xdmf(tmp_path / "m.xdmf", "two_22_ascii")
    tree = ElementTree.parse(path)
    names = '<main><map key="inlet" dim="1">4</map></main>'
    for grid in tree.iter("Grid"):
        ElementTree.SubElement(grid, "Information", Name="names", Value="1").text = names
    tree.write(path)
    assert "inlet" in Mesh.read(path).boundaries


def test_what_meshio_cannot_read_in_xdmf(tmp_path):
    with pytest.raises(StatementError, match=r"reads no XDMF block number .*34.* beside others; take the .msh"):
        Mesh.read(xdmf(tmp_path / "m.xdmf", "disk2_quad8"))


def test_xdmf_without_h5py_and_damaged(tmp_path, monkeypatch):
    path = xdmf(tmp_path / "m.xdmf", "two_22_ascii")
    with monkeypatch.context() as patch:
        plain = builtins.__import__

        def refuse(name, *rest, **more):
            if name == "h5py":
                raise ModuleNotFoundError("No module named 'h5py'", name="h5py")
            return plain(name, *rest, **more)

        patch.setattr(builtins, "__import__", refuse)
        with pytest.raises(
            StatementError, match=r"needs a library that is not installed \(No module named 'h5py'\); pip install h5py"
        ):
            Mesh.read(path)
    path.with_suffix(".h5").write_bytes(b"nothing")
    with pytest.raises(StatementError, match="is damaged"):
        Mesh.read(path)


def test_folded_cells():
    points = [[0, 0], [1, 0], [0, 1], [0.2, 0.2]]
    with pytest.raises(
        StatementError,
        match=r"cells 0 and 1 lie on the same side of their common facet at \(0.5, 0.5\).*inverted and folded",
    ):
        Mesh(points, [[0, 1, 2], [1, 3, 2]], "triangle")
    # one vertex dragged out over the neighbors
    box = Mesh.box((0, 0), (1, 1), 4)
    moved = np.array(box.points)
    inner = np.flatnonzero(np.isclose(moved, 0.5).all(axis=1))
    moved[inner] = [0.9, 0.45]
    with pytest.raises(StatementError, match="a cell is inverted and folded over its neighbor"):
        Mesh(moved, box.cells, "triangle")
    solid = Mesh.box((0, 0, 0), (1, 1, 1), 2)
    moved = np.array(solid.points)
    moved[np.flatnonzero(np.isclose(moved, 0.5).all(axis=1))] = [1.2, 0.5, 0.5]
    with pytest.raises(StatementError, match="same side of their common facet|zero volume"):
        Mesh(moved, solid.cells, "tetra")


def test_flat_cells_and_orphans():
    with pytest.raises(StatementError, match=r"cell 1 at .* has zero volume \(1 such cells\); mesh the domain anew"):
        Mesh([[0, 0], [1, 0], [0, 1], [2, 0]], [[0, 1, 2], [0, 1, 3]], "triangle")
    with pytest.raises(StatementError, match="point 3 belongs to no cell; drop it"):
        Mesh([[0, 0], [1, 0], [0, 1], [5, 5]], [[0, 1, 2]], "triangle")


def test_no_names(tmp_path):
    disk = Mesh.read(MESHES / "disk_41_ascii.msh")
    for ask in (lambda: disk.facets_of("wall"), lambda: gauss(disk, 2, "wall")):
        with pytest.raises(
            StatementError, match=r"""which has no names; write mesh.tag\("wall", lambda x, \*_: .*'boundary'"""
        ):
            ask()
    disk.tag("wall", lambda x, *_: x < 0)  # as it says
    assert gauss(disk, 2, "wall").x[:, 0].max() < 0.1
