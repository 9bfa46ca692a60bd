"""The house: which part may import which, and what may stand where."""

import ast
import importlib
import re
from pathlib import Path

import pytest

import kinn

PACKAGE = Path(kinn.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
TREES = {file: ast.parse(file.read_text(encoding="utf-8")) for file in FILES}

# A module imports only from its own room and from rooms above it in this list.
ROOMS = (
    "statement",
    "physics",
    "geometry",
    "bases",
    "networks",
    "optimize",
    "formulations",
    "hashed_file",
    "result",
    "limits",
    "race",
    "training",
    "checkpoints",
    "inference",
    "fem",
    "report",
    "solution",
    "candidates",
    "solver",
    "bootstrap",
    "multistart",
    "problem_file",
    "comparison",
    "cli",
)
OUTSIDE = ("__init__", "__main__")  # the front doors: they import from everywhere and nothing imports them
MAX_LINES = 300


def module_of(file):
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(file): file for file in FILES}


def room_of(module):
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def imports_of(tree, checking=False):
    """Modules of this library that a file imports when it runs; with `checking` those for the type checker too."""
    skipped = set()
    for node in ast.walk(tree):
        if not checking and isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            skipped |= {id(inner) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the room"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in MODULES else str(node.module) for name in names if name.split(".")[0] == "kinn")
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "kinn")


def test_every_file_has_a_room():
    found = {room_of(module) for module in MODULES} - set(OUTSIDE)
    assert found == set(ROOMS)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_come_from_the_same_room_or_one_above(module):
    room = room_of(module)
    if room in OUTSIDE:
        return
    allowed = ROOMS[: ROOMS.index(room) + 1]
    for imported in imports_of(TREES[MODULES[module]], checking=True):
        assert room_of(imported) in allowed, f"{module} ({room}) imports {imported}, a room below"


def test_there_are_no_cycles():
    graph = {module: set(imports_of(TREES[file])) - {module} for module, file in MODULES.items() if module != "kinn"}
    finished: set[str] = set()

    def visit(module, path):
        assert module not in path, " -> ".join([*path[path.index(module) :], module])
        if module in finished or module not in graph:
            return
        for imported in sorted(graph[module]):
            # A package's own __init__ gathers its modules; importing a sibling is no cycle through it.
            if not module.startswith(imported + "."):
                visit(imported, [*path, module])
        finished.add(module)

    for module in graph:
        visit(module, [])


@pytest.mark.parametrize("file", FILES, ids=[module_of(file) for file in FILES])
def test_imports_stand_at_the_top(file):
    for function in ast.walk(TREES[file]):
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            inner = [n.lineno for n in ast.walk(function) if isinstance(n, (ast.Import, ast.ImportFrom))]
            assert not inner, f"{file.name} imports inside a function, line {inner[0]}"


@pytest.mark.parametrize("file", FILES, ids=[module_of(file) for file in FILES])
def test_files_are_short(file):
    lines = file.read_text(encoding="utf-8").count("\n")
    assert lines <= MAX_LINES, f"{file.name} has {lines} lines; it probably holds two ideas"


@pytest.mark.parametrize("file", FILES, ids=[module_of(file) for file in FILES])
def test_only_the_command_line_prints(file):
    if room_of(module_of(file)) == "cli":
        return
    calls = [n for n in ast.walk(TREES[file]) if isinstance(n, ast.Call) and getattr(n.func, "id", "") == "print"]
    assert not calls, f"{file.name} prints, line {calls[0].lineno}"


def test_the_statement_knows_no_torch():
    for module, file in MODULES.items():
        if room_of(module) in ("statement", "physics", "geometry"):
            text = file.read_text(encoding="utf-8")
            assert not re.search(r"^\s*(import|from) torch", text, re.MULTILINE), f"{module} imports torch"


def test_modules_import_one_by_one():
    for module in MODULES:
        if module != "kinn.__main__":
            importlib.import_module(module)


def test_the_public_names():
    """`kinn/__init__.py` re-exports, nothing else, and about forty names."""
    tree = TREES[PACKAGE / "__init__.py"]
    assert all(isinstance(node, (ast.ImportFrom, ast.Expr)) for node in tree.body)
    names = [alias.asname for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert len(names) == len(set(names)) <= 45
    wanted = """Adam BSpline Chebyshev Coefficient Condition Dirichlet Equation Field Gaussian GaussNewton Initial Interval KAN
        MLP Mesh Neumann Observations Parameter Problem Robin Solution StatementError Status div fem grad load solve"""
    assert set(wanted.split()) <= set(names) and all(hasattr(kinn, str(name)) for name in names)
