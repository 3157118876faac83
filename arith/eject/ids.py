"""Schemes whose ids the tokens alone tell: a file has a method of a few lines in their place."""

from collections.abc import Sequence

from arith.eject.sources import WIDTH
from arith.encodings.compose import Composed
from arith.encodings.digit_positions import Abacus
from arith.encodings.origins import SPAN
from arith.encodings.positions import Sequential


def plain_scheme(composed: Composed) -> Sequential | Abacus | None:
    """The scheme, if all ids are told by the tokens alone: their index, or the place of digits in their number."""
    scheme = composed.schemes[0] if len(composed.schemes) == 1 else None
    return scheme if isinstance(scheme, Sequential | Abacus) and type(scheme) in (Sequential, Abacus) else None


def plain_ids(scheme: Sequential | Abacus) -> str:
    """`ids_of`, a method of a file, for one of the two schemes of which tokens alone tell the ids."""
    digits, moves = isinstance(scheme, Abacus), scheme.origin != "fixed"
    arguments = ['tokens: Int[Tensor, "b n"]']
    arguments += ['digit_tokens: Int[Tensor, " digits"]'] if digits else []
    arguments += ['start: Int[Tensor, "b 1"]'] if moves else []
    doc = ["The place of each digit in its number, as it is written, from 1; 0 for what is no digit."]
    lines = [
        "digit = torch.isin(tokens, digit_tokens)",
        "count = digit.cumsum(1)",
        "ids = count - (count * ~digit).cummax(1).values  # less the digits before this number",
    ]
    if not digits:
        doc = ["The index of each token, from 1."]
        lines = ["ids = torch.arange(1, tokens.shape[1] + 1, device=tokens.device)[None]"]
    if moves:
        starts = "self.period" if scheme.cyclic else str(scheme.span or SPAN)
        doc += ["", f"A sample's ids begin at 1 + `start`, for example torch.randint({starts}, (b, 1)).", ""]
        moved = "ids + start"
        if scheme.cyclic:
            moved = "torch.where(ids > self.period, ids + start, (ids + start - 1) % self.period + 1)"
        lines.append(f"return {moved}" + (" * digit" if digits and scheme.cyclic else ""))
        if digits and not scheme.cyclic:
            lines[-1] = f"return ({moved}) * digit"
    else:
        lines[-1] = lines[-1].replace("ids = ", "return ")
    told = [f'"""{doc[0]}' + ('"""' if len(doc) == 1 else ""), *doc[1:], *(['"""'] if len(doc) > 1 else [])]
    told = [line for place, line in enumerate(told) if line or place < len(told) - 2]
    head = write_head("ids_of", arguments, 'Int[Tensor, "#b n"]')
    return "\n".join([head, *(f"    {line}" if line else "" for line in [*told, *lines])])


def unmoved(scheme: Sequential | Abacus) -> str:
    """The largest id of a fixed or cyclic origin, as an expression of the model's shape."""
    return "digits + 1" if isinstance(scheme, Abacus) else "tokens"


def write_head(name: str, arguments: Sequence[str], returned: str) -> str:
    """The first line of a method, or its lines where it is too long."""
    line = f"def {name}({', '.join(['self', *arguments])}) -> {returned}:"
    if len(line) <= WIDTH - 4:
        return line
    inner = f"    {', '.join(['self', *arguments])}"
    if len(inner) <= WIDTH - 4:
        return f"def {name}(\n{inner}\n) -> {returned}:"
    return "\n".join([f"def {name}(", *(f"    {own}," for own in ["self", *arguments]), f") -> {returned}:"])
