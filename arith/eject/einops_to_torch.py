"""Patterns of einops as plain torch, for code that is to depend on torch alone.

A pattern is done in einops' own order: split the dimensions in parentheses on the left, permute (or sum, or repeat)
the axes, then merge the parentheses on the right and insert the dimensions of size 1.
"""

import ast
from collections.abc import Mapping, Sequence

Group = list[str]  # axes that make up one dimension


def translate(call: ast.Call) -> str:
    """What `rearrange`, `repeat` or `reduce` with a literal pattern does, as an expression of torch.

    Only what arith's own code needs: `repeat` copies an axis beside itself, "(g copies)", and nothing else.

    Raises:
        ValueError: the call is of another kind than those that arith makes.

    >>> translate(ast.parse('rearrange(x.q, "b q -> b 1 q")').body[0].value)
    'x.q[:, None]'
    >>> translate(ast.parse('rearrange(x, "r (h d) -> h r d", h=heads)').body[0].value)
    'x.unflatten(1, (heads, -1)).transpose(0, 1)'
    """
    function = call.func.id if isinstance(call.func, ast.Name) else ""
    tensor, *rest = call.args
    texts = [node.value for node in rest if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    if function not in ("rearrange", "repeat", "reduce") or len(texts) != len(rest) or not texts:
        raise ValueError(f"no pattern of einops is known in {ast.unparse(call)}")
    sizes = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords if keyword.arg}
    before, after = (_groups(side) for side in texts[0].split("->"))
    text, axes = _unflatten(ast.unparse(tensor), before, sizes)
    wanted = [axis for group in after for axis in group if axis != "1"]
    if function == "reduce":
        summed = [str(place) for place, axis in enumerate(axes) if axis not in wanted]
        text += f".{texts[1]}({', '.join(summed)})"  # the second text is the method: sum, mean, amax
        axes = [axis for axis in axes if axis in wanted]
    new = [axis for axis in wanted if axis not in axes]
    if function == "repeat":
        (copies,) = new
        return f"{text}.repeat_interleave({sizes[copies]}, dim={wanted.index(copies) - 1})"
    if new or set(wanted) != set(axes):
        raise ValueError(f"'{texts[0]}' adds or loses axes")
    return _flatten(_permute(text, axes, wanted), after)


def _groups(side: str) -> list[Group]:
    """One side of a pattern: "r (h d)" is [["r"], ["h", "d"]]."""
    groups: list[Group] = []
    inside = False
    for word in side.replace("(", " ( ").replace(")", " ) ").split():
        if word in "()":
            inside = word == "("
            groups += [[]] if inside else []
        elif inside:
            groups[-1].append(word)
        else:
            groups.append([word])
    return groups


def _unflatten(text: str, groups: Sequence[Group], sizes: Mapping[str, str]) -> tuple[str, list[str]]:
    """The expression with one dimension an axis, and its axes."""
    axes: list[str] = []
    for group in groups:
        if len(group) > 1:
            # torch infers one size, -1. einops infers no more than one either, so there are never two.
            lengths = [sizes.get(axis, "-1") for axis in group]
            text += f".unflatten({len(axes)}, ({', '.join(lengths)}))"
        axes += group
    return text, axes


def _permute(text: str, axes: Sequence[str], wanted: Sequence[str]) -> str:
    order = [axes.index(axis) for axis in wanted]
    moved = [place for place, axis in enumerate(order) if place != axis]
    if not moved:
        return text
    if len(moved) == 2:
        return f"{text}.transpose({moved[0]}, {moved[1]})"
    return f"{text}.permute({', '.join(map(str, order))})"


def _flatten(text: str, groups: Sequence[Group]) -> str:
    place = 0
    for group in groups:
        if len(group) > 1:
            text += f".flatten({place}, {place + len(group) - 1})"
        place += group != ["1"]
    if ["1"] in groups:
        # Dimensions behind the last 1 need no colon.
        last = max(place for place, group in enumerate(groups) if group == ["1"])
        text += f"[{', '.join('None' if group == ['1'] else ':' for group in groups[: last + 1])}]"
    return text
