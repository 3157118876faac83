"""Patterns of einops as plain torch, for code that is to depend on torch alone."""

import ast
from collections.abc import Mapping, Sequence

Group = list[str]  # axes that are one dimension


def translate(call: ast.Call) -> str:
    """What `rearrange`, `repeat` or `reduce` with a literal pattern does, as an expression of torch.

    Raises:
        ValueError: the call is of another kind than those that arith makes.

    >>> translate(ast.parse('rearrange(x.q, "b q -> b 1 q")').body[0].value)
    'x.q[:, None]'
    >>> translate(ast.parse('rearrange(x, "r (h d) -> h r d", h=heads)').body[0].value)
    'x.unflatten(1, (heads, -1)).transpose(0, 1)'
    """
    function = call.func.id if isinstance(call.func, ast.Name) else ""
    tensor, *rest = call.args
    texts = [own.value for own in rest if isinstance(own, ast.Constant) and isinstance(own.value, str)]
    if function not in ("rearrange", "repeat", "reduce") or len(texts) != len(rest) or not texts:
        raise ValueError(f"no pattern of einops is known in {ast.unparse(call)}")
    sizes = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords if keyword.arg}
    before, after = (_groups(side) for side in texts[0].split("->"))
    text = ast.unparse(tensor)
    text, axes = _unflatten(text, before, sizes)
    wanted = [axis for group in after for axis in group if axis != "1"]
    if function == "reduce":
        gone = [axis for axis in axes if axis not in wanted]
        text += f".{texts[1]}({', '.join(str(axes.index(axis)) for axis in gone)})"
        axes = [axis for axis in axes if axis in wanted]
    new = [axis for axis in wanted if axis not in axes]
    if function == "repeat":
        (copies,) = new
        text += f".repeat_interleave({sizes[copies]}, dim={wanted.index(copies) - 1})"
        return text  # copies of an axis stand beside it: "(g copies)"
    if new or set(wanted) != set(axes):
        raise ValueError(f"'{texts[0]}' adds or loses axes")
    return _flatten(_permute(text, axes, wanted), after)


def _groups(side: str) -> list[Group]:
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
    axes: list[str] = []
    for group in groups:
        if len(group) > 1:
            # One size may be left to torch; einops is told too few to tell more.
            own = [sizes.get(axis, "-1") for axis in group]
            text += f".unflatten({len(axes)}, ({', '.join(own)}))"
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
        last = max(place for place, group in enumerate(groups) if group == ["1"])
        text += f"[{', '.join('None' if group == ['1'] else ':' for group in groups[: last + 1])}]"
    return text
