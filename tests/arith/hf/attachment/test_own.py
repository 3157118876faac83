"""Models that keep their own positions, whose attention is arith's: the same logits, gradients and replies."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from transformers.models.t5.modeling_t5 import eager_attention_forward

import arith.hf.attachment.interface as interface
from arith.errors import UsageError
from arith.hf import attach, attached, detach, own_rope, save
from arith.hf.attachment.changes import Changes
from arith.hf.attachment.masks import Mask
from arith.hf.attachment.own import keep_biases
from arith.kernels.attention import attention

DECODERS = ["llama", "gpt-oss", "gemma2", "gemma3", "smollm3", "llama4", "stablelm", "opt", "inkling", "inkling2"]
T5 = ["T5", "MT5", "UMT5"]
IDS = torch.arange(3, 25).reshape(2, 11) % 17 + 3
MASK = torch.ones_like(IDS)
MASK[1, 7:] = 0


def decoder(family: str, tiny: Callable[..., Any]) -> Any:
    model = tiny(family)
    if family.startswith("inkling"):  # which begins with numbers so small that nothing shows
        for own in model.parameters():
            nn.init.normal_(own, std=0.5)
    return model


def encoder_decoder(family: str, **config: Any) -> Any:
    """Distances beyond 6 share a number; the sequences are longer."""
    names = {"relative_attention_num_buckets": 8, "relative_attention_max_distance": 6, "dropout_rate": 0.0}
    shape = {"vocab_size": 20, "d_model": 32, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 4, **names}
    special = {"decoder_start_token_id": 0, "pad_token_id": 0, "eos_token_id": 1}
    torch.manual_seed(0)
    made = getattr(transformers, f"{family}Config")(**shape, **special, **config)
    return getattr(transformers, f"{family}ForConditionalGeneration")(made).eval()


def batch_of(model: Any) -> dict[str, Tensor]:
    """Padded on the right. What is written is longer than what is read."""
    if not model.config.is_encoder_decoder:
        return {"input_ids": IDS, "attention_mask": MASK}
    read = {"input_ids": IDS[:, :9].flip(1), "attention_mask": MASK[:, :9]}
    return {**read, "decoder_input_ids": IDS, "decoder_attention_mask": MASK}


def trained(model: Any) -> tuple[Tensor, dict[str, Tensor]]:
    """Logits of tokens that are no padding, and gradients of every parameter, of a loss that weighs all of them."""
    model.zero_grad()
    logits = model(**batch_of(model)).logits[MASK.bool()]
    (logits * torch.linspace(-1, 1, logits.numel()).reshape(logits.shape)).sum().backward()
    return logits.detach(), {name: own.grad.clone() for name, own in model.named_parameters() if own.grad is not None}


def agrees(model: Any) -> None:
    prompt = {"input_ids": IDS, "attention_mask": MASK.flip(1)}
    model.set_attn_implementation("eager")
    names, before = list(model.state_dict()), trained(model)
    written = model.generate(**prompt, max_new_tokens=9, do_sample=False, num_beams=2)
    attach(model, "own")
    assert list(model.state_dict()) == names
    logits, gradients = trained(model)
    torch.testing.assert_close(logits, before[0], atol=1e-5, rtol=1e-5)
    assert set(gradients) == set(before[1])
    for name, gradient in gradients.items():
        largest = before[1][name].abs().max().item()
        torch.testing.assert_close(gradient, before[1][name], atol=1e-5 * max(1, largest), rtol=1e-5)
    assert torch.equal(model.generate(**prompt, max_new_tokens=9, do_sample=False, num_beams=2), written)
    detach(model)
    assert torch.equal(trained(model)[0], before[0])


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the op is called with."""
    seen: list[dict[str, Any]] = []

    def watched(*inputs: Tensor, **others: Any) -> Tensor:
        seen.append(others)
        return attention(*inputs, **others)

    monkeypatch.setattr(interface, "attention", watched)
    return seen


@pytest.mark.parametrize("family", DECODERS)
def test_decoders_run_in_our_op_as_in_their_own(
    family: str, tiny: Callable[..., Any], calls: list[dict[str, Any]]
) -> None:
    agrees(decoder(family, tiny))
    assert calls


@pytest.mark.parametrize("family", T5)
def test_t5_runs_in_our_op_as_in_its_own(family: str, calls: list[dict[str, Any]]) -> None:
    model = encoder_decoder(family)
    agrees(model)
    calls.clear()
    attach(model, "own")
    model(**batch_of(model))
    # Encoder, decoder and cross-attention; nothing of all pairs.
    terms = [(call["causal"], [type(term).__name__ for term in call["terms"]]) for call in calls]
    table = ["DistanceTable"]
    assert terms == [(False, table), (False, table), (True, table), (False, []), (True, table), (False, [])]
    assert calls[0]["terms"][0].values.shape == (4, 2 * 6 + 2)


@pytest.mark.parametrize("family", ["T5", "inkling"])
def test_nothing_is_laid_out_for_all_pairs(
    family: str, tiny: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where attention itself lays out nothing, as fused kernels do, a whole step has no tensor of all pairs."""
    model, ids = encoder_decoder("T5") if family == "T5" else tiny(family), torch.arange(61)[None] % 17 + 3
    made: list[str] = []

    class Watched(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            out = func(*args, **(kwargs or {}))
            # Bytes aside: a sliding window is recognised by what it hides, which is looked at once a pass.
            if isinstance(out, Tensor) and out.shape.count(61) == 2 and out.is_floating_point():
                made.append(str(func))
            return out

    def step() -> list[str]:
        made.clear()
        mask = torch.ones_like(ids)
        with Watched():
            model(input_ids=ids, attention_mask=mask, labels=ids, use_cache=False).loss.backward()
        return made

    assert step()
    attach(model, "own")
    monkeypatch.setattr(interface, "attention", lambda q, *_, **others: q)
    assert not step()


def test_inkling_hands_on_what_its_bias_is_made_from(tiny: Callable[..., Any], calls: list[dict[str, Any]]) -> None:
    model = tiny("inkling")
    attach(model, "own")
    model(IDS)
    sliding, whole = (call["terms"] for call in calls)
    assert [type(term).__name__ for term in sliding] == ["QueryTable", "Window"]
    assert [type(term).__name__ for term in whole] == ["QueryTable"]
    assert (whole[0].states.shape, whole[0].values.shape, whole[0].first) == ((2, 4, 11, 3), (1, 6, 3), -5)


def test_scores_are_capped_and_sinks_take_their_weight(tiny: Callable[..., Any], calls: list[dict[str, Any]]) -> None:
    for family in ("gemma2", "gpt-oss", "inkling2"):
        model = tiny(family)
        attach(model, "own")
        model(IDS)
    assert calls[0]["softcap"] == 50.0
    sinks = [tuple(call["sinks"].shape) for call in calls if call["sinks"] is not None]
    assert sinks == [(4,), (4,), (2, 4, 11), (2, 4, 11)]


@pytest.mark.parametrize(("rows", "heads"), [(1, 4), (1, 1), (2, 4)])
@pytest.mark.parametrize("queries", [6, 2, 9])
def test_a_bias_of_which_nothing_is_known_is_a_term(rows: int, heads: int, queries: int) -> None:
    module = nn.Linear(1, 1)
    keep_biases([module], Changes())
    torch.manual_seed(0)
    q, k, v, bias = (
        torch.randn(shape, requires_grad=True)
        for shape in ((2, 4, queries, 8), (2, 4, 6, 8), (2, 4, 6, 8), (rows, heads, queries, 6))
    )
    found = []
    for attend, mask in ((interface.forward, Mask(False)), (eager_attention_forward, None)):
        out, _ = attend(module, q, k, v, mask, position_bias=bias)  # type: ignore[operator]
        found.append((out, *torch.autograd.grad(out.sin().sum(), (q, k, v, bias))))
    torch.testing.assert_close(*found, atol=1e-6, rtol=1e-5)


def test_an_encoding_is_added_to_what_the_model_has(tiny: Callable[..., Any]) -> None:
    for family in ("inkling", "gemma3", "gpt2"):
        model = decoder(family, tiny)
        own = model(IDS).logits
        attachment = attach(model, "own+t5", tokens=32)
        torch.testing.assert_close(model(IDS).logits, own, atol=1e-5, rtol=1e-5)  # a bias of 0 at the start
        nn.init.normal_(next(attachment.parameters()))
        assert (model(IDS).logits - own).abs().max() > 1e-3
        model(IDS, labels=IDS).loss.backward()
        assert all(weight.grad is not None for weight in attachment.parameters())
        detach(model)
        assert torch.equal(model(IDS).logits, own)


@pytest.mark.parametrize(
    "family", ["llama", "gemma3", "cohere", "glm", "gemma2", "gpt-oss", "gpt2", "opt", "phi", "smollm3", "llama4"]
)
def test_own_positions_stay_bit_for_bit(
    family: str, tiny: Callable[..., Any], digit_tokenizer: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What reaches attention, in every layer: attention gives the queries back, so that later layers compare too."""
    seen: list[tuple[Tensor, Tensor]] = []

    def theirs(module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Any, **_: Any) -> Any:
        seen.append((query, key))
        return query.transpose(1, 2).contiguous(), None

    def ours(query: Tensor, key: Tensor, value: Tensor, **_: Any) -> Tensor:
        seen.append((query, key))
        return query

    mapping = {**transformers.AttentionInterface._global_mapping, "seen": theirs}
    monkeypatch.setattr(transformers.AttentionInterface, "_global_mapping", mapping)
    monkeypatch.setattr(interface, "attention", ours)
    model = tiny(family)
    model.set_attn_implementation("seen")
    model(IDS)
    attachment = attach(model, "t5@coupled+own", tokenizer=digit_tokenizer(), format="reversed", tokens=32)
    assert attachment.title.startswith("'own+t5@coupled")
    model(IDS)
    assert len(seen) == 2 * model.config.num_hidden_layers
    half = len(seen) // 2
    for before, after in zip(seen[:half], seen[half:], strict=True):
        torch.testing.assert_close(after, before, atol=0, rtol=0)
    detach(model)
    if family in ("llama", "gemma3", "cohere", "glm"):  # what is compared above does matter
        seen.clear()
        attach(model, "t5", tokens=32)
        model(IDS)
        assert not torch.equal(seen[0][0], before[0])


def test_recomputed_layers_have_the_same_gradients(tiny: Callable[..., Any]) -> None:
    for model in (encoder_decoder("T5"), decoder("inkling", tiny)):
        attach(model, "own")
        plain = trained(model.train())[1]
        for reentrant in (False, True):
            model.gradient_checkpointing_enable({"use_reentrant": reentrant})
            torch.testing.assert_close(trained(model)[1], plain, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["T5", "gemma2"])
def test_it_compiles(family: str, tiny: Callable[..., Any]) -> None:
    model = encoder_decoder("T5") if family == "T5" else decoder(family, tiny)
    attach(model, "own")
    plain = trained(model)
    torch._dynamo.reset()
    model.compile(backend="aot_eager")
    torch.testing.assert_close(trained(model), plain, atol=1e-5, rtol=1e-4)


def test_a_copy_is_a_model_of_its_own() -> None:
    model = encoder_decoder("T5")
    attach(model, "own")
    before, copied = trained(model)[0], deepcopy(model)
    copied.encoder.block[0].layer[0].SelfAttention.relative_attention_bias.weight.data.zero_()
    assert not torch.allclose(trained(copied)[0], before, atol=1e-3)
    assert torch.equal(trained(model)[0], before)
    detach(copied)
    assert attached(model) is not None
    assert attached(copied) is None
    assert not [own for own in copied.modules() if "arith" in " ".join(vars(own))]


def test_what_cannot_be_says_why(tiny: Callable[..., Any], tmp_path: Any) -> None:
    model = tiny("llama")
    attach(model, "own")
    with pytest.raises(UsageError, match="'own', which has no numbers, is attached to this LlamaForCausalLM"):
        save(model, tmp_path)
    with pytest.raises(UsageError, match="'own' is attached already"):
        own_rope(model)
    with pytest.raises(UsageError, match=r"LlamaAttention came with a mask of all pairs, \(2, 1, 11, 11\)"):
        model(IDS, attention_mask=torch.ones(2, 1, 11, 11, dtype=torch.bool))
    with pytest.raises(UsageError, match="Leave cache_implementation out"):
        model.generate(IDS, max_new_tokens=2, cache_implementation="static")
