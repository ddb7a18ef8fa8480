"""Systematic changes of a source: one expression or statement each (T11).

Text for people is left alone: docstrings, annotations, what is raised, and what makes errors.
"""

from __future__ import annotations

import ast
import copy
from dataclasses import dataclass

__all__ = ["Change", "changes"]


@dataclass(frozen=True)
class Change:
    """One change of a source.

    Attributes:
        line: The first line that changes.
        operator: What kind of change it is.
        start: Where the old text begins, in bytes.
        end: Where it ends.
        old: The old text.
        new: The new one.
    """

    line: int
    operator: str
    start: int
    end: int
    old: str
    new: str

    def apply(self, source: str) -> str:
        """Returns the changed source."""
        data = source.encode()
        return (data[: self.start] + self.new.encode() + data[self.end :]).decode()


def changes(source: str) -> list[Change]:
    """Returns all changes of a source, in its order."""
    found = _Changes(source)
    found.visit(ast.parse(source))
    return sorted(found.made, key=lambda change: (change.start, change.end, change.new))


_COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_COMPUTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
# A copy, or another form of the same, is mostly as good.
_FORMS = frozenset({"bool", "dict", "frozenset", "int", "list", "set", "str", "tuple"})


class _Changes(ast.NodeVisitor):
    def __init__(self, source: str) -> None:
        lines = source.encode().splitlines(keepends=True)
        self._starts = [sum(map(len, lines[:number])) for number in range(len(lines) + 1)]
        self._data = source.encode()
        self.made: list[Change] = []

    # What is left alone.

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        returns = "" if node.returns is None else ast.unparse(node.returns)
        if "Error" in returns or returns == "Exception":
            return
        for default in (*node.args.defaults, *node.args.kw_defaults):
            if default is not None:
                self.visit(default)
        for statement in node.body:
            self.visit(statement)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for statement in node.body:
            self.visit(statement)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_Assert(self, node: ast.Assert) -> None:
        """Leaves it: it is for the reader of types."""

    def visit_Assign(self, node: ast.Assign) -> None:
        if ast.unparse(node.targets[0]) == "__all__":
            return
        if all(isinstance(target, ast.Attribute | ast.Subscript) for target in node.targets):
            self._put("drop a statement", node, "pass")
        self.visit(node.value)

    # Statements.

    def visit_Raise(self, node: ast.Raise) -> None:
        self._put("drop a refusal", node, "pass")

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Constant):
            return
        if not isinstance(node.value, ast.Yield | ast.YieldFrom):
            self._put("drop a statement", node, "pass")
        self.visit(node.value)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self._put("drop a statement", node, "pass")
        self.visit(node.value)

    def visit_Return(self, node: ast.Return) -> None:
        value = node.value
        if value is not None and not (isinstance(value, ast.Constant) and value.value is None):
            self._put("return nothing", node, "return None")
            self.visit(value)

    def visit_If(self, node: ast.If) -> None:
        self._negate(node.test)
        self.generic_visit(node)

    def visit_While(self, node: ast.While) -> None:
        # Negated, a loop may have no end: that is no finding.
        self.generic_visit(node)

    # Expressions.

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self._negate(node.test)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        for test in node.ifs:
            self._put("drop a condition", test, "True")
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        for place, operator in enumerate(node.ops):
            changed = copy.deepcopy(node)
            changed.ops[place] = _COMPARED[type(operator)]()
            self._replace("swap a comparison", node, changed)
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        changed = copy.deepcopy(node)
        changed.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        self._replace("swap and with or", node, changed)
        for place in range(len(node.values)):
            fewer = copy.deepcopy(node)
            del fewer.values[place]
            kept = fewer if len(fewer.values) > 1 else fewer.values[0]
            self._replace("drop a condition", node, kept)
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.Not):
            self._replace("drop a not", node, node.operand)
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if type(node.op) in _COMPUTED:
            changed = copy.deepcopy(node)
            changed.op = _COMPUTED[type(node.op)]()
            self._replace("swap an operator", node, changed)
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, bool):
            self._put("change a constant", node, str(not node.value))
        elif isinstance(node.value, int):
            self._put("change a constant", node, str(node.value + 1))

    def visit_Call(self, node: ast.Call) -> None:
        for place, keyword in enumerate(node.keywords):
            if keyword.arg is not None:
                fewer = copy.deepcopy(node)
                del fewer.keywords[place]
                self._replace("drop a keyword", node, fewer)
        name = ast.unparse(node.func)
        alone = len(node.args) == 1 and not node.keywords
        if alone and name not in _FORMS and not isinstance(node.args[0], ast.Starred):
            self._replace("drop a call", node, node.args[0])
        self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """Leaves it: it is text for people mostly."""

    # How a change is made.

    def _negate(self, test: ast.expr) -> None:
        self._put("negate a condition", test, f"(not ({ast.unparse(test)}))")

    def _replace(self, operator: str, node: ast.expr, new: ast.expr) -> None:
        self._put(operator, node, f"({ast.unparse(new)})")

    def _put(self, operator: str, node: ast.stmt | ast.expr, new: str) -> None:
        assert node.end_lineno is not None and node.end_col_offset is not None
        start = self._starts[node.lineno - 1] + node.col_offset
        end = self._starts[node.end_lineno - 1] + node.end_col_offset
        old = self._data[start:end].decode()
        self.made.append(Change(node.lineno, operator, start, end, old, new))
