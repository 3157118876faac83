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
    arguments = ['tokens: Int[Tensor, "b n"]']
    if isinstance(scheme, Abacus):
        arguments.append('digit_tokens: Int[Tensor, " digits"]')
        told = "The place of each digit in its number, as it is written, from 1; 0 for what is no digit."
        lines = ["digit = torch.isin(tokens, digit_tokens)", "count = digit.cumsum(1)"]
        ids = "count - (count * ~digit).cummax(1).values"  # less the digits before this number; 0 where there is none
    else:
        told = "The index of each token, from 1."
        lines, ids = [], "torch.arange(1, tokens.shape[1] + 1, device=tokens.device)[None]"
    if scheme.origin == "fixed":
        lines = [f'"""{told}"""', *lines, f"return {ids}"]
    else:
        arguments.append('start: Int[Tensor, "b 1"]')
        starts, moved = str(scheme.span or SPAN), "(ids + start)"
        if scheme.cyclic:
            starts = "self.period"
            moved = "torch.where(ids > self.period, ids + start, (ids + start - 1) % self.period + 1)"
        drawn = f"A sample's ids begin at 1 + `start`, for example torch.randint({starts}, (b, 1))."
        # A token that is no digit keeps its 0.
        moved = f"{moved} * digit" if isinstance(scheme, Abacus) else moved if scheme.cyclic else moved[1:-1]
        lines = [f'"""{told}', "", drawn, '"""', *lines, f"ids = {ids}", f"return {moved}"]
    head = write_head("ids_of", arguments, 'Int[Tensor, "#b n"]')
    return "\n".join([head, *(f"    {line}" if line else "" for line in lines)])


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
