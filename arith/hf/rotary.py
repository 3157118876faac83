"""A transformers model's own rotary embedding as a text of ours, so that it can be kept, changed or added to."""

import sys
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from arith.build import encoding
from arith.encodings.base import Positions
from arith.encodings.rope import RoPE
from arith.errors import UsageError
from arith.hf.architecture import Architecture
from arith.hf.attachment import check_free

_PROBED = 16  # positions on which rotations are compared


def own_rope(model: Any, tokens: int | None = None) -> str:
    """What a model's rotary embedding is called here, its settings included. Attached, it gives the model's own logits.

        attach(model, own_rope(model) + "+fire@coupled", tokenizer=tokenizer)        # adds to what the model has

    Args:
        model: to which nothing is attached.
        tokens: of the longest sequence. A model whose frequencies change with the length so far (dynamic, longrope)
            has here those of this length, and for shorter sequences too. By default what the model is made for.

    Raises:
        UsageError: the model has no rotary embedding, or one that no setting here is equal to.

    >>> from transformers import LlamaConfig, LlamaForCausalLM
    >>> shape = dict(vocab_size=50, hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=4)
    >>> own_rope(LlamaForCausalLM(LlamaConfig(**shape, rope_parameters={"rope_type": "default", "rope_theta": 5e5})))
    'rope:base=500000.0'
    """
    check_free(model)
    architecture = Architecture.of(model)
    name, config = type(model).__name__, model.config
    settings = getattr(config, "rope_parameters", None)
    if not architecture.rotaries or not settings:
        raise UsageError(f"{name} has no rotary embedding. Attach an encoding by its name, such as 'rope'")
    if "rope_type" not in settings:
        raise UsageError(f"layers of {name} rotate differently ({', '.join(settings)}), and an encoding here does not")
    tokens = config.max_position_embeddings if tokens is None else tokens
    kind = settings["rope_type"]
    rotary = architecture.base.get_submodule(architecture.rotaries[0])
    frequencies, sharpness = _theirs(rotary, config, kind, tokens)
    text = _named(name, kind, settings, frequencies, sharpness, config, tokens)
    ours = encoding(
        text,
        width=architecture.width,
        heads=architecture.heads,
        head_width=architecture.head_width,
        layers=1,
        tokens=tokens,
    ).parts[0]
    assert isinstance(ours, RoPE)
    _check_frequencies(name, text, ours, frequencies, sharpness)
    _check_pairs(architecture, ours, frequencies)
    return text


def _theirs(rotary: Any, config: Any, kind: str, tokens: int) -> tuple[Float[Tensor, " half"], float]:
    """The model's frequencies for sequences of this length, and what it multiplies queries and keys by."""
    compute = rotary.compute_default_rope_parameters if kind == "default" else ROPE_INIT_FUNCTIONS[kind]
    frequencies, sharpness = compute(config, seq_len=tokens)
    return frequencies, float(sharpness)


def _named(
    name: str,
    kind: str,
    settings: Mapping[str, Any],
    frequencies: Float[Tensor, " half"],
    sharpness: float,
    config: Any,
    tokens: int,
) -> str:
    head_width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    pairs = len(frequencies)
    turning = int(frequencies.count_nonzero())
    whole = {"base": settings["rope_theta"]}
    if 2 * pairs != head_width:
        whole["share"] = 2 * pairs / head_width
    if turning != pairs:
        whole["kept"] = turning / pairs
    longest = config.max_position_embeddings
    trained = settings.get("original_max_position_embeddings") or longest
    stretch = settings.get("factor") or longest / trained
    match kind:
        case "default":
            return _written("rope", whole)
        case "proportional" if stretch == 1:
            return _written("rope", whole)
        case "linear" | "proportional":
            return _written("rope-interpolated", whole | {"trained": longest, "stretch": stretch})
        case "dynamic":
            return _written(
                "rope-ntk", whole | {"trained": longest, "alpha": stretch, "stretch": max(1.0, tokens / longest)}
            )
        case "yarn":
            own = {"trained": trained, "stretch": stretch, "sharpness": sharpness}
            own |= {"fast": settings.get("beta_fast") or 32, "slow": settings.get("beta_slow") or 1}
            return _written("rope-yarn", whole | own | ({} if settings.get("truncate", True) else {"rounded": "false"}))
        case "llama3":
            own = {"trained": trained, "stretch": stretch}
            own |= {"low": settings["low_freq_factor"], "high": settings["high_freq_factor"]}
            return _written("rope-llama3", whole | own)
        case "longrope":
            factors = settings["long_factor" if tokens > trained else "short_factor"]
            own = {"trained": trained, "stretch": stretch, "sharpness": sharpness}
            return _written("rope-long", whole | own | {"factors": "-".join(map(str, factors))})
    known = ", ".join(["default", *ROPE_INIT_FUNCTIONS])
    raise UsageError(f"{name} has rope_type '{kind}', and what is known here is {known}")


def _written(name: str, settings: Mapping[str, Any]) -> str:
    return f"{name}:" + ",".join(f"{key}={value}" for key, value in settings.items())


def _check_frequencies(name: str, text: str, ours: RoPE, theirs: Float[Tensor, " half"], sharpness: float) -> None:
    own = getattr(ours, "sharpness", 1.0)
    if not torch.allclose(ours.frequencies, theirs, rtol=1e-5, atol=0) or abs(own - sharpness) > 1e-6:
        raise UsageError(
            f"{name} rotates by frequencies that '{text}' does not have: {_few(theirs)} times {sharpness:g}, not "
            f"{_few(ours.frequencies)} times {own:g}"
        )


def _few(numbers: Float[Tensor, " half"]) -> str:
    return "[" + ", ".join(f"{number:.4g}" for number in numbers[:4].tolist()) + (", ...]" if len(numbers) > 4 else "]")


def _check_pairs(architecture: Architecture, ours: RoPE, frequencies: Float[Tensor, " half"]) -> None:
    """Raise if the model pairs other dimensions: scores of rotated numbers are compared with those of its function."""
    module = sys.modules[type(architecture.attention[0]).__module__]
    turned = getattr(module, "apply_rotary_pos_emb", None)
    if turned is None:
        return
    angles = torch.arange(_PROBED)[:, None] * frequencies
    cos, sin = (both.repeat(1, 2)[None] for both in (angles.cos(), angles.sin()))
    x = torch.arange(_PROBED * cos.shape[2]).sin().reshape(1, 1, _PROBED, -1)
    q, k = turned(x, x.flip(3), cos, sin)
    ids = torch.arange(1, _PROBED + 1)[None, None]
    places = Positions(ids, ids)
    rotated = RoPE.rotate(ours, x, x.flip(3), places)  # what is multiplied afterwards has been compared
    if not torch.allclose(q @ k.transpose(2, 3), rotated[0] @ rotated[1].transpose(2, 3), atol=1e-3):
        raise UsageError(
            f"{type(architecture.attention[0]).__name__} pairs dimensions in another way than RoPE does here (i with "
            f"i + half), so that no setting makes them equal"
        )
