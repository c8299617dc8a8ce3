"""Mutants of a solution: the same function with one thing changed."""

import ast
import copy

COMPARISONS = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq}
OPERATIONS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult}


OTHER_NAMES = {"min": "max", "argmin": "argmax", "eval": "train"}
OTHER_NAMES |= {other: name for name, other in OTHER_NAMES.items()} | {"randperm": "arange"}


def changes(node: ast.AST) -> list:
    """Return what may replace a node: another comparison, operation, number, sign, no index, or nothing."""
    if isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARISONS:
        return [ast.Compare(node.left, [COMPARISONS[type(node.ops[0])]()], node.comparators)]
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATIONS:
        return [ast.BinOp(node.left, OPERATIONS[type(node.op)](), node.right)]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Invert | ast.Not):
        return [node.operand]
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return [ast.Constant(node.value + 1), ast.Constant(node.value - 1)]
    if isinstance(node, ast.Constant) and type(node.value) is bool:
        return [ast.Constant(not node.value)]
    if isinstance(node, ast.Attribute) and node.attr in OTHER_NAMES:
        return [ast.Attribute(node.value, OTHER_NAMES[node.attr])]
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
        return [node.value]
    if isinstance(node, ast.Name) and node.id in OTHER_NAMES:
        return [ast.Name(OTHER_NAMES[node.id])]
    calls = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    return [ast.Pass()] if calls or isinstance(node, ast.AugAssign) else []


def annotations(tree: ast.AST) -> list[ast.AST]:
    """Return what stands behind the colons and arrows of signatures."""
    found = [node.annotation for node in ast.walk(tree) if isinstance(node, ast.arg)]
    found += [node.returns for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return [one for one in found if one is not None]


def mutants(source: str) -> list[str]:
    """Return all sources that differ from one in a single place, outside of annotations and docstrings."""
    tree = ast.parse(source)
    notes = {id(node) for part in annotations(tree) for node in ast.walk(part)}
    nodes = [(number, node) for number, node in enumerate(ast.walk(tree)) if id(node) not in notes]
    places = [(number, change) for number, node in nodes for change in changes(node)]
    found = []
    for number, change in places:
        changed = copy.deepcopy(tree)
        target = list(ast.walk(changed))[number]
        for parent in ast.walk(changed):
            for field, value in ast.iter_fields(parent):
                if value is target:
                    setattr(parent, field, change)
                elif isinstance(value, list) and any(one is target for one in value):
                    value[[one is target for one in value].index(True)] = change
        text = ast.unparse(ast.fix_missing_locations(changed))
        if text != ast.unparse(tree):
            found.append(text)
    return found
