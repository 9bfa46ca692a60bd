"""Every mistake in a statement is one clear line, found before training."""

import math

import pytest
import sympy as sp

from kinn.geometry import Mesh
from kinn.statement import (
    Coefficient,
    Condition,
    Dirichlet,
    Field,
    Initial,
    Neumann,
    Observations,
    Parameter,
    Problem,
    StatementError,
    div,
    grad,
)

MESH = Mesh.box((0, 0), (1, 1), cells=4)
OTHER = Mesh.box((0, 0), (2, 1), cells=4)
X, Y = MESH.coordinates
U, V = Field("u", MESH), Field("v", MESH)
W = Field("w", MESH, components=3)
POISSON = {"poisson": -div(grad(U)) - 1}


def problem(equations=None, conditions=(), observations=(), exact=None):
    return Problem(MESH, equations or POISSON, conditions, observations, exact)


BAD = {
    "boundary name": (
        lambda: problem(conditions=[Dirichlet(U, 0, on="lefd")]),
        "boundary 'lefd' is not in the mesh; it has: 'left', 'right', 'bottom', 'top'. Did you mean 'left'?",
    ),
    "no field": (lambda: problem({"heat": X**2 - 1}), "equation 'heat' holds no field: it reads x**2 - 1 = 0"),
    "unknown symbol": (
        lambda: problem({"heat": div(grad(U)) - sp.Symbol("kk"), "b": Parameter("k", 1.0) * U}),
        "equation 'heat': unknown symbol 'kk', neither a coordinate of the mesh nor a kinn.Parameter; it has: 'x', "
        "'y', 'k'. Did you mean 'k'?",
    ),
    "plain x": (lambda: problem({"heat": div(grad(U)) - sp.Symbol("x")}), "unknown symbol 'x'"),
    "other mesh": (
        lambda: problem({"heat": div(grad(U)) - OTHER.coordinates[0]}), "x belongs to another mesh",
    ),
    "field of another mesh": (lambda: problem({"heat": Field("u", OTHER) - 1}), "lives on another mesh"),
    "undefined function": (lambda: problem({"heat": div(grad(U)) - sp.Function("f")(X)}), "f(x) is no field"),
    "field elsewhere": (lambda: problem({"heat": U.subs(X, 0) - U}), "u(0, y) is taken elsewhere"),
    "normal inside": (lambda: problem({"heat": U - MESH.normal[0]}), "the normal n_x exists on the boundary only"),
    "not finite": (lambda: problem({"heat": U - sp.oo}), "holds a number that is not finite"),
    "flux without div": (
        lambda: problem(conditions=[Neumann(X * Y * grad(V), 0, on="left")]),
        "Neumann 'flux on left': its flux (x*y*Derivative(v(x, y), x), x*y*Derivative(v(x, y), y)) stands under no div "
        "in the equations 'poisson'",
    ),
    "laplacian without div": (
        lambda: problem({"heat": U.diff(X, 2)}, [Neumann(grad(U), 0, on="left")]), "stands under no div",
    ),
    "component without anything": (
        lambda: problem({"a": W[0] + W[1]}, [Dirichlet(W[0], 0, on="left")]),
        "component 'w_2' of field 'w' has no equation, condition or data",
    ),
    "field without anything": (
        lambda: problem({"heat": -div(V * grad(U))}, [Dirichlet(U, 0, on="left")]),
        "field 'v' has no equation, condition or data of its own: 1 equations for 2 unknowns",
    ),
    "parameter nowhere": (
        lambda: problem(exact={Parameter("k", 1.0): 2}), "parameter 'k' appears nowhere in equations",
    ),
    "two values on a facet": (
        lambda: problem(conditions=[Dirichlet(U, 0, on="left"), Dirichlet(U, 1, on="boundary")]),
        "u has two values on one facet, at (0, 0.125): 0 and 1: from 'u on left' and from 'u on boundary'",
    ),
    "field in a value": (lambda: problem(conditions=[Dirichlet(U, V, on="left")]), "its value v(x, y) holds a field"),
    "condition without field": (
        lambda: problem(conditions=[Condition(X, on="left")]), "holds no field: it reads x = 0",
    ),
    "guess outside": (
        lambda: Parameter("k", guess=-1, lower=0),
        "parameter 'k' has guess=-1 outside its bounds (0, inf); give a guess strictly inside them",
    ),
    "guess not finite": (lambda: Parameter("k", guess=math.nan), "parameter 'k' has guess=nan; give a finite number"),
    "bounds crossed": (lambda: Parameter("k", 1, lower=2, upper=0), "lower must be below upper"),
    "observation outside": (
        lambda: problem(observations=[Observations(U, [[0.5, 0.5], [1.5, 0.5]], [1, 2])]),
        "observations of u: 1 of 2 points lie outside the mesh, the first is row 1 at (1.5, 0.5); the mesh spans "
        "[0, 1] x [0, 1]",
    ),
    "observation nan": (
        lambda: Observations(U, [[0.5, 0.5], [0.2, 0.5]], [1, math.nan]), "row 1 of the values is [nan]",
    ),
    "observation point nan": (lambda: Observations(U, [[0.5, math.inf]], [1]), "row 0 of the points is [0.5 inf]"),
    "sigma": (
        lambda: Observations(U, [[0.5, 0.5]], [1], sigma=0),
        "observations of u: sigma=0 is not positive; give a standard deviation above 0, or None to estimate it",
    ),
    "shape": (lambda: Observations(U, [[0.5, 0.5]], [1, 2]), "points of shape (1, 2) and values of shape (2,)"),
    "dimension": (
        lambda: problem(observations=[Observations(U, [[0.5]], [1])]), "points with 1 coordinates in a mesh with 2",
    ),
    "text": (lambda: Observations(U, [["a", 0.5]], [1]), "points are not an array of numbers"),
    "no time": (lambda: problem(conditions=[Initial(U, 0)]), "the mesh has no time axis"),
    "comparison": (lambda: problem({"heat": div(grad(U)) == 1}), "in Python '==' compares; write lhs - rhs"),
    "values": (lambda: Dirichlet(W, [0, 1], on="left"), "has 2 values for 3 components"),
    "dirichlet of a derivative": (lambda: Dirichlet(U.diff(X), 0, on="left"), "use Condition(expression, on=...)"),
    "no place": (lambda: Condition(U, on=None), "give the name of a part of the boundary"),
    "two fields": (lambda: problem({"a": U - Field("u", MESH, components=2)[0]}), "two different fields are named 'u'"),
    "two parameters": (
        lambda: problem({"a": U * Parameter("k", 1.0) + Parameter("k", 2.0)}), "two different parameters are named 'k'",
    ),
    "one name": (lambda: problem({"a": U * Parameter("u", 1.0)}), "'u' names two things"),
    "name of a coordinate": (lambda: Field("x", MESH), "has the name of a coordinate"),
    "field name": (lambda: Field("u v", MESH), "take letters, digits and underscores"),
    "components": (lambda: Field("u", MESH, components=0), "give a whole number of at least 1"),
    "coefficient": (lambda: Coefficient("k", MESH, "table.csv"), "give a torch function"),  # type: ignore[arg-type]
    "no equations": (lambda: Problem(MESH, {}), "the problem has no equation"),
    "conditions": (lambda: problem(conditions=[U]), "conditions hold u(x, y)"),
    "subdomain": (lambda: problem({"a": U}).verify(), "there is no exact solution to verify"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_clear_line(case):
    make, text = BAD[case]
    with pytest.raises(StatementError) as error:
        made = make()
        if isinstance(made, Problem):
            made.check()
    assert text in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "options", "text"),
    [
        ("x,y,temp\n0,0,1\n", {}, "has no column 'u'; it has: 'x', 'y', 'temp'"),
        ("x,y,temp\n0,0,1\n", {"value": "tmp"}, "has no column 'tmp'; it has: 'x', 'y', 'temp'. Did you mean 'temp'?"),
        ("x,y,u\n0,0,1\n0,0,nan\n", {}, "line 3: column 'u' is 'nan', not a finite number"),
        ("x,y,u\n0,0,1\n0,0\n", {}, "line 3: column 'u' is '', not a finite number"),
        ("x,y,u\n0,zero,1\n", {}, "line 2: column 'y' is 'zero'"),
        ("x,y,u\n0,0,1\n", {"sigma": "noise"}, "has no column 'noise'"),
        ("x,y,u\n0,0,1\n", {"sigma": -1.0}, "sigma=-1 is not positive"),
        ("x,y,u\n", {}, "holds no observations"),
    ],
)
def test_bad_csv(tmp_path, content, options, text):
    file = tmp_path / "data.csv"
    file.write_text(content)
    with pytest.raises(StatementError) as error:
        Observations.read(U, file, **options)
    assert text in str(error.value)


def test_missing_csv(tmp_path):
    with pytest.raises(StatementError, match=r"cannot read observations from .*none.csv: No such file"):
        Observations.read(U, tmp_path / "none.csv")


def test_points_within_the_tolerance_are_inside():
    problem(observations=[Observations(U, [[1 + 1e-9, 0.5]], [1])]).check()
