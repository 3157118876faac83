"""Every causal family of the installed transformers: what attaches is right, and what does not says why."""

from typing import Any

import pytest
import torch
import transformers
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

from arith.errors import UsageError
from arith.hf import attach, attached, detach, own_rope
from arith.hf.inputs import CACHE

# By the names that configs have for them.
SMALL = {
    **dict.fromkeys(("hidden_size", "n_embd", "d_model", "intermediate_size", "ffn_dim", "word_embed_proj_dim"), 32),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "num_layers", "n_layers"), 2),
    **dict.fromkeys(("num_attention_heads", "num_key_value_heads", "n_head", "num_heads", "n_heads"), 4),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts"), 2),
    **dict.fromkeys(("max_position_embeddings", "n_positions"), 64),
    **dict.fromkeys(("attn_pdrop", "attention_dropout"), 0.0),
    "moe_intermediate_size": 16,
    "num_experts_per_tok": 1,
    "vocab_size": 60,
    "initializer_range": 0.2,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
IDS = torch.arange(3, 21).reshape(2, 9) * 7 % 60


def small(config: Any, model: Any) -> Any:
    """None if the family needs more than a few names to be small, or does not run at all."""
    try:
        default = config()
        own = {name: value for name, value in SMALL.items() if hasattr(default, name)}
        own = {name: value for name, value in own.items() if name not in config.attribute_map}
        if getattr(default, "head_dim", None):
            own["head_dim"] = 8
        if getattr(default, "layer_types", None):
            own["layer_types"] = list(default.layer_types)[:2]
        made = config(**own)
        with torch.device("meta"):
            if sum(parameter.numel() for parameter in model(made).parameters()) > 3_000_000:
                return None
        torch.manual_seed(0)
        built = model(made).eval()
        built(IDS, use_cache=False)
    except Exception:  # whatever a family of transformers raises here is not ours
        return None
    return built


def checked(model: Any) -> bool:
    """Whether an encoding attaches, to which all is then right."""
    before = model(IDS, use_cache=False).logits
    try:
        attach(model, "t5+alibi", tokens=64)
        whole = model(IDS, use_cache=False).logits
    except UsageError:
        if attached(model) is not None:
            detach(model)
            assert torch.equal(model(IDS, use_cache=False).logits, before)
        return False
    first = model(IDS[:, :4], use_cache=True)
    rest = model(IDS[:, 4:], **{CACHE: first[CACHE]}, use_cache=True)
    torch.testing.assert_close(torch.cat([first.logits, rest.logits], 1), whole, atol=1e-4, rtol=1e-4)
    padded = torch.nn.functional.pad(IDS, (3, 0))
    mask = torch.nn.functional.pad(torch.ones_like(IDS), (3, 0))
    torch.testing.assert_close(model(padded, attention_mask=mask).logits[:, 3:], whole, atol=1e-4, rtol=1e-4)
    detach(model)
    assert torch.equal(model(IDS, use_cache=False).logits, before)
    implementation = model.config._attn_implementation
    model.set_attn_implementation("eager")  # others ignore what some families cap
    plain = model(IDS, use_cache=False).logits
    attach(model, "own+t5", tokens=64)  # a bias of 0 at the start
    torch.testing.assert_close(model(IDS, use_cache=False).logits, plain, atol=1e-4, rtol=1e-4)
    detach(model)
    model.set_attn_implementation(implementation)
    try:
        own = own_rope(model)
    except UsageError:
        return True
    attach(model, own)
    torch.testing.assert_close(model(IDS, use_cache=False).logits, before, atol=1e-5, rtol=1e-5)
    detach(model)
    return True


@pytest.mark.slow
def test_every_family_attaches_and_is_right_or_says_why_not() -> None:
    transformers.logging.set_verbosity_error()
    found: dict[bool, list[str]] = {True: [], False: []}
    failed = {}
    for config, models in MODEL_FOR_CAUSAL_LM_MAPPING.items():
        kind = models[0] if isinstance(models, tuple) else models
        model = small(config, kind)
        if model is None:
            continue
        try:
            found[checked(model)].append(kind.__name__)
        except Exception as error:
            failed[kind.__name__] = repr(error)[:300]
    print(f"attached: {', '.join(sorted(set(found[True])))}\nrefused: {', '.join(sorted(set(found[False])))}")
    assert not failed
    assert len(set(found[True])) >= 55
    # Their decoders are found in ways of their own.
    assert {"OPTForCausalLM", "ModernBertDecoderForCausalLM"} <= set(found[True])
