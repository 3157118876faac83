"""What is attached and detached, and what cannot be."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch

from arith.errors import UsageError
from arith.hf import Attachment, attach, attached, detach
from arith.hf.inputs import CACHE

FAMILIES = ["gpt2", "llama", "phi", "phi3", "gpt-neox", "qwen3"]
REFUSED = [
    ("bloom", {}, "rope", "BloomForCausalLM does not compute its attention through transformers' AttentionInterface"),
    (
        "inkling",
        {},
        "rope",
        "neither rotary embeddings nor a position table that could be taken out",
    ),
    ("inkling2", {}, "own+rope", "attention modules in layers [None, 0, None, None, 1, None]"),
    ("bloom", {}, "own", "BloomForCausalLM does not compute its attention through transformers' AttentionInterface"),
    ("llama", {}, "own@coupled", "'own' stands for all positions that the model has, as they are"),
    ("llama", {}, "rope+(own+fire)[0]", "'own' stands for all positions that the model has, as they are"),
    ("llama", {}, "own+own", "stands in a text once"),
    ("llama", {}, "owned+fire", "no encoding is called 'owned'"),
    ("gpt2", {"add_cross_attention": True}, "rope", "has cross-attention"),
    ("gpt2", {"hidden_size": 36}, "rope", "a head's width must be even, got 9"),
    ("stablelm", {}, "rope", "StableLmForCausalLM hands no keyword arguments on to StableLmAttention"),
    ("llama", {}, "ropee", "Did you mean 'rope'?"),
    ("llama", {}, "fire@coupled", "'fire@coupled' looks at digits. Say which tokens hold them: tokenizer=..."),
]


def added(model: Any, encoding: str, tokenizer: Any) -> Attachment:
    """Attached, its parameters no longer at the start, where many a bias is 0."""
    attachment = attach(model, encoding, tokenizer=tokenizer, format="reversed", tokens=48, digits=12)
    for own in attachment.parameters():
        torch.nn.init.normal_(own, std=0.5)
    return attachment


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


@pytest.mark.parametrize(("encoding", "name"), [("alibi", "arith"), ("own+fire", "arith"), ("own", "arith_own")])
def test_attention_that_is_sent_elsewhere_is_noticed(encoding: str, name: str, tiny: Callable[..., Any]) -> None:
    model, ids = tiny("llama"), torch.tensor([[10, 11, 5, 12, 8]])
    before = model(ids).logits
    attach(model, encoding, tokens=32)
    own = model(ids).logits
    for other in ("eager", "sdpa"):
        model.set_attn_implementation(other)
        with pytest.raises(UsageError, match=f"'{name}', which was set to '{other}' after it.*detach"):
            model(ids)
    model.set_attn_implementation(name)
    assert torch.equal(model(ids).logits, own)
    model.set_attn_implementation("eager")
    detach(model)
    assert torch.equal(model(ids).logits, before)


def test_printed_it_counts_its_parameters(tiny: Callable[..., Any]) -> None:
    attachment = attach(tiny("llama"), "own+fire", tokens=32)
    assert str(attachment) == "Attachment('own+fire', tokens=32, parameters=396, trainable=396)"


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


def test_a_model_that_runs_its_layers_several_times_is_refused(tiny: Callable[..., Any]) -> None:
    model = tiny("llama")
    for layer in model.model.layers:  # as families of transformers do that loop
        layer.self_attn.forward = lambda hidden_states, cache_offset=0, **kwargs: (hidden_states, None)
    with pytest.raises(UsageError, match="LlamaForCausalLM runs layers several times"):
        attach(model, "rope")
    assert attached(model) is None


def test_the_model_and_what_is_added_have_one_type(tiny: Callable[..., Any]) -> None:
    model = tiny("llama").bfloat16()
    attachment = attach(model, "learned+fire+t5+rope", tokens=32)
    assert {own.dtype for own in attachment.parameters()} == {torch.bfloat16}
    assert model(torch.arange(3, 11)[None]).logits.dtype == torch.bfloat16
    assert attachment.encoding.parts[3].frequencies.dtype == torch.float32  # which bfloat16 would round


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
        attach(tiny("llama"), "sliding-window", tokenizer=digit_tokenizer(), format="reversed")
    with pytest.raises(UsageError, match="a first layer's attention, and llama keeps its own"):
        attach(tiny("llama"), "lookup@coupled+rope", tokenizer=digit_tokenizer(), format="reversed")
    with pytest.raises(UsageError, match=r"format plain, where no width is known'.*known width"):
        attach(tiny("llama"), "coupled-window", tokenizer=digit_tokenizer(), format="plain")
    with pytest.raises(UsageError, match="the tokenizer has 120 tokens and the model 20"):
        attach(tiny("llama"), "coupled-window", tokenizer=digit_tokenizer(2), format="reversed")
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
    attach(grown, "coupled-window", tokenizer=digit_tokenizer(), format="reversed")
    grown.resize_token_embeddings(24)
    with pytest.raises(UsageError, match="the model has 24 tokens, and had 20 when 'coupled-window' was attached"):
        grown(ids)
