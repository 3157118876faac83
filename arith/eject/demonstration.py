"""What a file does when it is run as a program: the ids of an addition, and each stage once."""

import textwrap

from arith.eject.front import CLASS, Front
from arith.encodings.digit_positions import Abacus

NAME = "demonstration"
HEAD = f'''def {NAME}() -> None:
    """The ids of an addition whose answer is reversed, and what is done with them."""
    symbols, text = "0123456789+-*=^$", "^012+345=7530$"
    tokens = torch.tensor([[symbols.index(own) for own in text]])
'''
PROMPT = """\
operators = {"+": Kind.OPERATOR, "-": Kind.OPERATOR, "*": Kind.OPERATOR, "=": Kind.EQUALS}
kinds = torch.tensor([Kind.DIGIT if own.isdigit() else operators.get(own, Kind.OTHER) for own in symbols])
table = TokenTable(kinds, (kinds == Kind.DIGIT).long())
reading = Reading(operands="msb", answer="lsb", fixed_width=True)
prompt = Prompt(tokens, torch.tensor([text.index("=") + 1]), table, reading, torch.tensor([4]))"""


def write_demonstration(front: Front) -> str:
    """The function, and the call of it."""
    layers = 1 + max(layer for part in front.parts for layer in part.layers or (0,))
    shape = {"width": 64, "heads": 4, "layers": layers, "tokens": 64, "digits": 8}
    given = [f"{name}={value}" for name, value in shape.items() if name in front.shape]
    lines = [f"encoding = {CLASS}({', '.join(given)})"]
    if front.plain:
        more = ", torch.arange(10)" * isinstance(front.plain, Abacus)
        more += ", torch.tensor([[0]])" * (front.plain.origin != "fixed")
        lines.append(f"ids = encoding.ids_of(tokens{more})")
    else:
        lines = [*PROMPT.split("\n"), *lines, "ids = encoding.ids_of(prompt, tokens, torch.tensor([7]), capacity=64)"]
    lines.append('print("tokens", *(f"{own:>3}" for own in text))')
    row = 'print("ids   ", *(f"{own:3}" for own in level[0].tolist()))'
    if front.plain:
        lines.append(row.replace("level", "ids"))
    else:
        lines += ["for level in (level for own in ids for level in own):", f"    {row}"]
    call = f'if __name__ == "__main__":\n    {NAME}()'
    return HEAD + textwrap.indent("\n".join([*lines, *_stages(front)]), "    ") + "\n\n\n" + call


def _stages(front: Front) -> list[str]:
    layer = {stage: ", layer=0" if front.layer(stage) else "" for stage in front.acting}
    acting = {stage for stage, parts in front.acting.items() if parts}
    lines = ["x = torch.randn(1, len(text), 64)"]
    if "embed" in acting:
        lines.append("x = encoding.embed(x, ids)")
    if "hidden" in acting:
        lines.append(f"x = encoding.hidden(x, ids{layer['hidden']})")
    heads = "q = k = v" if "terms" in acting else "q = k"
    if acting & {"rotate", "terms"}:
        lines.append(f"{heads} = x.unflatten(-1, (4, 16)).transpose(1, 2)  # a model projects x")
    if not acting & {"embed", "hidden"} and front.tables and len(lines) == 2:
        lines = [f"{heads} = torch.randn(1, 4, len(text), 16)"]
    if "rotate" in acting:
        lines.append(f"q, k = encoding.rotate(q, k, ids{layer['rotate']})")
    if "terms" in acting:
        given = "ids, ids" if front.tables else "x, q, k, ids, ids, {}"
        lines.append(f"x = attention(q, k, v, terms=encoding.score_terms({given}{layer['terms']}))")
    shown = "q" if "rotate" in acting and "terms" not in acting else "x"
    return [*lines, f'print("shape ", tuple({shown}.shape))']
