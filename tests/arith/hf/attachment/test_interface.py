"""Four ways in which positions of one's own go wrong in transformers, each as it happens there and as it is here.

Long, as each is told twice: by transformers alone, and by our attention on the same model.
"""

import json
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface, LlamaForCausalLM

import arith.hf.attachment.interface as interface
from arith.errors import UsageError
from arith.hf import Attachment, attach, attached, detach, load, own_rope, save
from arith.hf.inputs import CACHE
from arith.kernels.attention import attention
from arith.kernels.terms import DistanceTable, PairTable

IDS = torch.arange(3, 11)[None]


def influence(model: Any, ids: Tensor, **arguments: Any) -> Tensor:
    """Which positions the first token has an influence on."""
    changed = ids.clone()
    changed[0, 0] = 19
    return (model(ids, **arguments).logits - model(changed, **arguments).logits).abs().amax((0, 2)) > 1e-6


def test_1_attention_without_a_mask_function_gets_no_mask(
    tiny: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny("llama")
    masks: list[Tensor | None] = []

    def unmasked(module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Any, **_: Any) -> Any:
        masks.append(attention_mask)
        return query.transpose(1, 2), None

    monkeypatch.setattr(AttentionInterface, "_global_mapping", {**AttentionInterface._global_mapping, "own": unmasked})
    model.set_attn_implementation("own")
    model(IDS, attention_mask=torch.ones_like(IDS))
    assert masks == [None, None]  # the padding mask is lost with the causal one

    model.set_attn_implementation("sdpa")
    attach(model, "fire", tokens=32)
    changed = IDS.clone()
    changed[0, -1] = 19
    assert torch.equal(model(IDS).logits[:, :-1], model(changed).logits[:, :-1])
    masks_of = {name: own for name, own in AttentionMaskInterface._global_mapping.items() if name != interface.NAME}
    monkeypatch.setattr(AttentionMaskInterface, "_global_mapping", masks_of)
    with pytest.raises(UsageError, match="LlamaAttention came without a mask"):
        model(IDS)


def test_1_a_mask_that_arith_cannot_have_is_seen(tiny: Callable[..., Any]) -> None:
    model = tiny("llama")
    attach(model, "fire", tokens=32)
    model.config.is_causal = False  # a causal model used as an encoder
    with pytest.raises(UsageError, match="lets tokens see others than causal attention"):
        model(IDS)


def test_2_position_ids_that_begin_anew_cut_attention(
    tiny: Callable[..., Any], digit_tokenizer: Callable[..., Any]
) -> None:
    model = tiny("llama")
    abacus = torch.tensor([[0, 1, 2, 0, 1, 2, 0, 1]])
    cut = influence(model, IDS, position_ids=abacus, use_cache=False)
    assert cut.tolist() == [True] * 3 + [False] * 5  # silently: transformers takes them for packed documents

    # Ours are no position ids of the model: 12+34=46 has the ids 1 2 0 1 2 0 1 2.
    text = torch.tensor(digit_tokenizer()(["12+34=46"])["input_ids"])
    attach(model, "learned@abacus", tokenizer=digit_tokenizer(), format="reversed", digits=4)
    seen: list[Any] = []
    model.model.layers[0].register_forward_pre_hook(
        lambda _, __, kwargs: seen.append(kwargs["arith_pass"].positions[0].ids.k.tolist()), with_kwargs=True
    )
    assert influence(model, text, use_cache=False).all()
    assert seen[0] == [[1, 2, 0, 1, 2, 0, 1, 2]]
    with pytest.raises(UsageError, match="position_ids do not count up"):
        model(text, position_ids=abacus, attention_mask=torch.ones_like(text))


def test_2_packed_documents_are_those_of_transformers(tiny: Callable[..., Any]) -> None:
    model, packed = tiny("llama"), torch.tensor([[0, 1, 2, 0, 1, 2, 3, 4]])
    plain = model(IDS, position_ids=packed, use_cache=False).logits
    attach(model, own_rope(model))
    torch.testing.assert_close(model(IDS, position_ids=packed, use_cache=False).logits, plain, atol=1e-5, rtol=1e-5)


def test_3_transformers_drops_what_is_attached(
    tiny: Callable[..., Any], digit_tokenizer: Callable[..., Any], tmp_path: Path
) -> None:
    model = tiny("llama")
    attachment = attach(model, "fire@coupled+rope", tokenizer=digit_tokenizer(), format="reversed", digits=9)
    for own in attachment.parameters():
        torch.nn.init.normal_(own)
    text = torch.tensor(digit_tokenizer()(["12+34=46"])["input_ids"])
    expected = model(text).logits
    model.save_pretrained(tmp_path / "model")
    save(model, tmp_path / "model")
    assert any(name.startswith("arith.") for name in load_file(tmp_path / "model" / "model.safetensors"))
    again = LlamaForCausalLM.from_pretrained(tmp_path / "model").eval()
    assert attached(again) is None
    assert again.config._attn_implementation != "arith"
    assert not torch.allclose(again(text).logits, expected, atol=1e-3)

    found = load(again, tmp_path / "model")  # the tokenizer is not needed again
    assert found.settings == attachment.settings
    assert torch.equal(again(text).logits, expected)
    detach(model)
    assert torch.equal(again(text).logits, expected)


def test_3_saved_files_are_whole_and_of_this_model(
    tiny: Callable[..., Any], digit_tokenizer: Callable[..., Any], tmp_path: Path
) -> None:
    model = tiny("gpt2")
    with pytest.raises(UsageError, match="nothing is attached to this GPT2LMHeadModel"):
        save(model, tmp_path)
    with pytest.raises(UsageError, match="nothing was saved there"):
        load(model, tmp_path)
    attach(model, "t5", tokens=32)
    assert save(model, tmp_path / "a") == tmp_path / "a"
    numbers, described = tmp_path / "a" / "position.safetensors", tmp_path / "a" / "position.json"
    assert json.loads(described.read_text())["encoding"] == "t5"
    with pytest.raises(UsageError, match="'t5' is attached already"):
        load(model, tmp_path / "a")
    with pytest.raises(UsageError, match="family gpt2 there and llama here"):
        load(tiny("llama"), tmp_path / "a")
    with pytest.raises(UsageError, match="width 32 there and 64 here, head_width 8 there and 16 here"):
        load(tiny("gpt2", hidden_size=64), tmp_path / "a")
    tensors = load_file(numbers)
    tensors["encoding.parts.0.table"][0, 0] += 1
    save_file(tensors, numbers)
    with pytest.raises(UsageError, match="altered after it was written"):
        load(tiny("gpt2"), tmp_path / "a")
    described.write_text(described.read_text().replace('"version": 1', '"version": 2'))
    with pytest.raises(UsageError, match="version 2, and this arith reads version 1"):
        load(tiny("gpt2"), tmp_path / "a")
    described.write_text("{")
    with pytest.raises(UsageError, match="is damaged"):
        load(tiny("gpt2"), tmp_path / "a")


@pytest.mark.parametrize(
    ("encoding", "given"),
    # Abacus is asked within a number; coupled ids of a prompt look at all of it.
    [("learned@abacus:origin=random,span=9", 3), ("learned:levels=2@coupled:levels=2,origin=cyclic", 8)],
)
def test_4_a_digit_decoded_alone_has_the_place_that_it_has_in_its_number(
    encoding: str, given: int, tiny: Callable[..., Any], digit_tokenizer: Callable[..., Any]
) -> None:
    tokenizer = digit_tokenizer()
    model = tiny("gpt2")
    attach(model, encoding, tokenizer=tokenizer, format="reversed", digits=12)
    text = torch.tensor(tokenizer(["120+345=564", "9981*77=735"])["input_ids"])
    keys = torch.tensor([3, 5])
    whole = model(text, position_keys=keys).logits
    out = model(text[:, :given], position_keys=keys, use_cache=True)
    parts = [out.logits]
    for place in range(given, text.shape[1]):
        out = model(text[:, place : place + 1], **{CACHE: out[CACHE]}, use_cache=True)
        parts.append(out.logits)
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, atol=1e-4, rtol=1e-4)
    other = model(text, position_keys=keys.flip(0)).logits
    assert not torch.allclose(whole, other, atol=1e-3)  # the key says where ids begin


@torch.no_grad()
def test_4_tokens_that_are_taken_back_take_their_places_along(
    tiny: Callable[..., Any], digit_tokenizer: Callable[..., Any]
) -> None:
    tokenizer = digit_tokenizer()
    model = tiny("llama")
    attach(model, "rope+fire@coupled", tokenizer=tokenizer, format="reversed")
    text = torch.tensor(tokenizer(["12+345=753"])["input_ids"])
    whole = model(text).logits
    cache = model(text, use_cache=True)[CACHE]
    cache.crop(-2)  # as assisted generation does
    copied = deepcopy(cache)  # as a prompt that many continue
    assert torch.allclose(model(text[:, -2:], **{CACHE: copied}).logits, whole[:, -2:], atol=1e-5)
    assert torch.allclose(model(text[:, -2:], **{CACHE: cache}).logits, whole[:, -2:], atol=1e-5)
    detach(model)
    attach(model, "forgetting")
    cache = model(text, use_cache=True)[CACHE]
    assert not cache.is_croppable
    with pytest.raises(UsageError, match="cannot take tokens back"):
        cache.crop(-2)


def added(model: Any, encoding: str, tokenizer: Any) -> Attachment:
    """Attached, its parameters no longer at the start, where many a bias is 0."""
    attachment = attach(model, encoding, tokenizer=tokenizer, format="reversed", tokens=48, digits=12)
    for own in attachment.parameters():
        torch.nn.init.normal_(own, std=0.5)
    return attachment


def test_attention_is_that_of_the_kernels(tiny: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[Any, ...]] = []

    def seen(q: Tensor, k: Tensor, v: Tensor, **others: Any) -> Tensor:
        calls.append((q, k, others))
        return attention(q, k, v, **others)

    monkeypatch.setattr(interface, "attention", seen)
    model, ids = tiny("llama"), torch.arange(3, 19).reshape(2, 8)
    attach(model, "t5+fire", tokens=32)
    model(ids)
    mask = torch.ones_like(ids)
    mask[0, 5:] = 0
    model(ids, attention_mask=mask)
    (q, k, plain), (_, _, masked) = calls[0], calls[-1]
    assert (q.shape, k.shape) == ((2, 4, 8, 8), (2, 2, 8, 8))  # key heads are not repeated
    assert [type(term) for term in plain["terms"]] == [DistanceTable, PairTable]
    assert plain["terms"][0].ids.shared
    assert plain["scale"] == model.model.layers[0].self_attn.scaling
    assert plain["valid"] is None
    assert torch.equal(masked["valid"], mask.bool())
    assert masked["terms"][0].ids.shared  # padding after the tokens moves none of them


def test_heads_that_come_out_wider_are_divided_by_the_root_of_their_width(
    tiny: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[Tensor, float]] = []

    def seen(q: Tensor, k: Tensor, v: Tensor, **others: Any) -> Tensor:
        calls.append((q, others["scale"]))
        return attention(q, k, v, **others)

    monkeypatch.setattr(interface, "attention", seen)
    model = tiny("llama")
    attach(model, "pope", tokens=32)
    out = model(torch.arange(3, 19).reshape(2, 8)).logits
    (q, scale), *_ = calls
    assert q.shape == (2, 4, 8, 16)
    assert scale == pytest.approx(1 / 4)
    assert out.isfinite().all()


def test_ids_index_tokens_where_rows_are_whole(tiny: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Padding before or inside a row, packed documents and what a cache holds are for the ids to tell."""
    seen: list[bool] = []

    def watched(*inputs: Tensor, **others: Any) -> Tensor:
        seen.append(others["terms"][0].ids.indexes_tokens)
        return attention(*inputs, **others)

    monkeypatch.setattr(interface, "attention", watched)
    model, ids = tiny("llama"), torch.arange(3, 19).reshape(2, 8)
    attach(model, "t5@sequential:origin=random,span=5", tokens=32)

    def index_tokens(**call: Any) -> bool:
        seen.clear()
        model(**{"input_ids": ids, "use_cache": False, **call})
        assert len(set(seen)) == 1
        return seen[0]

    behind, before, inside = (torch.ones_like(ids) for _ in range(3))
    behind[0, 5:] = before[0, :3] = inside[0, 4] = 0
    assert index_tokens()
    assert index_tokens(attention_mask=behind)
    assert not index_tokens(attention_mask=before)
    assert not index_tokens(attention_mask=inside)
    assert not index_tokens(position_ids=torch.tensor([[0, 1, 2, 3, 0, 1, 2, 3]] * 2))
    cache = model(ids, use_cache=True)[CACHE]
    assert seen[-1]
    assert not index_tokens(input_ids=ids[:, :1], use_cache=True, **{CACHE: cache})


def test_the_fused_kernels_serve_it(tiny: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    model, ids = tiny("llama", hidden_size=64), torch.arange(3, 19).reshape(2, 8)
    added(model, "t5+rope", None)
    mask = torch.ones_like(ids)
    mask[1, :3] = 0
    expected = model(ids, attention_mask=mask).logits
    monkeypatch.setattr(interface, "attention", partial(attention, backend="triton"))
    found = model(ids, attention_mask=mask).logits
    torch.testing.assert_close(found[mask.bool()], expected[mask.bool()], atol=1e-4, rtol=1e-4)


def test_attention_weights_are_dropped_in_training_as_transformers_drops_them(tiny: Callable[..., Any]) -> None:
    model, ids = tiny("llama", attention_dropout=0.3), torch.arange(3, 19).reshape(2, 8)
    model.set_attn_implementation("eager")

    def logits(**options: Any) -> Tensor:
        torch.manual_seed(5)
        found: Tensor = model(ids, **options).logits
        return found

    evaluated, trained = logits(), model.train() and logits()
    assert not torch.allclose(trained, evaluated, atol=1e-2)
    attach(model, own_rope(model))
    keys = torch.zeros(2, dtype=torch.long)  # which would be drawn before weights are
    torch.testing.assert_close(logits(position_keys=keys), trained, atol=1e-5, rtol=1e-5)
    model.eval()
    torch.testing.assert_close(logits(), evaluated, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", ["gpt-oss", "gemma2", "smollm3"])
def test_sinks_caps_and_layers_without_positions_stay(family: str, tiny: Callable[..., Any]) -> None:
    model, ids = tiny(family), torch.arange(3, 19).reshape(2, 8)
    model.set_attn_implementation("eager")

    def trained() -> tuple[Tensor, dict[str, Tensor]]:
        model.zero_grad()
        out = model(ids, labels=ids)
        out.loss.backward()
        return out.logits.detach(), {name: own.grad.clone() for name, own in model.named_parameters()}

    theirs = trained()
    attach(model, own_rope(model))
    torch.testing.assert_close(trained(), theirs, atol=1e-5, rtol=1e-5)
    detach(model)
    attach(model, "rope:base=3")
    assert (trained()[0] - theirs[0]).abs().max() > 1e-2  # what is compared above does matter


def test_an_encoding_acts_where_the_model_has_positions(
    tiny: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, ...]] = []

    def watched(*inputs: Tensor, **others: Any) -> Tensor:
        seen.append(tuple(type(term).__name__ for term in others["terms"]))
        return attention(*inputs, **others)

    monkeypatch.setattr(interface, "attention", watched)
    for family, encoding, text in (
        ("smollm3", "fire+learned", "fire[0]+learned"),
        ("llama4", "fire", "fire[0]"),
        ("smollm3", "own+fire", "own+fire[0]"),
    ):
        model = tiny(family)
        assert attach(model, encoding, tokens=32).title == f"'{text}'"
        seen.clear()
        model(IDS)
        assert seen == [("PairTable",), ()]
        detach(model)
        attach(model, "fire[1]", tokens=32)  # where a text says it
        seen.clear()
        model(IDS)
        assert seen == [(), ("PairTable",)]


def test_what_attention_takes_under_several_names_is_handed_on(tiny: Callable[..., Any]) -> None:
    model = tiny("llama")
    attach(model, "rope")
    plain, sinks = model(IDS).logits, torch.tensor([0.0, 1.0, 2.0, 3.0])
    for each in (sinks, sinks[None, :, None, None].expand(1, 4, 8, 1)):
        taken = [model(IDS, **{name: each}).logits for name in ("s_aux", "sinks")]
        assert torch.equal(*taken)
        assert (taken[0] - plain).abs().max() > 1e-2
    assert (model(IDS, softcap=0.5).logits - plain).abs().max() > 1e-2


@pytest.mark.parametrize(
    ("name", "does"),
    [
        ("position_bias", "adds a bias of its own"),
        ("alibi", "adds ALiBi of its own"),
        ("indices", "chooses by itself which keys"),
    ],
)
def test_what_attention_has_no_place_for_is_refused_by_name(name: str, does: str, tiny: Callable[..., Any]) -> None:
    model, ids = tiny("llama"), torch.arange(3, 11)[None]
    attach(model, "rope")
    model(ids, **{name: None})
    with pytest.raises(UsageError, match=f"LlamaAttention {does}"):
        model(ids, **{name: torch.zeros(4)})
