"""Which encodings go with which position schemes, and with each other: what would mislead is refused."""

from collections.abc import Sequence

from arith.encodings.base import Encoding
from arith.encodings.positions import Scheme


def check_on(encoding: Encoding, scheme: Scheme) -> None:
    """Raise a ValueError with the reason if an encoding cannot use the ids of a scheme."""
    own, ids = encoding.title, type(scheme).__name__
    if encoding.levels > scheme.levels:
        raise ValueError(
            f"{own} uses {encoding.levels} levels of ids, and {ids} positions have {scheme.levels}. "
            f"Write for example {own.lower()}:levels={encoding.levels}@coupled:levels={encoding.levels}"
        )
    distances = encoding.relative or encoding.by_distance
    if not scheme.ordered and encoding.takes_ids and (distances or encoding.reach is not None):
        raise ValueError(
            f"{ids} positions are random numbers that tell tokens apart and nothing of their order, and {own} "
            f"{'looks at distances' if distances else 'has a table with a row for each id'}. "
            f"Use random-embedding on them, or another scheme"
        )
    if scheme.cyclic and encoding.takes_ids and distances:
        raise ValueError(
            f"{own} looks at distances, and cyclic ids begin again at 1 within a sequence, where neighbours are far "
            f"apart. Write origin=random or leave the origin out; cyclic origins are for tables such as learned"
        )


def check_together(parts: Sequence[tuple[Encoding, Scheme]]) -> None:
    """Raise a ValueError with the reason if encodings spoil one another."""
    for one, scheme in parts:
        for other, _ in parts:
            if _share_a_layer(one, other):
                _check_pair(one, scheme, other)


def _share_a_layer(one: Encoding, other: Encoding) -> bool:
    if one.in_layers is None or other.in_layers is None:
        return True
    return not set(one.in_layers).isdisjoint(other.in_layers)


def _check_pair(one: Encoding, scheme: Scheme, other: Encoding) -> None:
    name, others = one.title, other.title
    if one.turns_queries and other.reads_queries:
        raise ValueError(
            f"{name} turns queries by their positions and {others} meets the turned ones: its scores would depend on "
            f"where a query stands and not on distances. Leave one of the two out, or put them in layers of their own; "
            f"biases such as t5, and forgetting, go with rotations"
        )
    if one.turns_alone and other.turns_queries and one is not other:
        raise ValueError(
            f"{name} and {others} both turn queries and keys, and the one does not leave to the other what it needs: "
            f"scores would depend on where tokens stand and not on distances. Leave one of the two out, or put them in "
            f"layers of their own"
        )
    if one.hides_keys and scheme.structure_aware and other.counts_tokens:
        raise ValueError(
            f"{others} counts the tokens between a query and a key, those too that {name} hides on ids that do not "
            f"rise with the tokens. Leave one of the two out, or put {name} on sequential ids"
        )
