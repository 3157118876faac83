"""What a call of a model brings for positions beside its tokens: random keys, prompts' lengths, and own ids."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from arith.errors import UsageError

KEYS = "position_keys"  # the argument of the model's call that holds random keys
IDS = "arith_ids"  # the one that holds ids
PROMPTS = "arith_prompts"  # and the one that holds the tokens of each row before its answer
# From all tokens so far, and False for padding among them, to an id for each of them.
IdsOf = Callable[[Int[Tensor, "b k"], Bool[Tensor, "b k"]], Int[Tensor, "..."]]


def keys_of(tokens: Int[Tensor, "b n"], passed: Int[Tensor, " b"] | None, training: bool) -> Int[Tensor, " b"]:
    """The random keys of the samples: those passed, else drawn in training, and 0 in evaluation."""
    rows = len(tokens)
    if passed is not None:
        if passed.shape != (rows,):
            raise UsageError(f"{KEYS} is a whole number for each of {rows} samples: got {tuple(passed.shape)}")
        return passed.to(tokens.device)
    if not training:
        return torch.zeros(rows, dtype=torch.long, device=tokens.device)
    return torch.randint(2**62, (rows,), device=tokens.device)


def begins_behind(prompts: Int[Tensor, " b"], tokens: Int[Tensor, "b k"]) -> Bool[Tensor, "b k"]:
    """The last token of each prompt, behind which its answer begins.

    Args:
        prompts: the tokens of each row before its answer, padding on the left among them.
        tokens: all tokens so far.

    Raises:
        UsageError: they are not a whole number, 1 or more, for each row.

    >>> begins_behind(torch.tensor([2]), torch.zeros(1, 4)).tolist()
    [[False, True, False, False]]
    """
    if prompts.is_floating_point() or prompts.shape != (len(tokens),) or bool((prompts < 1).any()):
        raise UsageError(
            f"{PROMPTS} is a whole number of tokens, 1 or more, for each of {len(tokens)} rows: got "
            f"{_described(prompts)}"
        )
    return torch.arange(tokens.shape[1], device=tokens.device) == prompts.to(tokens.device)[:, None] - 1


def given_ids(
    passed: Int[Tensor, "..."] | None,
    ids_of: IdsOf | None,
    tokens: Int[Tensor, "b k"],
    valid: Bool[Tensor, "b k"] | None,
    earlier: int,
) -> Int[Tensor, "levels b n"] | None:
    """The ids that the caller gives to the new tokens of a pass; None if there are none.

    Args:
        passed: ids in the call: "b n" or "b levels n", of the new tokens, or of all tokens from the first on and of any
            that are still to come, as `generate` hands the same argument to every step.
        ids_of: asked where the call has none.
        tokens: all tokens so far.
        valid: False marks padding; None: there is none.
        earlier: the number of tokens before the new ones.

    Raises:
        UsageError: they are not a whole number, 0 or more, for each token.

    >>> whole = torch.tensor([[3, 2, 1, 3, 1, 2, 3]])        # 12+3=51
    >>> given_ids(whole, None, tokens=torch.zeros(1, 6), valid=None, earlier=5).tolist()
    [[[2]]]
    """
    name, rows, so_far = IDS, *tokens.shape
    if passed is None:
        if ids_of is None:
            return None
        passed = ids_of(tokens, torch.ones_like(tokens, dtype=torch.bool) if valid is None else valid)
        name = f"what ids={getattr(ids_of, '__name__', type(ids_of).__name__)} gives"
        if isinstance(passed, Tensor) and passed.shape[-1] != so_far:
            raise UsageError(f"{name} is an id for each of {so_far} tokens: got {tuple(passed.shape)}")
    whole = isinstance(passed, Tensor) and not passed.is_floating_point() and passed.ndim in (2, 3)
    if not whole or len(passed) != rows:
        raise UsageError(
            f"{name} is a tensor of whole numbers, one for each token of {rows} rows: got {_described(passed)}"
        )
    new = so_far - earlier
    if passed.shape[-1] != new:
        if passed.shape[-1] < so_far:
            raise UsageError(
                f"{name} has ids for {passed.shape[-1]} tokens, and there are {so_far} so far. Give those of tokens "
                f"that are still to be written too: prompt and max_new_tokens"
            )
        passed = passed[..., earlier:so_far]
    if bool((passed < 0).any()):
        raise UsageError(f"{name} holds {int(passed.min())}: ids are 1 or more, and 0 where a token has no position")
    passed = passed.to(tokens.device, torch.long)
    return passed[None] if passed.ndim == 2 else passed.transpose(0, 1)


def check_levels(given: Int[Tensor, "levels b n"], levels: int, title: str) -> Int[Tensor, "levels b n"]:
    """The ids, if there are as many a token as the scheme has."""
    if len(given) != levels:
        raise UsageError(f"{title} has {levels} ids a token, and {len(given)} are given")
    return given


def _described(what: Any) -> str:
    return f"{tuple(what.shape)} of {what.dtype}" if isinstance(what, Tensor) else type(what).__name__
