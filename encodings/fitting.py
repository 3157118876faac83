"""Which encodings go with which position schemes, with each other and with what they are given.

What would mislead is refused. Positions are checked by their shapes alone: to look at ids would wait for a GPU.
"""

import bisect
from collections.abc import Sequence

from arith.encodings.base import Encoding, Positions
from arith.encodings.positions import Prompt, Scheme


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


def check_positions(positions: Sequence[Positions], longest: Sequence[int | None]) -> None:
    """Raise where positions are not one for each scheme, or of more tokens than can be encoded. Looks at shapes alone.

    Args:
        positions: of each scheme.
        longest: see `Composed`.
    """
    if not isinstance(positions, (tuple, list)) or len(positions) != len(longest):
        got = len(positions) if isinstance(positions, (tuple, list)) else type(positions).__name__
        raise ValueError(f"positions are a list of one Positions for each of {len(longest)} schemes: got {got}")
    for own, limit in zip(positions, longest, strict=True):
        if not isinstance(own, Positions):
            raise ValueError(f"positions are a list of Positions(ids, ids): got {type(own).__name__} in it")
        if not own.within_reach:
            check_length(own.k.shape[2], limit)


def check_length(tokens: int, longest: int | None) -> None:
    """Raise if a sequence has more tokens than can be encoded."""
    if longest is not None and tokens > longest:
        raise ValueError(
            f"this encoding is built for sequences of {longest} tokens, and here are {tokens}. Build it with larger "
            f"tokens="
        )


def check_prompt(prompt: Prompt) -> None:
    """Raise if nothing is known of the prompts whose ids a scheme shall give."""
    if not isinstance(prompt, Prompt):
        raise ValueError(
            f"ids of problems take what is known of their prompts, a Prompt: got {type(prompt).__name__}. Of ordinary "
            f"text, sequential(valid) gives positions"
        )


def longest_on(encoding: Encoding, scheme: Scheme) -> int | None:
    """The tokens of the longest sequence whose ids are encoded, however short its numbers are; None: there is no limit.

    >>> from arith.encodings.learned import Learned
    >>> from arith.encodings.positions import Sequential
    >>> longest_on(Learned(width=4, highest=10), Sequential(origin="random", span=3))
    8
    """
    reach = encoding.reach
    if reach is None:
        return None

    def highest(tokens: int) -> int:
        try:
            return scheme.highest(tokens, 1)
        except ValueError:  # the scheme itself cannot place so many
            return reach + 1

    most = min(reach, 2**62)  # what a range can hold: no sequence is as long
    # The highest id grows with the tokens, or does not depend on them, as where digits decide.
    tokens = bisect.bisect_right(range(most + 2), reach, key=highest) - 1
    return None if tokens > most else tokens
