from collections.abc import Callable
from copy import deepcopy
from functools import partial
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

import arith.hf.attachment.interface as interface
from arith.errors import UsageError
from arith.hf import Attachment, attach, attached, detach, own_rope
from arith.hf.inputs import CACHE
from arith.kernels.attention import attention
from arith.kernels.terms import DistanceTable, PairTable

FAMILIES = ["gpt2", "llama", "phi", "phi3", "gpt-neox", "qwen3"]
ENCODINGS = [
    "nope",
    "alibi",
    "t5",
    "kerple",
    "fire",
    "coupled-window",
    "rope@randomized:span=99",
    "fire@coupled",
    "learned@abacus+rope",
    "random-embedding:at=hidden@tags",
    "random-embedding:at=heads@tags",
    "forgetting+rope",
    "cope",
    "shaw",
]
FEW = [
    *product(["llama"], ENCODINGS),
    *product(FAMILIES[:1] + FAMILIES[2:], ["coupled-window", "rope+fire@coupled"]),
    ("opt", "learned@abacus+rope"),  # whose decoder is inside its base model
]
REST = [pair for pair in product(FAMILIES, ENCODINGS) if pair not in FEW]
TEXTS = ["12+345=753", "99*9=198", "x1+203=402"]


def added(model: Any, encoding: str, tokenizer: Any) -> Attachment:
    """Attached, its parameters no longer at the start, where many a bias is 0."""
    attachment = attach(model, encoding, tokenizer=tokenizer, tokens=48, digits=12)
    for own in attachment.parameters():
        torch.nn.init.normal_(own, std=0.5)
    return attachment


def padded(rows: list[Tensor], side: str) -> dict[str, Tensor]:
    longest = max(map(len, rows)) + 1
    spare = [longest - len(row) for row in rows]
    pads = [(own, 0) if side == "left" else (0, own) for own in spare]
    ids = torch.stack([torch.nn.functional.pad(row, pad) for row, pad in zip(rows, pads, strict=True)])
    mask = [torch.nn.functional.pad(torch.ones_like(row), pad) for row, pad in zip(rows, pads, strict=True)]
    return {"input_ids": ids, "attention_mask": torch.stack(mask)}


def behaves(model: Any, encoding: str, tokenizer: Any) -> None:
    rows = [torch.tensor(own) for own in tokenizer(TEXTS)["input_ids"]]
    before = model(rows[0][None]).logits
    attachment = added(model, encoding, tokenizer)
    alone = [model(row[None]).logits[0] for row in rows]
    assert not torch.allclose(alone[0], before[0], atol=1e-3)

    for side in ("left", "right"):
        batch = padded(rows, side)
        found = model(**batch).logits
        for row, logits, mask in zip(alone, found, batch["attention_mask"].bool(), strict=True):
            torch.testing.assert_close(logits[mask], row, atol=1e-4, rtol=1e-4)

    changed = rows[0].clone()
    changed[-1] = tokenizer.convert_tokens_to_ids("9")
    later = model(changed[None]).logits[0]
    torch.testing.assert_close(later[:-1], alone[0][:-1], atol=0, rtol=0)

    # The prompt in one pass, then one token, then all that is left.
    prompt = int((rows[0] == tokenizer.convert_tokens_to_ids("=")).nonzero()[0]) + 1
    cache, parts = None, []
    for start, stop in ((0, prompt), (prompt, prompt + 1), (prompt + 1, len(rows[0]))):
        out = model(rows[0][None, start:stop], **{CACHE: cache}, use_cache=True)
        cache = out[CACHE]
        parts.append(out.logits[0])
    torch.testing.assert_close(torch.cat(parts), alone[0], atol=1e-4, rtol=1e-4)

    model.train()
    batch = padded(rows, "right")
    model(**batch, labels=batch["input_ids"]).loss.backward()
    without = [name for name, own in attachment.named_parameters() if own.grad is None or not own.grad.any()]
    assert not [name for name in without if "unplaced" not in name], without
    model.eval()
    detach(model)
    assert torch.equal(model(rows[0][None]).logits, before)


@pytest.mark.parametrize(("family", "encoding"), FEW)
def test_it_runs_padded_cached_and_trained(
    family: str, encoding: str, tiny: Callable[..., Any], digit_tokenizer: Callable[..., Any]
) -> None:
    behaves(tiny(family), encoding, digit_tokenizer())


@pytest.mark.slow
@pytest.mark.parametrize(("family", "encoding"), REST)
def test_it_runs_padded_cached_and_trained_everywhere(
    family: str, encoding: str, tiny: Callable[..., Any], digit_tokenizer: Callable[..., Any]
) -> None:
    behaves(tiny(family), encoding, digit_tokenizer())


@pytest.mark.parametrize("encoding", ["fire@coupled", "rope@randomized:span=99", "learned@abacus+forgetting"])
def test_beams_take_their_positions_along(
    encoding: str, tiny: Callable[..., Any], digit_tokenizer: Callable[..., Any]
) -> None:
    tokenizer = digit_tokenizer()
    model = tiny("llama")
    added(model, encoding, tokenizer)
    prompts = tokenizer(["12+345=", "9*9="], return_tensors="pt", padding=True, return_token_type_ids=False)
    # Without new lines: operands that a model writes itself are placed as far as they are written.
    kept = {"suppress_tokens": [0, 1, tokenizer.convert_tokens_to_ids("\n")], "max_new_tokens": 8, "num_beams": 4}
    generate = partial(model.generate, **prompts, **kept, return_dict_in_generate=True, output_scores=True)
    cached, whole = generate(use_cache=True), generate(use_cache=False)
    assert torch.equal(cached.sequences, whole.sequences)
    torch.testing.assert_close(cached.sequences_scores, whole.sequences_scores, atol=1e-4, rtol=1e-4)
    assert all(len(row.unique()) > 1 for row in cached.beam_indices)  # beams did change places


def test_a_copy_is_a_model_of_its_own(tiny: Callable[..., Any], digit_tokenizer: Callable[..., Any]) -> None:
    model, ids = tiny("gpt2"), torch.tensor([[10, 11, 5, 12, 8]])
    before = model(ids).logits
    added(model, "fire@coupled", digit_tokenizer())
    own = model(ids).logits
    copied = deepcopy(model)
    detach(model)
    assert torch.equal(copied(ids).logits, own)
    detach(copied)
    assert torch.equal(model(ids).logits, before)
    assert torch.equal(copied(ids).logits, before)
    assert attached(model) is attached(copied) is None


def test_nothing_of_the_model_is_left_changed(tiny: Callable[..., Any]) -> None:
    for family in FAMILIES:
        model = tiny(family)
        names = list(model.state_dict())
        modules = [(name, type(own)) for name, own in model.named_modules()]
        learned = [name for name, own in model.named_parameters() if own.requires_grad]
        implementation, forwards = model.config._attn_implementation, [type(own).forward for own in model.modules()]
        attachment = attach(model, "fire", tokens=32)
        assert set(names) < set(model.state_dict())  # saved with all that it had
        assert {id(own) for own in attachment.parameters()} <= {id(own) for own in model.parameters()}
        detach(model)
        assert names == list(model.state_dict())
        assert modules == [(n, type(own)) for n, own in model.named_modules()]
        assert learned == [name for name, own in model.named_parameters() if own.requires_grad]
        assert forwards == [type(own).forward for own in model.modules()]
        assert implementation == model.config._attn_implementation


def test_a_model_goes_on_beyond_its_own_table(tiny: Callable[..., Any]) -> None:
    model = tiny("gpt2", max_position_embeddings=8)
    attach(model, "alibi", tokens=32)
    ids = torch.arange(20)[None] % 20
    torch.testing.assert_close(model(ids).logits[:, :8], model(ids[:, :8]).logits, atol=1e-5, rtol=1e-5)


def test_recomputed_layers_have_the_same_gradients(tiny: Callable[..., Any]) -> None:
    model, ids = tiny("llama").train(), torch.arange(3, 19).reshape(2, 8)
    attachment = added(model, "fire+forgetting+rope@randomized:span=60", None)
    keys = torch.tensor([3, 4])

    def gradients() -> dict[str, Tensor]:
        model.zero_grad()
        # Two passes before the backward pass: each is recomputed with the positions that it had.
        losses = [model(part, labels=part, position_keys=keys).loss for part in (ids, ids.flip(1))]
        torch.stack(losses).sum().backward()
        return {name: own.grad.clone() for name, own in model.named_parameters() if own.grad is not None}

    plain = gradients()
    for reentrant in (False, True):
        model.gradient_checkpointing_enable({"use_reentrant": reentrant})
        torch.testing.assert_close(gradients(), plain, rtol=1e-5, atol=1e-7)
    assert all(f"arith.{name}" in plain for name, _ in attachment.named_parameters())


def test_packed_documents_do_not_see_one_another(tiny: Callable[..., Any], digit_tokenizer: Callable[..., Any]) -> None:
    tokenizer = digit_tokenizer()
    for encoding in ("rope+fire", "coupled-window", "forgetting"):
        model = tiny("llama")
        added(model, encoding, tokenizer)
        rows = [torch.tensor(own) for own in tokenizer(TEXTS)["input_ids"]]
        ids = torch.cat(rows)[None]
        counts = torch.cat([torch.arange(len(row)) for row in rows])[None]
        packed = model(ids, position_ids=counts, use_cache=False).logits[0]
        alone = torch.cat([model(row[None]).logits[0] for row in rows])
        torch.testing.assert_close(packed, alone, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_the_cache_may_have_its_older_name(tiny: Callable[..., Any]) -> None:
    whole_model, ids = tiny("llama"), torch.arange(3, 9)[None]
    added(whole_model, "fire", None)
    model = whole_model.base_model  # which knows one name, and is asked by the other
    whole = model(ids).last_hidden_state
    first = model(ids[:, :4], use_cache=True)
    rest = model(ids[:, 4:], past_key_values=first[CACHE]).last_hidden_state
    torch.testing.assert_close(torch.cat([first.last_hidden_state, rest], 1), whole, atol=1e-4, rtol=1e-4)


def test_a_model_that_runs_its_layers_several_times_is_refused(tiny: Callable[..., Any]) -> None:
    model = tiny("llama")
    for layer in model.model.layers:  # as families of transformers do that loop
        layer.self_attn.forward = lambda hidden_states, cache_offset=0, **kwargs: (hidden_states, None)
    with pytest.raises(UsageError, match="LlamaForCausalLM runs layers several times"):
        attach(model, "rope")
    assert attached(model) is None


def test_a_sliding_window_stays_one(tiny: Callable[..., Any]) -> None:
    for family in ("mistral", "gemma3"):
        layers = {} if family == "mistral" else {"layer_types": ["sliding_attention", "full_attention"]}
        model, ids = tiny(family, **layers), torch.arange(3, 19)[None]
        plain = model(ids).logits
        if family == "mistral":
            attach(model, own_rope(model))
            torch.testing.assert_close(model(ids).logits, plain, atol=1e-4, rtol=1e-4)
            detach(model)
        added(model, "fire+forgetting", None)
        whole, cache, parts = model(ids).logits, None, []
        for start in range(0, 16, 4):  # beyond the window, whose cache forgets
            out = model(ids[:, start : start + 4], **{CACHE: cache}, use_cache=True)
            cache = out[CACHE]
            parts.append(out.logits)
        torch.testing.assert_close(torch.cat(parts, dim=1), whole, atol=1e-4, rtol=1e-4)


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


def test_samples_draw_in_training_and_repeat_by_their_key(tiny: Callable[..., Any]) -> None:
    model, ids = tiny("llama"), torch.arange(3, 11).repeat(2, 1)
    attach(model, "rope@randomized:span=90", tokens=32)
    one, other = model(ids).logits
    assert torch.equal(one, other)  # evaluation draws nothing
    model.train()
    assert not torch.allclose(*model(ids).logits, atol=1e-3)
    keys = torch.tensor([5, 6])
    first, second = model(ids, position_keys=keys).logits
    assert not torch.allclose(first, second, atol=1e-3)
    with pytest.raises(UsageError, match="position_keys is a whole number for each of 2 samples"):
        model(ids, position_keys=keys[:1])
    swapped = model(ids, position_keys=keys.flip(0)).logits
    assert torch.equal(swapped, torch.stack([second, first]))


def test_the_model_and_what_is_added_have_one_type(tiny: Callable[..., Any]) -> None:
    model = tiny("llama").bfloat16()
    attachment = attach(model, "learned+fire+t5+rope", tokens=32)
    assert {own.dtype for own in attachment.parameters()} == {torch.bfloat16}
    assert model(torch.arange(3, 11)[None]).logits.dtype == torch.bfloat16
    assert attachment.encoding.parts[3].frequencies.dtype == torch.float32  # which bfloat16 would round


REFUSED = [
    ("bloom", {}, "rope", "BloomForCausalLM does not compute its attention through transformers' AttentionInterface"),
    ("gemma2", {}, "rope", "caps its scores (attn_logit_softcapping=50.0)"),
    ("gpt2", {"add_cross_attention": True}, "rope", "has cross-attention"),
    ("gpt2", {"hidden_size": 36}, "rope", "a head's width must be even, got 9"),
    ("stablelm", {}, "rope", "StableLmForCausalLM hands no keyword arguments on to StableLmAttention"),
    ("llama", {}, "ropee", "Did you mean 'rope'?"),
    ("llama", {}, "fire@coupled", "'fire@coupled' looks at digits. Say which tokens hold them: tokenizer=..."),
]


@pytest.mark.parametrize(("family", "config", "encoding", "told"), REFUSED)
def test_what_cannot_be_says_why(
    family: str, config: dict[str, Any], encoding: str, told: str, tiny: Callable[..., Any]
) -> None:
    model = tiny(family, **config)
    names = list(model.state_dict())
    with pytest.raises(UsageError) as caught:
        attach(model, encoding)
    assert told in str(caught.value)
    assert attached(model) is None
    assert list(model.state_dict()) == names


def test_what_cannot_run_says_why(tiny: Callable[..., Any], digit_tokenizer: Callable[..., Any]) -> None:
    ids = torch.arange(3, 11)[None]
    with pytest.raises(UsageError, match="takes a model of transformers, got Linear"):
        attach(torch.nn.Linear(2, 2), "rope")
    with pytest.raises(UsageError, match="nothing is attached to this LlamaForCausalLM"):
        detach(tiny("llama"))
    with pytest.raises(UsageError, match="from loop to loop, and llama has no loops"):
        attach(tiny("llama"), "sliding-window", tokenizer=digit_tokenizer())
    with pytest.raises(UsageError, match=r"format plain, where no width is known'.*known width"):
        attach(tiny("llama"), "coupled-window", tokenizer=digit_tokenizer(), format="plain")
    with pytest.raises(UsageError, match="the tokenizer has 120 tokens and the model 20"):
        attach(tiny("llama"), "coupled-window", tokenizer=digit_tokenizer(2))
    with pytest.raises(UsageError, match=r"the model's tokenizer, as .* got 'gpt2'"):
        attach(tiny("llama"), "coupled-window", tokenizer="gpt2")
    model = tiny("llama")
    attach(model, "learned", tokens=6)
    with pytest.raises(UsageError, match="'learned' is attached already"):
        attach(model, "rope")
    with pytest.raises(UsageError, match=r"sequences of 6 tokens .* here an id is 8"):
        model(ids)
    with pytest.warns(UserWarning, match="here an id is 7.* Tokens beyond go on without positions"):
        assert model.generate(ids[:, :4], max_new_tokens=4, use_cache=True).shape[1] > 4
    with pytest.raises(UsageError, match=r"got \(1, 3\)"):
        model(ids[:, :4], attention_mask=torch.ones(1, 3))
    with pytest.raises(UsageError, match="Leave cache_implementation out"):
        model.generate(ids[:, :4], max_new_tokens=2, cache_implementation="static")
    fresh = tiny("llama")
    cache = fresh(ids, use_cache=True)[CACHE]
    attach(fresh, "rope")
    with pytest.raises(UsageError, match="filled without the attached encoding"):
        fresh(ids, **{CACHE: cache})
    grown = tiny("llama")
    attach(grown, "coupled-window", tokenizer=digit_tokenizer())
    grown.resize_token_embeddings(24)
    with pytest.raises(UsageError, match="the model has 24 tokens, and had 20 when 'coupled-window' was attached"):
        grown(ids)


def test_attention_sinks_are_refused(tiny: Callable[..., Any]) -> None:
    model = tiny("gpt-oss")
    attach(model, "rope")
    with pytest.raises(UsageError, match="GptOssAttention has attention sinks, which arith's attention has no place"):
        model(torch.arange(3, 11)[None])


@pytest.mark.parametrize(
    ("name", "does"),
    [
        *(("s_aux", "has attention sinks"), ("sinks", "has attention sinks"), ("softcap", "caps its scores")),
        *(("position_bias", "adds a bias of its own"), ("alibi", "adds ALiBi of its own")),
    ],
)
def test_what_attention_has_no_place_for_is_refused_by_name(name: str, does: str, tiny: Callable[..., Any]) -> None:
    model, ids = tiny("llama"), torch.arange(3, 11)[None]
    attach(model, "rope")
    model(ids, **{name: None})
    with pytest.raises(UsageError, match=f"LlamaAttention {does}"):
        model(ids, **{name: torch.zeros(4)})


def test_inputs_embeds_have_places_and_no_digits(tiny: Callable[..., Any], digit_tokenizer: Callable[..., Any]) -> None:
    model, ids = tiny("llama"), torch.arange(3, 11)[None]
    attach(model, "rope+fire", tokens=32)
    embedded = model.get_input_embeddings()(ids)
    assert torch.equal(model(inputs_embeds=embedded).logits, model(ids).logits)
    detach(model)
    attach(model, "coupled-window", tokenizer=digit_tokenizer())
    with pytest.raises(UsageError, match="inputs_embeds do not show them"):
        model(inputs_embeds=embedded)


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["rope+fire@coupled", "coupled-window", "forgetting"])
def test_it_compiles_but_for_the_positions(
    encoding: str, tiny: Callable[..., Any], digit_tokenizer: Callable[..., Any]
) -> None:
    model, tokenizer = tiny("llama").train(), digit_tokenizer()
    added(model, encoding, tokenizer)
    ids = torch.tensor(tokenizer(TEXTS[:1])["input_ids"])

    def trained(run: Callable[..., Any]) -> tuple[Tensor, dict[str, Tensor]]:
        model.zero_grad()
        loss = run(ids, labels=ids, use_cache=False).loss
        loss.backward()
        return loss.detach(), {name: own.grad.clone() for name, own in model.named_parameters() if own.grad is not None}

    torch._dynamo.reset()
    assert torch._dynamo.explain(model)(ids, use_cache=False).graph_break_count == 1
    torch._dynamo.reset()
    torch.testing.assert_close(trained(torch.compile(model, backend="aot_eager")), trained(model))
    torch._dynamo.reset()
    whole = torch.compile(model, backend="eager", fullgraph=True)
    with pytest.raises(torch._dynamo.exc.Unsupported):
        whole(ids, use_cache=False)


@pytest.mark.slow
def test_one_shape_is_exported_where_ids_need_no_look_at_the_tokens(
    tiny: Callable[..., Any], digit_tokenizer: Callable[..., Any]
) -> None:
    ids, others = torch.arange(3, 11)[None], torch.arange(11, 3, -1)[None]

    def exported(encoding: str) -> None:
        model = tiny("llama")
        attach(model, encoding, tokenizer=digit_tokenizer(), tokens=32)
        program = torch.export.export(model, (ids,), {"use_cache": False}, strict=False)
        torch.testing.assert_close(program.module()(others, use_cache=False).logits, model(others).logits)

    for encoding in ("rope", "fire"):
        exported(encoding)
    with pytest.raises(Exception, match="data-dependent"):
        exported("coupled-window")
