"""Gmsh's .msh files (2.2 and 4.1, text and binary): meshio reads points and cells, groups are read here.

meshio (5.3.5) loses groups of reversed orientation (negative tags) and all but the first unnamed one of an entity, and
refuses files where some entities are in no group; so the entities' table is parsed here and kept from it.
"""

from __future__ import annotations

import contextlib
import io
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import meshio
import numpy as np

from kinn.statement.errors import StatementError

DIMENSIONS: dict[str, int] = meshio._mesh.topological_dimension  # of meshio's cell types
_WORDS = ("point", "curve", "surface", "volume")  # Gmsh's words for entities of dimension 0 to 3


def load_quietly(path: Path, load: Callable[[Any], meshio.Mesh], source: Any = None) -> meshio.Mesh:
    """What `load` reads from `source` (default: the path), without its chatter; one clear error if it cannot."""
    chatter = io.StringIO()
    try:
        with contextlib.redirect_stderr(chatter), contextlib.redirect_stdout(chatter):
            return load(path if source is None else source)
    except ImportError as error:
        raise StatementError(
            f"mesh file {str(path)!r} needs a library that is not installed ({error}); pip install h5py, or convert the "
            "file where it is: meshio convert mesh.xdmf mesh.vtu"
        ) from error
    # meshio meets damaged files with whatever its parsing runs into (IndexError, struct.error, ParseError ...).
    except Exception as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise StatementError(
            f"mesh file {str(path)!r} is damaged, or written in a way that cannot be read ({reason}); write it again"
        ) from error


def load_gmsh(path: Path) -> tuple[meshio.Mesh, list[dict[str, np.ndarray]]]:
    """The raw mesh, and for each of its blocks the groups its elements are in: name -> positions in the block.

    A group without a name is called "curve 3" by its dimension and tag.
    """
    data = path.read_bytes()
    header = re.match(rb"\s*(?:\$Comments.*?\$EndComments\s*)?\$MeshFormat\s+(\S+)\s+([01])\s+(\d+)\s", data, re.DOTALL)
    if header is None:
        raise StatementError(f"mesh file {str(path)!r} is not a Gmsh mesh (no $MeshFormat); save it from Gmsh again")
    version, binary = header[1].decode(errors="replace"), header[2] == b"1"
    if not (version == "4.1" or version.split(".")[0] == "2") or header[3] != b"8":
        raise StatementError(
            f"mesh file {str(path)!r} has Gmsh format {version}; kinn reads 2.2 and 4.1: set Mesh.MshFileVersion = 4.1"
        )
    for section in (b"Nodes", b"Elements"):
        name = section.decode()
        if b"$" + section not in data:
            raise StatementError(f"mesh file {str(path)!r} is truncated or not meshed: it has no ${name}")
        if b"$End" + section not in data:
            raise StatementError(f"mesh file {str(path)!r} is truncated: $End{name} is missing; copy or write it again")
    if b"$PartitionedEntities" in data:
        raise StatementError(f"mesh file {str(path)!r} is partitioned; save it without partitions")
    names = _physical_names(path, data)
    if version != "4.1":
        raw = load_quietly(path, meshio.gmsh.read)
        return raw, groups_by_element(raw, names)

    start, end = data.find(b"$Entities"), data.find(b"$EndEntities")
    entities: dict[tuple[int, int], list[int]] = {}
    stripped = data
    if start >= 0 and end >= 0:
        body = data[data.index(b"\n", start) + 1 : end]
        entities = _entities_binary(path, body) if binary else _entities_text(path, body)
        stripped = data[:start] + data[end + len(b"$EndEntities") :].lstrip(b"\r\n")
    # meshio reads with numpy.fromfile, which needs a file on disk.
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "mesh.msh"
        copy.write_bytes(stripped)
        raw = load_quietly(path, meshio.gmsh.read, copy)
    return raw, _groups_by_entity(raw, names, entities)


def _physical_names(path: Path, data: bytes) -> dict[tuple[int, int], str]:
    """(dimension, tag) -> name, from the $PhysicalNames section, which is text in binary files too."""
    section = re.search(rb"\$PhysicalNames\s(.*?)\$EndPhysicalNames", data, re.DOTALL)
    lines = re.findall(rb'^\s*(\d)\s+(\d+)\s+"(.*)"\s*$', section[1], re.MULTILINE) if section else []
    names = {(int(dimension), int(tag)): name.decode(errors="replace") for dimension, tag, name in lines}
    seen: dict[str, int] = {}
    for (dimension, _), name in names.items():
        if seen.setdefault(name, dimension) != dimension:
            raise StatementError(
                f"mesh file {str(path)!r}: the name {name!r} stands for a {_WORDS[seen[name]]} group and a "
                f"{_WORDS[dimension]} group; rename one"
            )
    return names


def _entities_text(path: Path, body: bytes) -> dict[tuple[int, int], list[int]]:
    """(dimension, entity) -> tags of the physical groups it is in."""
    words = iter(body.split())
    entities: dict[tuple[int, int], list[int]] = {}
    try:
        counts = [int(next(words)) for _ in range(4)]
        for dimension, count in enumerate(counts):
            for _ in range(count):
                entity = int(next(words))
                for _ in range(6 if dimension else 3):  # the bounding box
                    next(words)
                entities[dimension, entity] = [int(next(words)) for _ in range(int(next(words)))]
                if dimension:
                    for _ in range(int(next(words))):  # bounding entities
                        next(words)
    except (StopIteration, ValueError) as error:
        raise StatementError(f"mesh file {str(path)!r} is damaged in $Entities; write it again") from error
    return entities


def _entities_binary(path: Path, body: bytes) -> dict[tuple[int, int], list[int]]:
    entities: dict[tuple[int, int], list[int]] = {}
    place = 0

    def take(kind: str, count: int) -> list[int]:
        nonlocal place
        values = np.frombuffer(body, kind, count, place)
        place += values.nbytes
        return [int(value) for value in values]

    try:
        for dimension, count in enumerate(take("<u8", 4)):
            for _ in range(count):
                entity = take("<i4", 1)[0]
                place += 8 * (6 if dimension else 3)
                entities[dimension, entity] = take("<i4", take("<u8", 1)[0])
                if dimension:
                    take("<i4", take("<u8", 1)[0])
    except (ValueError, OverflowError) as error:
        raise StatementError(f"mesh file {str(path)!r} is damaged in $Entities; write it again") from error
    return entities


def _groups_by_entity(
    raw: meshio.Mesh, names: dict[tuple[int, int], str], entities: dict[tuple[int, int], list[int]]
) -> list[dict[str, np.ndarray]]:
    # Format 4.1: a block is the elements of one entity.
    blocks = []
    for block, owner in zip(raw.cells, map(np.asarray, raw.cell_data["gmsh:geometrical"]), strict=True):
        dimension = DIMENSIONS[block.type]
        tags = entities.get((dimension, int(owner[0])), []) if len(owner) else []
        blocks.append({_name(names, dimension, tag): np.arange(len(block.data)) for tag in tags})
    return blocks


def groups_by_element(raw: meshio.Mesh, names: dict[tuple[int, int], str]) -> list[dict[str, np.ndarray]]:
    """Format 2.2, and what meshio makes of any format: name -> positions, for each block."""
    # Each element has one tag, and stands once for every group it is in.
    blocks: list[dict[str, np.ndarray]] = [{} for _ in raw.cells]
    # Without any group there is no such data, and nothing to do.
    data = map(np.asarray, raw.cell_data.get("gmsh:physical", []))
    for groups, block, tags in zip(blocks, raw.cells, data, strict=False):
        for tag in np.unique(tags[tags != 0]):
            name = _name(names, DIMENSIONS[block.type], int(tag))
            groups[name] = np.union1d(groups.get(name, np.empty(0, dtype=int)), np.flatnonzero(tags == tag))
    return blocks


def _name(names: dict[tuple[int, int], str], dimension: int, tag: int) -> str:
    # A negative tag is the same group, passed backwards.
    return names.get((dimension, abs(tag)), f"{_WORDS[dimension]} {abs(tag)}")


__all__ = ["DIMENSIONS", "groups_by_element", "load_gmsh", "load_quietly"]
