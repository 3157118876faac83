"""Ids that the caller gives, in every way in which a model is called."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from arith.errors import UsageError
from arith.hf import Attachment, attach, detach, load, save
from arith.hf.inputs import CACHE

ENCODING = "own+fire@coupled"
LINE, IDS = "12+345=753", torch.tensor([[3, 2, 1, 4, 3, 2, 1, 2, 3, 4]])


def shaken(attachment: Any) -> Attachment:
    """Its parameters no longer at the start, where many a bias is 0; the same at every call."""
    torch.manual_seed(1)
    for weight in attachment.parameters():
        nn.init.normal_(weight, std=0.5)
    assert isinstance(attachment, Attachment)
    return attachment


def significance(tokens: Tensor, valid: Tensor) -> Tensor:
    """Ids of one's own: the sum of all tokens so far, in no scheme's way."""
    return (tokens * valid).cumsum(1) % 7 * valid


@torch.no_grad()
def test_given_ids_are_those_that_a_scheme_would_have_read(
    tiny: Callable[..., Any], digit_tokenizer: Callable[..., Any]
) -> None:
    tokenizer, model = digit_tokenizer(), tiny("llama")
    text = torch.tensor(tokenizer([LINE])["input_ids"])
    shaken(attach(model, ENCODING, tokenizer, format="reversed", tokens=48, digits=12))
    read = model(text).logits
    other = model(text, arith_ids=IDS.flip(1)).logits  # where a scheme reads, a call may give them too
    assert not torch.allclose(read, other, atol=1e-3)
    detach(model)
    shaken(attach(model, ENCODING, tokens=48, digits=12, ids=True))
    assert torch.equal(model(text, arith_ids=IDS).logits, read)
    assert torch.equal(model(text, arith_ids=IDS[:, None]).logits, read)  # with a dimension of levels
    detach(model)
    shaken(attach(model, ENCODING, tokens=48, digits=12, ids=lambda tokens, valid: IDS[:, : tokens.shape[1]]))
    assert torch.equal(model(text).logits, read)
    embedded = model.get_input_embeddings()(text)
    assert torch.equal(model(inputs_embeds=embedded).logits, read)
    cache, parts = None, []
    for start, stop in ((0, 7), (7, 8), (8, 10)):
        out = model(text[:, start:stop], **{CACHE: cache}, use_cache=True)
        cache = out[CACHE]
        parts.append(out.logits)
    torch.testing.assert_close(torch.cat(parts, 1), read, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("beams", [1, 3])
def test_generate_has_them_in_every_step(
    beams: int, tiny: Callable[..., Any], digit_tokenizer: Callable[..., Any]
) -> None:
    tokenizer, model = digit_tokenizer(), tiny("llama")
    prompts = tokenizer(["12+345=", "9*9="], return_tensors="pt", padding=True, return_token_type_ids=False)
    kept = {"max_new_tokens": 6, "num_beams": beams, "do_sample": False, "suppress_tokens": [0, 1]}
    shaken(attach(model, ENCODING, tokens=48, digits=12, ids=significance))
    whole = model.generate(**prompts, **kept, use_cache=False)
    assert torch.equal(model.generate(**prompts, **kept, use_cache=True), whole)
    detach(model)
    shaken(attach(model, ENCODING, tokens=48, digits=12, ids=True))
    ids = torch.arange(26).reshape(2, 13) * 5 % 9
    whole = model.generate(**prompts, **kept, arith_ids=ids, use_cache=False)
    assert torch.equal(model.generate(**prompts, **kept, arith_ids=ids, use_cache=True), whole)
    others = [model.generate(**prompts, **kept, arith_ids=(ids + by) % 9) for by in range(1, 5)]
    assert not all(torch.equal(other, whole) for other in others)  # they do matter
    with pytest.raises(UsageError, match=r"arith_ids has ids for 9 tokens, and there are 10 so far.*max_new_tokens"):
        model.generate(**prompts, **kept, arith_ids=ids[:, :9])
    with pytest.raises(ValueError, match=r"not used by the model: .'arith_idss'"):
        model.generate(**prompts, **kept, arith_idss=ids)


@torch.no_grad()
def test_they_come_in_the_place_of_token_indices_where_no_scheme_looks_at_digits(tiny: Callable[..., Any]) -> None:
    model, text = tiny("llama"), torch.arange(3, 13)[None]
    shaken(attach(model, "own+kerple", tokens=48, ids=True))
    counted = model(text, arith_ids=torch.arange(1, 11)[None]).logits
    placed = model(text, arith_ids=IDS).logits
    assert not torch.allclose(placed, counted, atol=1e-3)
    detach(model)
    shaken(attach(model, "own+kerple", tokens=48))
    torch.testing.assert_close(model(text).logits, counted)
    detach(model)
    shaken(attach(model, "own+kerple@coupled", tokens=48, digits=47, ids=True))
    torch.testing.assert_close(model(text, arith_ids=IDS).logits, placed)


def test_what_is_saved_without_its_function_asks_for_it(tiny: Callable[..., Any], tmp_path: Path) -> None:
    model, ids = tiny("llama"), torch.arange(3, 11)[None]
    shaken(attach(model, ENCODING, tokens=48, digits=12, ids=significance))
    expected = model(ids).logits
    save(model, tmp_path)
    detach(model)
    load(model, tmp_path, ids=significance)
    assert torch.equal(model(ids).logits, expected)
    detach(model)
    load(model, tmp_path)
    with pytest.raises(UsageError, match="attached for ids of your own, and this call has none"):
        model(ids)
    assert torch.equal(model(ids, arith_ids=significance(ids, ids > 0)).logits, expected)
    attach(other := tiny("llama"), "fire", tokens=48)
    save(other, tmp_path)
    with pytest.raises(UsageError, match="was attached without ids="):
        load(tiny("llama"), tmp_path, ids=significance)


def test_what_is_no_id_says_why(tiny: Callable[..., Any], digit_tokenizer: Callable[..., Any]) -> None:
    model, ids = tiny("llama"), torch.arange(3, 11)[None]
    with pytest.raises(UsageError, match="'fire@randomized' draws its ids, in whose place none of your own can come"):
        attach(model, "fire@randomized", ids=significance, tokens=48)
    with pytest.raises(UsageError, match=r"a function of tokens and valid, or True .*: got Tensor"):
        attach(model, "own+fire", ids=ids)
    attach(model, "fire", tokens=48)
    with pytest.raises(UsageError, match="'fire' was attached without ids= and has no scheme that looks at digits"):
        model(ids, arith_ids=ids)
    detach(model)
    attach(model, ENCODING, tokens=48, digits=12, ids=lambda tokens, valid: tokens[:, 1:])
    with pytest.raises(UsageError, match=r"ids=<lambda> gives is an id for each of 8 tokens: got \(1, 7\)"):
        model(ids)
    for wrong, told in (
        (ids.float(), r"one for each token of 1 rows: got \(1, 8\) of torch.float32"),
        (ids.repeat(2, 1), r"got \(2, 8\)"),
        ([1, 2], "got list"),
        (ids - 4, "arith_ids holds -1: ids are 1 or more, and 0 where"),
        (ids + 90, "here an id is 100"),
        (ids[:, None].repeat(1, 2, 1), "has 1 ids a token, and 2 are given"),
    ):
        with pytest.raises(UsageError, match=told):
            model(ids, arith_ids=wrong)
    detach(model)
    attach(model, ENCODING, digit_tokenizer(), format="reversed", tokens=48, digits=12)
    cache = model(ids[:, :4], arith_ids=ids[:, :4] - 2, use_cache=True)[CACHE]
    with pytest.raises(UsageError, match="earlier tokens of this cache had ids of arith_ids"):
        model(ids[:, 4:], **{CACHE: cache})
