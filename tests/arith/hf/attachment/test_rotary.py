from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from arith.errors import UsageError
from arith.hf import attach, detach, own_rope

FACTORS = {"short_factor": [1.0, 1.125, 1.25, 1.5], "long_factor": [1.0, 2.0, 3.0, 4.0]}
# Of each type of transformers, settings whose frequencies differ from those of the default.
TYPES: dict[str, dict[str, Any]] = {
    "default": {},
    "linear": {"factor": 4.0},
    "dynamic": {"factor": 2.0},
    "yarn": {"factor": 4.0, "original_max_position_embeddings": 16},
    "longrope": {"factor": 4.0, "original_max_position_embeddings": 16, **FACTORS},
    "llama3": {
        "factor": 4.0,
        "original_max_position_embeddings": 16,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
    },
    "proportional": {"factor": 2.0, "partial_rotary_factor": 0.5},
}
OPTIONS: list[tuple[str, dict[str, Any]]] = [
    ("yarn", {"truncate": False, "beta_fast": 8.0, "beta_slow": 0.5}),
    ("yarn", {"attention_factor": 0.7}),
    ("yarn", {"mscale": 1.0, "mscale_all_dim": 0.5}),
    ("longrope", {"attention_factor": 1.5}),
    ("proportional", {"factor": 1.0}),
]


def test_no_type_is_forgotten() -> None:
    assert set(TYPES) == {"default", *ROPE_INIT_FUNCTIONS}


@pytest.mark.parametrize("tokens", [12, 30])
@pytest.mark.parametrize(("kind", "options"), [*((kind, {}) for kind in TYPES), *OPTIONS])
def test_ours_with_the_same_settings_changes_logits_by_rounding_only(
    kind: str, options: dict[str, Any], tokens: int, tiny: Callable[..., Any]
) -> None:
    parameters = {"rope_type": kind, "rope_theta": 100.0, **TYPES[kind], **options}
    longest = 16 if kind == "dynamic" else 64
    model = tiny("llama", rope_parameters=parameters, max_position_embeddings=longest)
    ids = torch.arange(2 * tokens).reshape(2, tokens) * 7 % 20
    theirs = model(ids).logits
    attach(model, own_rope(model, tokens))
    torch.testing.assert_close(model(ids).logits, theirs, atol=1e-5, rtol=1e-5)
    detach(model)
    if kind != "default" and not (kind == "dynamic" and tokens < longest):
        attach(model, "rope:base=100")
        assert (model(ids).logits - theirs).abs().max() > 1e-2  # what is compared above does matter


@pytest.mark.parametrize(
    ("family", "config", "named"),
    [
        ("gpt-neox", {}, "rope:base=10000.0,share=0.25"),
        ("phi", {}, "rope:base=10000.0,share=0.5"),
        ("phi3", {"partial_rotary_factor": 0.5}, "rope:base=10000.0,share=0.5"),
        ("qwen3", {}, "rope:base=10000.0"),
        ("mistral", {}, "rope:base=10000.0"),
    ],
)
def test_other_families_and_partial_rotations(
    family: str, config: dict[str, Any], named: str, tiny: Callable[..., Any]
) -> None:
    model = tiny(family, **config)
    ids = torch.arange(24).reshape(2, 12) * 7 % 20
    theirs = model(ids).logits
    assert own_rope(model) == named
    attach(model, named)
    torch.testing.assert_close(model(ids).logits, theirs, atol=1e-5, rtol=1e-5)


def test_it_can_be_added_to(tiny: Callable[..., Any]) -> None:
    model, ids = tiny("llama"), torch.arange(12)[None]
    theirs = model(ids).logits
    attachment = attach(model, own_rope(model) + "+t5")
    torch.testing.assert_close(model(ids).logits, theirs, atol=1e-5, rtol=1e-5)  # a bias of 0 at the start
    attachment.encoding.parts[1].table.data.normal_()
    assert (model(ids).logits - theirs).abs().max() > 1e-2


def test_what_is_not_equal_is_refused(tiny: Callable[..., Any]) -> None:
    with pytest.raises(UsageError, match="GPT2Model has no rotary embedding"):
        own_rope(tiny("gpt2"))
    with pytest.raises(UsageError, match="CohereAttention pairs dimensions in another way"):
        own_rope(tiny("cohere"))
    with pytest.raises(UsageError, match=r"layers of Gemma3TextModel rotate differently \(sliding_attention"):
        own_rope(tiny("gemma3"))
    model = tiny("llama")
    attach(model, "rope")
    with pytest.raises(UsageError, match="'rope' is attached already"):
        own_rope(model)
