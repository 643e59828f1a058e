"""What can be changed in code: mutmut's operators, and changes of a kind that it does not make."""

from collections.abc import Callable, Iterator
from typing import Any

import libcst as cst
from mutmut.mutation.mutators import mutation_operators

OPPOSITES = [
    ("all", "any"), ("argmax", "argmin"), ("ceil", "floor"), ("first", "last"), ("head", "tail"), ("idxmax", "idxmin"),
    ("left", "right"), ("max", "min"), ("mean", "median"), ("nlargest", "nsmallest"), ("sorted", "list"),
]  # fmt: skip
SWAPPED = {**dict(OPPOSITES), **{other: one for one, other in OPPOSITES if one != "sorted"}, "sum": "mean"}


def opposite_names(node: cst.Name) -> Iterator[cst.CSTNode]:
    """Any for all, of a function or a method."""
    if node.value in SWAPPED:
        yield node.with_changes(value=SWAPPED[node.value])


def other_numbers(node: cst.Integer | cst.Float) -> Iterator[cst.CSTNode]:
    """One less of a whole number, twice as much of another one; mutmut adds one."""
    value = node.evaluated_value
    smaller = cst.UnaryOperation(cst.Minus(), cst.Integer("1"))
    if isinstance(node, cst.Float):
        yield node.with_changes(value=repr(value * 2))
    else:
        yield node.with_changes(value=repr(value - 1)) if value else smaller


def swapped_arguments(node: cst.Call) -> Iterator[cst.CSTNode]:
    """The second argument before the first."""
    given = [argument for argument in node.args if not argument.keyword and not argument.star]
    if len(given) > 1:
        one, two = given[:2]
        swapped = [one.with_changes(value=two.value), two.with_changes(value=one.value)]
        yield node.with_changes(args=[*swapped, *node.args[2:]])


def negated_condition(node: cst.If) -> Iterator[cst.CSTNode]:
    """If it does not hold."""
    inner = node.test.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
    yield node.with_changes(test=cst.UnaryOperation(cst.Not(), inner))


def dropped_statement(node: cst.Expr) -> Iterator[cst.CSTNode]:
    """A call for its effect, left out."""
    if not isinstance(node.value, cst.BaseString | cst.Yield):
        yield cst.Pass()


OPERATORS: list[tuple[type, Callable[[Any], Any]]] = [
    *mutation_operators,
    (cst.Name, opposite_names),
    (cst.Integer, other_numbers),
    (cst.Float, other_numbers),
    (cst.Call, swapped_arguments),
    (cst.If, negated_condition),
    (cst.Expr, dropped_statement),
]
NO_BEHAVIOUR = (cst.Annotation, cst.Decorator, cst.Import, cst.ImportFrom, cst.Raise, cst.FormattedString)


class Changes(cst.CSTVisitor):
    """Collect (node, what it becomes); types, imports and the wording of messages stay as they are."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[cst.CSTNode, cst.CSTNode]] = []

    def on_visit(self, node: cst.CSTNode) -> bool:
        if isinstance(node, NO_BEHAVIOUR) or _is_prose(node) or (isinstance(node, cst.Arg) and _is_zip(node)):
            return False
        for kind, operator in OPERATORS:
            if isinstance(node, kind) and not _is_zip(node):
                self.found += [(node, changed) for changed in operator(node)]
        return True


def _is_zip(node: cst.CSTNode) -> bool:
    """Return whether it is `zip(..., strict=...)` or its last argument, which asserts what is so anyway."""
    if isinstance(node, cst.Call):
        return isinstance(node.func, cst.Name) and node.func.value == "zip"
    return isinstance(node, cst.Arg) and node.keyword is not None and node.keyword.value == "strict"


def _is_prose(node: cst.CSTNode) -> bool:
    return isinstance(node, cst.SimpleString | cst.ConcatenatedString) and " " in cst.Module(
        []
    ).code_for_node(node)
