"""A transformers model's own rotary embedding in our language, so that it can be kept, changed or added to."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from arith.encodings.base import Positions
from arith.encodings.rope import RoPE
from arith.errors import UsageError
from arith.hf.attachment.architecture import Architecture
from arith.hf.attachment.attached import check_free
from arith.hf.attachment.changes import Unrotated

_PROBED = 16  # positions at which rotations are compared


def own_rope(model: Any, tokens: int | None = None) -> str:
    """The text that names a model's rotary embedding here. Attached, it gives the model's own logits.

        attach(model, own_rope(model) + "+fire@coupled", tokenizer, format="reversed")  # adds to what the model has

    Args:
        model: a model to which nothing is attached.
        tokens: the length of the longest sequence; by default what the model is made for. If the model's frequencies
            change with the length so far (dynamic, longrope), the text has those of this length, for all sequences.

    Raises:
        UsageError: the model has no rotary embedding, or no setting here equals it.

    >>> from transformers import LlamaConfig, LlamaForCausalLM
    >>> shape = dict(vocab_size=50, hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=4)
    >>> own_rope(LlamaForCausalLM(LlamaConfig(**shape, rope_parameters={"rope_type": "default", "rope_theta": 5e5})))
    'rope:base=500000.0'
    """
    check_free(model)
    architecture = Architecture.of(model)
    tokens = model.config.max_position_embeddings if tokens is None else tokens
    theirs = Rotation.of(architecture, model.config, tokens)
    text = theirs.text()
    ours = architecture.shape.encoding(text, tokens).parts[0]
    assert isinstance(ours, RoPE)
    sharpness = getattr(ours, "attention_factor", 1.0)
    # The text is a claim about another library's code, so it is compared with what that code computes.
    alike = torch.allclose(ours.frequencies, theirs.frequencies, rtol=1e-5, atol=0)
    if not alike or abs(sharpness - theirs.sharpness) > 1e-6:
        raise UsageError(
            f"{type(model).__name__} rotates by frequencies that '{text}' does not have: {_few(theirs.frequencies)} "
            f"times {theirs.sharpness:g}, not {_few(ours.frequencies)} times {sharpness:g}"
        )
    rotary = architecture.base.get_submodule(architecture.rotaries[0])
    given = Unrotated.like(rotary, model.config, next(model.parameters()))
    _check_pairs(type(architecture.attention[0]), given, ours)
    return text


@dataclass(frozen=True)
class Rotation:
    """A model's rotary embedding, for sequences up to some length.

    Args:
        settings: `rope_parameters` of its configuration.
        frequencies: radians a token, of each rotated pair of dimensions.
        sharpness: the factor by which queries and keys are multiplied.
        head_width: the dimensions of a head.
        longest: the sequence length that the model is made for.
        tokens: the length of the longest sequence here.
    """

    settings: Mapping[str, Any]
    frequencies: Float[Tensor, " half"]
    sharpness: float
    head_width: int
    longest: int
    tokens: int

    @staticmethod
    def of(architecture: Architecture, config: Any, tokens: int) -> "Rotation":
        """Compute a model's rotary embedding by transformers' own functions.

        Args:
            architecture: the model's parts.
            config: its configuration.
            tokens: the length of the longest sequence.

        Raises:
            UsageError: it has none, or layers that differ in it, or one that cannot be computed.
        """
        name = type(architecture.base).__name__
        settings = getattr(config, "rope_parameters", None)
        if not (architecture.rotaries and architecture.placed and settings):
            raise UsageError(f"{name} has no rotary embedding. Attach an encoding by its name, such as 'rope'")
        if "rope_type" not in settings:
            raise UsageError(f"layers of {name} rotate differently ({', '.join(settings)}), and those of rope do not")
        rotary = architecture.base.get_submodule(architecture.rotaries[0])
        plain = getattr(rotary, "compute_default_rope_parameters", None)
        compute = {**ROPE_INIT_FUNCTIONS, "default": plain}.get(settings["rope_type"])
        if compute is None:
            raise UsageError(f"how {type(rotary).__name__} computes rope_type '{settings['rope_type']}' is not known")
        frequencies, sharpness = compute(config, seq_len=tokens)
        longest = config.max_position_embeddings
        return Rotation(settings, frequencies, float(sharpness), architecture.shape.head_width, longest, tokens)

    def text(self) -> str:
        """The embedding in the language of `arith.catalogue.spec`."""
        settings, kind = self.settings, self.settings["rope_type"]
        # Defaults are transformers' own: a configuration leaves out what its model does not change.
        trained = settings.get("original_max_position_embeddings") or self.longest
        stretch = settings.get("factor") or self.longest / trained
        if kind == "default" or (kind == "proportional" and stretch == 1):
            return self._spell("rope")
        if kind in ("linear", "proportional"):
            return self._spell("rope-interpolated", trained=self.longest, stretch=stretch)
        if kind == "dynamic":
            # There the base grows with the sequence so far; here it is that of the longest sequence throughout.
            by_length = max(1.0, self.tokens / self.longest)
            return self._spell("rope-ntk", trained=self.longest, stretch=by_length, alpha=stretch)
        if kind == "llama3":
            low, high = settings["low_freq_factor"], settings["high_freq_factor"]
            return self._spell("rope-llama3", trained=trained, stretch=stretch, low=low, high=high)
        if kind == "yarn":
            turns = {"fast": settings.get("beta_fast") or 32, "slow": settings.get("beta_slow") or 1}
            rounded = {} if settings.get("truncate", True) else {"rounded": "false"}
            return self._spell(
                "rope-yarn", trained=trained, stretch=stretch, sharpness=self.sharpness, **turns, **rounded
            )
        if kind == "longrope":
            # Two lists of factors, one for sequences within the trained length and one beyond.
            factors = "-".join(map(str, settings["long_factor" if self.tokens > trained else "short_factor"]))
            return self._spell("rope-long", trained=trained, stretch=stretch, sharpness=self.sharpness, factors=factors)
        raise UsageError(f"rope_type '{kind}' of transformers has no counterpart here")

    def _spell(self, name: str, **settings: Any) -> str:
        """A name with the settings of every kind, and those of this one."""
        pairs, turning = len(self.frequencies), int(self.frequencies.count_nonzero())
        common = {"base": self.settings["rope_theta"]}
        if 2 * pairs != self.head_width:
            common["share"] = 2 * pairs / self.head_width  # partial rotations: the other dimensions are left alone
        if turning != pairs:
            common["kept"] = turning / pairs  # a frequency of 0 is a pair that does not turn
        return f"{name}:" + ",".join(f"{key}={value}" for key, value in {**common, **settings}.items())


def _few(numbers: Float[Tensor, " half"]) -> str:
    return "[" + ", ".join(f"{number:.4g}" for number in numbers[:4].tolist()) + (", ...]" if len(numbers) > 4 else "]")


def _check_pairs(attention: type, given: Unrotated, ours: RoPE) -> None:
    """Raise if the model pairs other dimensions than we do, by the scores of rotated queries and keys.

    Args:
        attention: the model's.
        given: stands for the model's rotary embedding.
        ours: the same frequencies in the order that we have.
    """
    rotate = getattr(sys.modules[attention.__module__], "apply_rotary_pos_emb", None)
    alike = not given.whole  # complex numbers are of neighbours
    if rotate is not None and alike:
        angles = torch.arange(_PROBED)[:, None] * ours.frequencies
        # Most models write the numbers of each pair twice, and some once.
        copies = max(given.widths.values()) // angles.shape[1]
        cos, sin = (half.repeat(1, copies)[None] for half in (angles.cos(), angles.sin()))
        # Any numbers without symmetry. Scores, not vectors: these may differ in order and give the same scores.
        q = torch.arange(_PROBED * 2 * angles.shape[1]).sin().reshape(1, 1, _PROBED, -1)
        k = q.flip(3)
        ids = torch.arange(1, _PROBED + 1)[None, None]
        theirs = rotate(q, k, cos, sin)
        turned = RoPE.rotate(ours, q, k, Positions(ids, ids))  # without the subclass's sharpness, compared before
        alike = torch.allclose(theirs[0] @ theirs[1].mT, turned[0] @ turned[1].mT, atol=1e-3)
    if not alike:
        raise UsageError(
            f"{attention.__name__} pairs dimensions in another way than RoPE does here (i with i + half), so that no "
            f"setting makes them equal"
        )
