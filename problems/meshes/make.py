"""The mesh files of this folder, made with Gmsh: `python problems/meshes/make.py` writes them again.

Gmsh (`pip install gmsh`) is needed here only. Every curved part is meshed with elements of second order, whose edges
follow the curve, and every size below is what one would type first: none is tuned. There, coordinates are rounded to
1e-8 of the part, which keeps the files small.
"""

from pathlib import Path

import gmsh
import numpy as np

FOLDER = Path(__file__).parent
DIGITS = 8  # decimals of coordinates, for a part of size 1


def lshape():
    """[-1, 1]^2 without its lower right quarter."""
    corners = [(0, 0), (1, 0), (1, 1), (-1, 1), (-1, -1), (0, -1)]
    sides, surface = polygon(corners, size=0.12)
    gmsh.model.geo.synchronize()
    name(2, domain=[surface])
    name(1, wall=sides)
    return 1.0


def crack_mode_iii():
    """[-1, 1]^2 with a slit from (-1, 0) to (0, 0), whose two faces are two curves with the tip in common."""
    geo, size = gmsh.model.geo, 0.125
    tip, end = geo.addPoint(0, 0, 0, size), geo.addPoint(1, 0, 0, size)
    ligament = geo.addLine(tip, end)
    parts, halves = {}, []
    for word, sign in (("upper", 1), ("lower", -1)):
        mouth, far, near = (geo.addPoint(x, sign * y, 0, size) for x, y in ((-1, 0), (-1, 1), (1, 1)))
        right, side = geo.addLine(end, near), geo.addLine(near, far)
        left, face = geo.addLine(far, mouth), geo.addLine(mouth, tip)
        parts[f"left {word}"], parts[f"{word} face"] = [left], [face]
        parts["top" if sign > 0 else "bottom"] = [side]
        parts.setdefault("right", []).append(right)
        loop = [ligament, right, side, left, face]
        halves.append(geo.addPlaneSurface([geo.addCurveLoop(loop)]))
    geo.synchronize()
    name(1, **parts)
    name(2, domain=halves)
    return 1.0


def plate_with_hole():
    """A quarter of a square plate of half width 20 with a hole of radius 5 at the origin."""
    geo, radius, width = gmsh.model.geo, 5.0, 20.0
    center = geo.addPoint(0, 0, 0)
    fine, coarse = 0.8, 2.5
    corners = [(radius, 0, fine), (width, 0, coarse), (width, width, coarse), (0, width, coarse), (0, radius, fine)]
    p = [geo.addPoint(x, y, 0, size) for x, y, size in corners]
    lines = [geo.addLine(p[i], p[i + 1]) for i in range(4)]
    arc = geo.addCircleArc(p[4], center, p[0])
    surface = geo.addPlaneSurface([geo.addCurveLoop([*lines, arc])])
    geo.synchronize()
    name(1, bottom=lines[0:1], right=lines[1:2], top=lines[2:3], left=lines[3:4], hole=[arc])
    name(2, plate=[surface])
    return width


def heat_bracket_2d():
    """An L of 100 mm x 100 mm with legs of 40 mm, a fillet of 10 mm and a hole in each leg; two materials."""
    occ = gmsh.model.occ
    leg, end, fillet, joint = 0.04, 0.1, 0.01, 0.06
    corner = leg + fillet
    p = [
        occ.addPoint(x, y, 0)
        for x, y in ((0, 0), (end, 0), (end, leg), (corner, leg), (leg, corner), (leg, end), (0, end))
    ]
    middle = occ.addPoint(corner, corner, 0)
    curves = [occ.addLine(p[0], p[1]), occ.addLine(p[1], p[2]), occ.addLine(p[2], p[3])]
    curves += [
        occ.addCircleArc(p[3], middle, p[4]),
        occ.addLine(p[4], p[5]),
        occ.addLine(p[5], p[6]),
        occ.addLine(p[6], p[0]),
    ]
    body = occ.addPlaneSurface([occ.addCurveLoop(curves)])
    pipe, bolt = (0.02, 0.08, 0.01), (0.08, 0.02, 0.008)
    holes = [(2, occ.addDisk(x, y, 0, r, r)) for x, y, r in (pipe, bolt)]
    plate, _ = occ.cut([(2, body)], holes)
    cut = occ.addLine(occ.addPoint(joint, 0, 0), occ.addPoint(joint, leg, 0))
    occ.fragment(plate, [(1, cut)])
    occ.synchronize()
    lines, surfaces = [c for _, c in gmsh.model.getEntities(1)], [s for _, s in gmsh.model.getEntities(2)]

    def on(test):
        return [c for c in lines if test(*middle_of(1, c))]

    def around(x, y, r):
        return on(lambda a, b: abs(np.hypot(a - x, b - y) - r) < 1e-6)

    name(
        1,
        pipe=around(*pipe), bolt=around(*bolt),
        bottom=on(lambda x, y: y < 1e-9), right=on(lambda x, y: x > end - 1e-9),
        top=on(lambda x, y: y > end - 1e-9), left=on(lambda x, y: x < 1e-9),
        inside=on(lambda x, y: leg - 1e-9 < min(x, y) < corner and max(x, y) < end - 1e-9 and abs(x - joint) > 1e-9),
        joint=on(lambda x, y: abs(x - joint) < 1e-9),
    )  # fmt: skip
    name(
        2,
        steel=[s for s in surfaces if middle_of(2, s)[0] < joint],
        aluminum=[s for s in surfaces if middle_of(2, s)[0] > joint],
    )
    sized(0.006)
    return end


def periodic_cell():
    """The unit cell [-1/2, 1/2]^2 of a square array of disks that fill 30 % of it; opposite sides match."""
    occ, radius = gmsh.model.occ, float(np.sqrt(0.3 / np.pi))
    cell = occ.addRectangle(-0.5, -0.5, 0, 1, 1)
    disk = occ.addDisk(0, 0, 0, radius, radius)
    occ.fragment([(2, cell)], [(2, disk)])
    occ.synchronize()
    lines, surfaces = [c for _, c in gmsh.model.getEntities(1)], [s for _, s in gmsh.model.getEntities(2)]

    def side(axis, value):
        return [c for c in lines if abs(middle_of(1, c)[axis] - value) < 1e-9]

    left, right, bottom, top = side(0, -0.5), side(0, 0.5), side(1, -0.5), side(1, 0.5)
    for second, first, shift in ((right, left, (1, 0)), (top, bottom, (0, 1))):
        gmsh.model.mesh.setPeriodic(1, second, first, [1, 0, 0, shift[0], 0, 1, 0, shift[1], 0, 0, 1, 0, 0, 0, 0, 1])
    interface = [c for c in lines if c not in left + right + bottom + top]
    name(1, left=left, right=right, bottom=bottom, top=top, interface=interface)
    areas = sorted(surfaces, key=lambda s: gmsh.model.occ.getMass(2, s))
    name(2, inclusion=areas[:1], matrix=areas[1:])
    sized(0.07)
    return 1.0


def inverse_inclusion():
    """A square of 100 mm with a disk of radius 25 mm in it, away from the middle."""
    occ = gmsh.model.occ
    block = occ.addRectangle(0, 0, 0, 100, 100)
    disk = occ.addDisk(60, 55, 0, 25, 25)
    occ.fragment([(2, block)], [(2, disk)])
    occ.synchronize()
    lines, surfaces = [c for _, c in gmsh.model.getEntities(1)], [s for _, s in gmsh.model.getEntities(2)]

    def side(axis, value):
        return [c for c in lines if abs(middle_of(1, c)[axis] - value) < 1e-6]

    name(1, left=side(0, 0), right=side(0, 100), bottom=side(1, 0), top=side(1, 100))
    areas = sorted(surfaces, key=lambda s: gmsh.model.occ.getMass(2, s))
    name(2, inclusion=areas[:1], matrix=areas[1:])
    sized(8)
    return 100.0


def composite_disc():
    """[-1, 1]^2 with a disk of radius 1/2 around the origin."""
    occ, radius = gmsh.model.occ, 0.5
    square = occ.addRectangle(-1, -1, 0, 2, 2)
    occ.fragment([(2, square)], [(2, occ.addDisk(0, 0, 0, radius, radius))])
    occ.synchronize()
    lines, surfaces = [c for _, c in gmsh.model.getEntities(1)], [s for _, s in gmsh.model.getEntities(2)]
    name(1, sides=[c for c in lines if np.abs(middle_of(1, c)).max() > 1 - 1e-6])
    areas = sorted(surfaces, key=lambda s: gmsh.model.occ.getMass(2, s))
    name(2, disk=areas[:1], matrix=areas[1:])
    sized(0.12)
    return 1.0


def koch_snowflake():
    """Koch's curve after two steps, from a triangle of side 3 around the origin: 48 edges of length 1/3."""
    corners = [(-1.5, np.sqrt(3) / 2), (0, -np.sqrt(3)), (1.5, np.sqrt(3) / 2)]
    for _ in range(2):
        finer = []
        for p, q in zip(corners, corners[1:] + corners[:1], strict=True):
            (a, b), (dx, dy) = p, np.subtract(q, p)
            tip = (a + dx / 2 + dy * np.sqrt(3) / 6, b + dy / 2 - dx * np.sqrt(3) / 6)
            finer += [p, (a + dx / 3, b + dy / 3), tip, (a + 2 * dx / 3, b + 2 * dy / 3)]
        corners = finer
    sides, surface = polygon(corners, size=0.17)
    gmsh.model.geo.synchronize()
    name(1, edge=sides)
    name(2, snowflake=[surface])
    return 1.0


def flower():
    """Five half disks of radius 1 on the sides of a regular pentagon."""
    geo, size = gmsh.model.geo, 0.25
    angles = np.pi / 2 + 2 * np.pi / 5 * np.arange(5)
    apothem = 1 / np.tan(np.pi / 5)
    centers = [geo.addPoint(apothem * np.cos(a), apothem * np.sin(a), 0, size) for a in angles]
    far = np.hypot(apothem, 1)
    corners = [geo.addPoint(far * np.cos(a), far * np.sin(a), 0, size) for a in angles - np.pi / 5]
    tips = [geo.addPoint((apothem + 1) * np.cos(a), (apothem + 1) * np.sin(a), 0, size) for a in angles]
    arcs = []
    for k, center in enumerate(centers):
        arcs.append(geo.addCircleArc(corners[k], center, tips[k]))
        arcs.append(geo.addCircleArc(tips[k], center, corners[(k + 1) % 5]))
    surface = geo.addPlaneSurface([geo.addCurveLoop(arcs)])
    geo.synchronize()
    name(1, edge=arcs)
    name(2, flower=[surface])
    return 1.0


def inverse_flow():
    """A channel of 3 x 1 with a round obstacle of radius 0.15 a little below its middle."""
    occ, radius, place = gmsh.model.occ, 0.15, (0.75, 0.45)
    channel = occ.addRectangle(0, 0, 0, 3, 1)
    occ.cut([(2, channel)], [(2, occ.addDisk(*place, 0, radius, radius))])
    occ.synchronize()
    lines = [c for _, c in gmsh.model.getEntities(1)]

    def side(axis, value):
        return [c for c in lines if abs(middle_of(1, c)[axis] - value) < 1e-6]

    sides = {"inlet": side(0, 0), "outlet": side(0, 3), "walls": side(1, 0) + side(1, 1)}
    name(1, **sides, obstacle=[c for c in lines if all(c not in own for own in sides.values())])
    name(2, fluid=[s for _, s in gmsh.model.getEntities(2)])
    sized(0.12)
    return 3.0


def conduction_3d():
    """A block of 80 mm x 40 mm x 40 mm with a bore of radius 10 mm from front to back, 20 mm from the left."""
    occ = gmsh.model.occ
    block = occ.addBox(0, 0, 0, 0.08, 0.04, 0.04)
    bore = occ.addCylinder(0.025, 0, 0.02, 0, 0.04, 0, 0.01)
    occ.cut([(3, block)], [(3, bore)])
    occ.synchronize()
    faces = [f for _, f in gmsh.model.getEntities(2)]

    def flat(axis, value):
        return [f for f in faces if extent(f, axis) < 1e-6 and abs(middle_of(2, f)[axis] - value) < 1e-6]

    sides = {"left": flat(0, 0.0), "right": flat(0, 0.08), "front": flat(1, 0.0), "back": flat(1, 0.04),
             "bottom": flat(2, 0.0), "top": flat(2, 0.04)}  # fmt: skip
    name(2, **sides, bore=[f for f in faces if all(f not in side for side in sides.values())])
    name(3, block=[v for _, v in gmsh.model.getEntities(3)])
    sized(0.01)
    return 0.08


def elastic_bracket_3d():
    """An angle bracket, 60 mm x 60 mm, 30 mm wide, 12 mm thick, a fillet of 10 mm and a hole of radius 6 mm."""
    occ = gmsh.model.occ
    end, thick, fillet, width, radius = 60.0, 12.0, 10.0, 30.0, 6.0
    corner = thick + fillet
    outline = [(0, 0), (end, 0), (end, thick), (corner, thick), (thick, corner), (thick, end), (0, end)]
    p = [occ.addPoint(x, 0, z) for x, z in outline]
    middle = occ.addPoint(corner, 0, corner)
    curves = [occ.addLine(p[0], p[1]), occ.addLine(p[1], p[2]), occ.addLine(p[2], p[3])]
    curves += [
        occ.addCircleArc(p[3], middle, p[4]),
        occ.addLine(p[4], p[5]),
        occ.addLine(p[5], p[6]),
        occ.addLine(p[6], p[0]),
    ]
    profile = occ.addPlaneSurface([occ.addCurveLoop(curves)])
    solid = [entry for entry in occ.extrude([(2, profile)], 0, width, 0) if entry[0] == 3]
    hole = occ.addCylinder(42, width / 2, 0, 0, 0, thick, radius)
    occ.cut(solid, [(3, hole)])
    occ.synchronize()
    faces = [f for _, f in gmsh.model.getEntities(2)]

    def flat(axis, value):
        return [f for f in faces if extent(f, axis) < 1e-5 and abs(middle_of(2, f)[axis] - value) < 1e-5]

    wall, tip = flat(0, 0.0), flat(0, end)
    inner = [
        f
        for f in faces
        if extent(f, 2) > thick - 1e-5
        and abs(middle_of(2, f)[0] - 42) < radius
        and f not in flat(1, 0.0) + flat(1, width)
    ]
    hole_faces = [f for f in inner if extent(f, 0) < 2 * radius + 1e-3 and extent(f, 1) < 2 * radius + 1e-3]
    rest = [f for f in faces if f not in wall + tip + hole_faces]
    name(2, wall=wall, tip=tip, hole=hole_faces, free=rest)
    name(3, steel=[v for _, v in gmsh.model.getEntities(3)])
    sized(6.0)
    return end


def polygon(corners, size):
    geo = gmsh.model.geo
    points = [geo.addPoint(x, y, 0, size) for x, y in corners]
    sides = [geo.addLine(a, b) for a, b in zip(points, points[1:] + points[:1], strict=True)]
    return sides, geo.addPlaneSurface([geo.addCurveLoop(sides)])


def name(dimension, **parts):
    """Physical groups: what becomes the names of the mesh."""
    for word, entities in parts.items():
        if not entities:
            raise ValueError(f"{word} has no part")
        gmsh.model.addPhysicalGroup(dimension, entities, name=word)


def sized(size):
    """One size everywhere, and 12 elements around a full circle."""
    gmsh.option.setNumber("Mesh.MeshSizeMax", size)
    gmsh.option.setNumber("Mesh.MeshSizeFromCurvature", 12)


def middle_of(dimension, entity):
    """A point on a curve, or the center of mass of a face."""
    if dimension == 1:
        low, high = gmsh.model.getParametrizationBounds(1, entity)
        return gmsh.model.getValue(1, entity, [(low[0] + high[0]) / 2])[:2]
    return gmsh.model.occ.getCenterOfMass(dimension, entity)


def extent(face, axis):
    box = gmsh.model.getBoundingBox(2, face)
    return box[axis + 3] - box[axis]


MESHES = {
    lshape: 1, crack_mode_iii: 1, plate_with_hole: 2, heat_bracket_2d: 2, periodic_cell: 2, inverse_inclusion: 2,
    composite_disc: 2, koch_snowflake: 1, flower: 2, inverse_flow: 2, conduction_3d: 2, elastic_bracket_3d: 2,
}  # fmt: skip


def write(shape, order):
    gmsh.clear()
    gmsh.option.restoreDefaults()
    gmsh.option.setNumber("General.Terminal", 0)
    gmsh.option.setNumber("Mesh.MshFileVersion", 4.1)
    gmsh.model.add(shape.__name__)
    scale = shape()
    gmsh.model.mesh.generate(gmsh.model.getDimension())
    gmsh.model.mesh.setOrder(order)
    tags, coordinates, _ = gmsh.model.mesh.getNodes()
    if order > 1:
        for tag, point in zip(tags, np.round(np.asarray(coordinates).reshape(-1, 3) / scale, DIGITS), strict=True):
            gmsh.model.mesh.setNode(tag, [float(f"{scale * x:.10g}") + 0.0 for x in point], [])
    path = FOLDER / f"{shape.__name__}.msh"
    gmsh.write(str(path))
    _, elements, _ = gmsh.model.mesh.getElements(gmsh.model.getDimension())
    print(f"{path.name}: {sum(map(len, elements))} cells, {len(tags)} nodes, {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    gmsh.initialize()
    for shape, order in MESHES.items():
        write(shape, order)
    gmsh.finalize()
