"""Which encodings go with which position schemes, and with each other: what would mislead is refused."""

from collections.abc import Sequence

from arith.encodings.base import Encoding
from arith.encodings.positions import Scheme


def check_on(encoding: Encoding, scheme: Scheme) -> None:
    """Raise a ValueError with the reason if an encoding cannot use the ids of a scheme."""
    own, ids = type(encoding).__name__, type(scheme).__name__
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
    encodings = [encoding for encoding, _ in parts]
    turning = [encoding for encoding in encodings if encoding.turns_queries]
    reading = [encoding for encoding in encodings if encoding.reads_queries]
    if turning and reading:
        one, other = type(turning[0]).__name__, type(reading[0]).__name__
        raise ValueError(
            f"{one} turns queries by their positions and {other} meets the turned ones: its scores would depend on "
            f"where a query stands and not on distances. Leave one of the two out; biases such as t5, and forgetting, "
            f"go with rotations"
        )
    hiding = [encoding for encoding, scheme in parts if encoding.hides_keys and scheme.structure_aware]
    counting = [encoding for encoding in encodings if encoding.counts_tokens]
    if hiding and counting:
        one, other = type(counting[0]).__name__, type(hiding[0]).__name__
        raise ValueError(
            f"{one} counts the tokens between a query and a key, those too that {other} hides on ids that do not rise "
            f"with the tokens. Leave one of the two out, or put {other} on sequential ids"
        )
