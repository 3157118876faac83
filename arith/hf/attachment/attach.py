"""Our encodings in models of transformers: `attach` puts one in the place of a model's own, `detach` takes it out."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from transformers import PreTrainedModel

from arith.errors import UsageError
from arith.hf.attachment.architecture import Architecture, find_attention
from arith.hf.attachment.attached import attached, check_free, inside
from arith.hf.attachment.attachment import Attachment
from arith.hf.attachment.own import Own, split_own
from arith.hf.attachment.settings import Settings
from arith.hf.numbers.given import IdsOf
from arith.hf.numbers.numerals import Numerals, Vocabulary


def attach(
    model: Any,
    encoding: str,
    tokenizer: Vocabulary | None = None,
    *,
    tokens: int | None = None,
    digits: int | None = None,
    format: str | None = None,  # noqa: A002  named as on the command line
    answer: str | Sequence[str] | None = None,
    ids: IdsOf | bool = False,
) -> Attachment | Own:
    """Put an encoding in the place of a causal model's own. The model is changed in place and used as before.

    A part that does not say in which layers it acts, as "fire[0-2]" does, acts in those where the model's own positions
    do: some models have layers without, and these stay so.

    Args:
        model: a causal model of transformers, whose attention goes through its attention interface; with LoRA, what
            peft's get_peft_model gives.
        encoding: a text that `arith.catalogue.spec` reads, such as "fire@coupled"; `own_rope(model)` names the model's
            own rotations. "own+fire@coupled" leaves all positions that the model has, bit for bit, and adds to them.
            "own" alone adds nothing, and has any model's attention run in arith's op, encoders and cross-attention too.
        tokenizer: the model's tokenizer; needed by schemes that look at digits.
        tokens: the length of the longest sequence; by default what the model is made for.
        digits: the length of the longest number; by default as many as tokens.
        format: how numbers are written in the text, which schemes that look at digits must know: 'reversed' has
            operands with their most significant digit first, and answers with their least significant digit first.
        answer: what stands before an answer, such as "A:", or several such texts. By default an equals sign, and what
            the tokenizer's chat template puts before a reply. Where a text does not tell and you know, each call may
            say how many tokens of each row stand before its answer: `model(..., arith_prompts=lengths)`.
        ids: ids of your own in the place of those that schemes read off the text, or, where none does, of the indices
            of tokens: a function from all tokens so far, and False for padding among them, to an id for each, "b k" or
            "b levels k", 0 for none; or True, if each call brings them, `model(..., arith_ids=...)` (in `generate`, of
            prompt and new tokens). Neither tokenizer nor format is needed then.

    Returns:
        The added module, also `model.arith`. Its parameters are new, have the model's type and device, and are trained
        with the model's own.

    Schemes that draw take a random key for each sample: `model(..., position_keys=keys)`. Without it, keys are drawn
    from torch's generator in training and are 0 in evaluation.

    Raises:
        UsageError: why this encoding and this model do not go together.

    >>> import torch
    >>> from transformers import LlamaConfig, LlamaForCausalLM
    >>> shape = dict(vocab_size=50, hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4)
    >>> model = LlamaForCausalLM(LlamaConfig(**shape)).eval()
    >>> tokens = torch.tensor([[1, 2, 3]])
    >>> before = model(tokens).logits
    >>> attach(model, "fire", tokens=64)
    Attachment('fire', tokens=64, parameters=396, trainable=396)
    >>> bool((model(tokens).logits == before).all())
    False
    >>> detach(model)
    >>> bool((model(tokens).logits == before).all())
    True
    """
    # Everything that can be refused is refused before the first change: a model is never left half changed.
    whole, model = model, inside(model)
    check_free(model)
    if not isinstance(ids, bool) and not callable(ids):
        raise UsageError(
            f"ids= is a function of tokens and valid, or True where each call brings ids, model(..., arith_ids=ids): "
            f"got {type(ids).__name__}"
        )
    if not isinstance(model, PreTrainedModel):
        raise UsageError(f"attach takes a model of transformers, got {type(model).__name__}")
    if split_own(encoding) == (True, ""):
        return Own().put_into(model, find_attention(type(model).__name__, model).values())
    if model.base_model is model and model.get_output_embeddings() is None:
        raise UsageError(
            f"attach takes the whole causal model, as AutoModelForCausalLM gives it, and {type(model).__name__} is one "
            f"without its head: attach(model, ...), not attach(model.model, ...)"
        )
    tokens = getattr(model.config, "max_position_embeddings", 1024) if tokens is None else tokens
    settings = Settings(encoding, tokens, digits, format, ids is not False)
    architecture = Architecture.of(model, settings.keeping)
    numerals = None if tokenizer is None else Numerals.of(tokenizer, model.config.vocab_size, answer)
    decode = None if tokenizer is None else getattr(tokenizer, "decode", None)
    ids_of = None if isinstance(ids, bool) else ids
    attachment = Attachment(settings.placed(architecture), architecture, numerals, decode, ids_of)
    return attachment.put_into(model, architecture, whole)


def detach(model: Any) -> None:
    """Take out what is attached. The model is then what it was before, bit for bit."""
    _attachment_of(model).remove(inside(model))


@contextmanager
def disabled(model: Any) -> Iterator[None]:
    """Within, the model is what it was before something was attached; after it, what is attached is as it was.

    with disabled(model):
        before = model(tokens).logits
    """
    attachment, whole, model = _attachment_of(model), model, inside(model)
    attachment.remove(model)
    try:
        yield
    finally:
        if isinstance(attachment, Own):
            attachment.put_into(model, find_attention(type(model).__name__, model).values())
        else:
            assert attachment.architecture is not None
            attachment.put_into(model, attachment.architecture, whole)


def _attachment_of(model: Any) -> Attachment | Own:
    attachment = attached(model)
    if attachment is None:
        raise UsageError(f"nothing is attached to this {type(model).__name__}")
    return attachment
