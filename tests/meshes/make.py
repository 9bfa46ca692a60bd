"""Makes the second-order and cracked mesh files of the tests with Gmsh: `python tests/meshes/make.py`."""

from pathlib import Path

HERE = Path(__file__).parent


def make() -> None:
    import gmsh  # the tests need the files only

    def write(name: str, dimension: int, size: float, incomplete: bool = False, version: float = 4.1, order: int = 2):
        for option, value in (
            ("MeshSizeMax", size), ("MeshSizeMin", size), ("ElementOrder", order), ("SecondOrderIncomplete", incomplete),
            ("MshFileVersion", version), ("Binary", version < 4),
        ):  # fmt: skip
            gmsh.option.setNumber(f"Mesh.{option}", float(value))
        gmsh.model.mesh.generate(dimension)
        if name.startswith("crack"):
            for option, value in (("Dimension", 1), ("PhysicalGroup", 1), ("OpenBoundaryPhysicalGroup", 2)):
                gmsh.plugin.setNumber("Crack", option, value)
            gmsh.plugin.run("Crack")
        gmsh.write(str(HERE / f"{name}.msh"))

    def groups(dimension: int, names: dict) -> None:
        for name, tags in names.items():
            gmsh.model.addPhysicalGroup(dimension, tags, name=name)

    def begin() -> None:
        gmsh.clear()
        gmsh.model.add("model")

    gmsh.initialize()
    gmsh.option.setNumber("General.Terminal", 0)
    occ, geo = gmsh.model.occ, gmsh.model.geo

    for quads in (False, True):  # a disk of radius 0.4 in one of radius 1
        begin()
        occ.fragment([(2, occ.addDisk(0, 0, 0, 1, 1))], [(2, occ.addDisk(0, 0, 0, 0.4, 0.4))])
        occ.synchronize()
        mass = {d: {tag: occ.getMass(d, tag) for _, tag in gmsh.model.getEntities(d)} for d in (1, 2)}
        groups(2, {"core": [t for t, m in mass[2].items() if m < 1], "shell": [t for t, m in mass[2].items() if m > 1]})
        groups(
            1, {"rim": [t for t, m in mass[1].items() if m > 4], "interface": [t for t, m in mass[1].items() if m < 4]}
        )
        gmsh.option.setNumber("Mesh.RecombineAll", float(quads))
        if quads:
            write("disk2_quad9", 2, 0.6)
            write("disk2_quad8", 2, 0.6, incomplete=True, version=2.2)
        else:
            write("disk2_tri6", 2, 0.5)
            write("disk2_tri6_22", 2, 0.5, version=2.2)
    gmsh.option.setNumber("Mesh.RecombineAll", 0)

    begin()  # an eighth of a ball
    occ.addSphere(0, 0, 0, 1, angle1=0, angle3=1.5707963267948966)
    occ.synchronize()
    groups(3, {"body": [1]})
    groups(2, {"round": [t for _, t in gmsh.model.getEntities(2) if gmsh.model.getType(2, t) == "Sphere"]})
    write("ball2_tet10", 3, 0.7)

    begin()  # a quarter of a ring, bent upwards
    center, *corners = (geo.addPoint(x, y, 0) for x, y in ((0, 0), (0.5, 0), (1, 0), (0, 1), (0, 0.5)))
    one, two, three, four = corners
    lines = [
        geo.addLine(one, two), geo.addCircleArc(two, center, three), geo.addLine(three, four),
        geo.addCircleArc(four, center, one),
    ]  # fmt: skip
    floor = geo.addPlaneSurface([geo.addCurveLoop(lines)])
    for line, count in zip(lines, (2, 3, 2, 3), strict=True):
        geo.mesh.setTransfiniteCurve(line, count)
    geo.mesh.setTransfiniteSurface(floor)
    geo.mesh.setRecombine(2, floor)
    made = geo.extrude([(2, floor)], 0.2, 0, 1, [1], recombine=True)
    geo.synchronize()
    groups(3, {"body": [made[1][1]]})
    groups(2, {"floor": [floor], "outside": [made[3][1]]})
    write("ring2_hex27", 3, 1)
    write("ring2_hex20", 3, 1, incomplete=True, version=2.2)

    for order in (1, 2):  # a square with a crack from its left side to its middle
        begin()
        square, line = occ.addRectangle(-1, -1, 0, 2, 2), occ.addLine(occ.addPoint(-1, 0, 0), occ.addPoint(0, 0, 0))
        occ.fragment([(2, square)], [(1, line)])
        occ.synchronize()
        centers = {tag: occ.getCenterOfMass(1, tag) for _, tag in gmsh.model.getEntities(1)}
        places = {tag: gmsh.model.getValue(0, tag, []) for _, tag in gmsh.model.getEntities(0)}
        gmsh.model.addPhysicalGroup(
            1, [t for t, c in centers.items() if abs(c[1]) + abs(c[0] + 0.5) < 1e-6], 1, "crack"
        )
        gmsh.model.addPhysicalGroup(0, [t for t, p in places.items() if abs(p[1]) + abs(p[0] + 1) < 1e-6], 2, "mouth")
        gmsh.model.addPhysicalGroup(2, [1], name="body")
        write("crack_41" if order == 1 else "crack2_22", 2, 0.5, version=4.1 if order == 1 else 2.2, order=order)
    gmsh.finalize()


if __name__ == "__main__":
    make()
