"""Problem files: Python files that define `problem(**options)` and, if they like, `reference` and `quantities`."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from kinn.report.matching import scalars
from kinn.report.reference import Reference
from kinn.statement.errors import StatementError, suggest
from kinn.statement.problem import Problem


@dataclass(frozen=True, eq=False)
class ProblemFile:
    """A loaded problem file and the options that were set for it.

    The file defines `problem(**options) -> Problem`, every option with a default, and optionally
    `reference(problem) -> {field or parameter: expression, callable on points, number or solution}`, which no solver
    sees, `quantities(problem) -> {name: expression or function of a solution}`, and `derived(problem) -> {name: expression}`,
    such as a stress, which is compared with the reference, drawn and written beside the fields.

    Raises StatementError, one line, for a file that is missing or fails, and for an option that `problem()` lacks.
    """

    path: Path
    names: Mapping[str, Any]
    given: dict[str, Any] = field(default_factory=dict)

    @staticmethod
    def load(path: str | Path, given: Mapping[str, Any] | None = None) -> ProblemFile:
        path = Path(path)
        try:
            source = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is no text"
            raise StatementError(f"cannot read the problem file {str(path)!r}: {reason}") from None
        # A module of its own, compiled here: nothing is written next to the file.
        module = ModuleType(path.stem)
        module.__file__ = str(path.resolve())
        try:
            code = compile(source, module.__file__, "exec")
        except (SyntaxError, ValueError) as error:
            line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
            raise StatementError(f"{path}{line}: {type(error).__name__}: {getattr(error, 'msg', error)}") from None
        before = sys.modules.get(path.stem)
        sys.modules[path.stem] = module if before is None else before  # dataclasses look their module up
        try:
            exec(code, module.__dict__)
        except StatementError:
            raise
        except Exception as error:
            raise _located(path, error) from error
        if not callable(module.__dict__.get("problem")):
            names = [name for name, entry in module.__dict__.items() if inspect.isfunction(entry)]
            raise StatementError(f"{path} defines no function problem(){suggest('problem', names) if names else ''}")
        file = ProblemFile(path, module.__dict__, dict(given or {}))
        file._check_options()
        return file

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def options(self) -> dict[str, Any]:
        """All options of `problem()` with the values in use."""
        parameters = inspect.signature(self.names["problem"]).parameters.values()
        return {p.name: p.default for p in parameters if p.default is not p.empty} | self.given

    def problem(self) -> Problem:
        """The checked problem."""
        built = self._call("problem", **self.given)
        if not isinstance(built, Problem):
            raise StatementError(f"problem() in {self.path} returned a {type(built).__name__}; return a kinn.Problem")
        return built.check()

    def reference(self, problem: Problem) -> Reference | None:
        """What the file compares solutions with, or None."""
        found = self._call("reference", problem) if "reference" in self.names else None
        return None if found is None else Reference(problem, found)

    def quantities(self, problem: Problem) -> dict[str, Any]:
        found = self._call("quantities", problem) if "quantities" in self.names else {}
        if not isinstance(found, Mapping):
            raise StatementError(f"quantities() in {self.path} returned a {type(found).__name__}; return a dict")
        return dict(found)

    def derived(self, problem: Problem) -> dict[str, Any]:
        """Expressions of the fields by name; {} where the file defines none."""
        found = self._call("derived", problem) if "derived" in self.names else {}
        if not isinstance(found, Mapping):
            raise StatementError(f"derived() in {self.path} returned a {type(found).__name__}; return a dict")
        taken = (*problem.fields, *problem.parameters, *problem.mesh.coordinate_names, "path", "times")
        for name, expression in found.items():
            if name in taken:
                raise StatementError(f"derived() in {self.path} names {name!r}, which is taken; choose another name")
            scalars(expression, problem)
        return dict(found)

    def _call(self, name: str, *arguments: Any, **options: Any) -> Any:
        try:
            return self.names[name](*arguments, **options)
        except StatementError:
            raise
        except Exception as error:
            raise _located(self.path, error) from error

    def _check_options(self) -> None:
        parameters = inspect.signature(self.names["problem"]).parameters
        if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            return
        for name in self.given:
            if name not in parameters:
                raise StatementError(f"problem() in {self.path} has no option {name!r}{suggest(name, parameters)}")
        for name, p in parameters.items():
            if p.default is p.empty and p.kind is not p.VAR_POSITIONAL and name not in self.given:
                raise StatementError(f"problem() in {self.path} needs the option {name!r}; give --set {name}=VALUE")


def parse_options(texts: Sequence[str], option: str = "--set", example: str = "draw=3") -> dict[str, Any]:
    """`["n=3", "kind=fine"]` as {"n": 3, "kind": "fine"}: Python literals, and text where it is none."""
    options: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip().isidentifier():
            raise StatementError(
                f"{option} {text!r} is not of the form NAME=VALUE; write for instance {option} {example}"
            )
        try:
            options[name.strip()] = ast.literal_eval(value.strip())
        except (ValueError, SyntaxError, TypeError, MemoryError):
            options[name.strip()] = value.strip()
    return options


def _located(path: Path, error: Exception) -> StatementError:
    """The error with the last line of the user's file that led to it, in one line."""
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path.resolve()):
            line = trace.tb_lineno
        trace = trace.tb_next
    text = " ".join(str(error).split())
    return StatementError(f"{path}{f', line {line}' if line else ''}: {type(error).__name__}: {text}")


__all__ = ["ProblemFile", "parse_options"]
