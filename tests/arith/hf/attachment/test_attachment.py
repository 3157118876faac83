"""What is attached to a model: numbers, ids, gradients, caches, saving.

Long, as families of models share one set of promises.
"""

from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from arith.errors import UsageError
from arith.hf import Attachment, attach, detach, load, own_rope, save
from arith.hf.inputs import CACHE

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
    *product(["gpt-oss", "gemma2", "smollm3", "llama4"], ["rope+fire@coupled"]),
    ("gemma3", "own+fire@coupled"),
]
REST = [pair for pair in product(FAMILIES, ENCODINGS) if pair not in FEW]
TEXTS = ["12+345=753", "99*9=198", "x1+203=402"]


def added(model: Any, encoding: str, tokenizer: Any) -> Attachment:
    """Attached, its parameters no longer at the start, where many a bias is 0."""
    attachment = attach(model, encoding, tokenizer=tokenizer, format="reversed", tokens=48, digits=12)
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
    # Llama 4 scales queries by their place in the row, padding included.
    config = {"attn_temperature_tuning": False} if family == "llama4" else {}
    behaves(tiny(family, **config), encoding, digit_tokenizer())


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


def test_inputs_embeds_have_places_and_no_digits(tiny: Callable[..., Any], digit_tokenizer: Callable[..., Any]) -> None:
    model, ids = tiny("llama"), torch.arange(3, 11)[None]
    attach(model, "rope+fire", tokens=32)
    embedded = model.get_input_embeddings()(ids)
    assert torch.equal(model(inputs_embeds=embedded).logits, model(ids).logits)
    detach(model)
    attach(model, "coupled-window", tokenizer=digit_tokenizer(), format="reversed")
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
        attach(model, encoding, tokenizer=digit_tokenizer(), format="reversed", tokens=32)
        program = torch.export.export(model, (ids,), {"use_cache": False}, strict=False)
        torch.testing.assert_close(program.module()(others, use_cache=False).logits, model(others).logits)

    for encoding in ("rope", "fire"):
        exported(encoding)
    with pytest.raises(Exception, match="data-dependent"):
        exported("coupled-window")


@pytest.mark.parametrize("encoding", ["fire@coupled", "random-embedding:at=heads@tags"])
@pytest.mark.parametrize(
    ("family", "config", "rotated"),
    [
        ("phi", {"hidden_size": 128, "num_attention_heads": 2}, 32),
        ("phi3", {"hidden_size": 192, "num_attention_heads": 2}, 96),
    ],
)
def test_phi_with_heads_of_its_size_is_trained_saved_and_loaded(
    family: str,
    config: dict[str, Any],
    rotated: int,
    encoding: str,
    tiny: Callable[..., Any],
    digit_tokenizer: Callable[..., Any],
    tmp_path: Path,
) -> None:
    model, tokenizer = tiny(family, **config), digit_tokenizer()
    width = config["hidden_size"] // config["num_attention_heads"]
    assert rotated == round(width * model.config.rope_parameters.get("partial_rotary_factor", 1.0))
    text = torch.tensor(tokenizer(["12+34=64", "99+11=011"], padding=True)["input_ids"])
    attach(model, f"{own_rope(model)}+{encoding}", tokenizer=tokenizer, format="reversed", tokens=32, digits=9)
    keys = torch.tensor([1, 2])

    def logits(own: Any) -> Tensor:
        found: Tensor = own(text, position_keys=keys).logits
        return found

    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)  # what is attached, too
    losses = []
    for _ in range(8):
        loss = model(text, labels=text, position_keys=keys).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]
    expected = logits(model)
    model.save_pretrained(tmp_path)
    save(model, tmp_path)
    again = type(model).from_pretrained(tmp_path).eval()
    assert not torch.allclose(again(text).logits, expected, atol=1e-3)  # transformers drops what was attached
    load(again, tmp_path)
    assert torch.equal(logits(again), expected)
