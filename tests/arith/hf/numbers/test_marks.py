"""Numbers in running text and in chats: prompt and answer are told apart, and what cannot be known is said."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from arith.errors import UsageError
from arith.hf import attach, detach, load, save
from arith.hf.inputs import CACHE

WORDS = ["user", "assistant", "What", "is", "The", "answer", "Q", "A", "?", ":", ".", ",", "Add", "'s", "x"]
TEMPLATE = (
    "{% for turn in messages %}<|im_start|>{{ turn['role'] }}\n{{ turn['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture(scope="module")
def reader() -> Any:
    """A tokenizer of words, digits and signs, one of them two signs, with a chat template."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    special = ["<pad>", "<|im_start|>", "<|im_end|>", "<unk>"]
    symbols = [*special, "\n", " ", "+", "-", "=", "=-", *WORDS, *"0123456789"]
    tokenizer = Tokenizer(models.WordLevel({own: place for place, own in enumerate(symbols)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"=-|[A-Za-z]+|[0-9]|[^A-Za-z0-9]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    built = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", additional_special_tokens=special[1:3]
    )
    built.chat_template = TEMPLATE
    return built


def chat(*turns: str) -> str:
    """Turns of user and assistant; a last reply is open."""
    written = [f"<|im_start|>{('user', 'assistant')[place % 2]}\n{turn}" for place, turn in enumerate(turns)]
    return "<|im_end|>\n".join(written)


@pytest.fixture
def model(tiny: Callable[..., Any]) -> Any:
    return tiny("llama", vocab_size=40)


def ids_of(model: Any, tokenizer: Any, text: str, **options: Any) -> dict[str, list[int]]:
    """The ids of the digits of a text, by number; options are the call's."""
    tokens = torch.tensor([tokenizer.encode(text, add_special_tokens=False)])
    seen: list[Any] = []
    handle = model.model.layers[0].register_forward_pre_hook(
        lambda _, __, kwargs: seen.append(kwargs["arith_pass"].positions[0].ids.k[0].tolist()), with_kwargs=True
    )
    with torch.no_grad():
        model(tokens, use_cache=False, **options)
    handle.remove()
    shown = tokenizer.convert_ids_to_tokens(tokens[0].tolist())
    digits = [(sign, own) for sign, own in zip(shown, seen[0], strict=True) if sign.isascii() and sign.isdigit()]
    return {"".join(sign for sign, _ in digits): [own for _, own in digits]}


@pytest.mark.parametrize(
    ("answer", "text", "expected"),
    [
        ("A:", "Q: 12+345=?\nA: 753", [3, 2, 4, 3, 2, 2, 3, 4]),
        ("A:", "Q: 12+345\nA: 753\nQ: 12+9\nA: 12", [3, 2, 4, 3, 2, 2, 3, 4, 3, 2, 2, 2, 3]),
        ("The answer is", "What is 12 + 345? The answer is 753.", [3, 2, 4, 3, 2, 2, 3, 4]),
        (None, chat("What is 12+345=?", "753"), [3, 2, 4, 3, 2, 2, 3, 4]),
        (None, chat("Add 12 + 345.", "The answer is 753"), [3, 2, 4, 3, 2, 2, 3, 4]),
        (None, chat("1+2=3\nWhat is 12+345?", "753", "Add 12", "3"), [2, 2, 2, 3, 2, 4, 3, 2, 2, 3, 4, 3, 2, 2]),
        (None, "12+345=753\n12+9=12", [3, 2, 4, 3, 2, 2, 3, 4, 3, 2, 2, 2, 3]),
        ("=", "5-12=-7", [2, 3, 2, 2]),
        ("=", "1,234+5=9321", [5, 4, 3, 2, 2, 2, 3, 4, 5]),
        (("=", "A:"), "1+2=3\nQ: 12\nA: 3", [2, 2, 2, 3, 2, 2]),
    ],
)
def test_prompt_and_answer_are_told_apart(answer: Any, text: str, expected: list[int], model: Any, reader: Any) -> None:
    attach(model, "fire@coupled", reader, format="reversed", answer=answer, tokens=64, digits=9)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (found,) = ids_of(model, reader, text).values()
    assert found == expected


SPOKEN = "What is 12 + 345? It is"  # nothing in it tells where an answer begins


@torch.no_grad()
def test_a_call_may_say_where_answers_begin(model: Any, reader: Any) -> None:
    attach(model, "fire@coupled", reader, format="reversed", tokens=64, digits=9)
    prompt = reader.encode(SPOKEN, add_special_tokens=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of what cannot be known
        (found,) = ids_of(model, reader, f"{SPOKEN} 753", arith_prompts=torch.tensor([len(prompt)])).values()
        # Its lines and turns do not end a problem, and what looks like a mark is none.
        lines = "1 = one\nAdd 12:\nIt is"
        length = len(reader.encode(lines, add_special_tokens=False))
        (other,) = ids_of(model, reader, f"{lines} 753", arith_prompts=torch.tensor([length])).values()
    assert found == [3, 2, 4, 3, 2, 2, 3, 4]
    assert other == [2, 3, 2, 2, 3, 4]


@torch.no_grad()
def test_cached_passes_know_where_answers_begin(model: Any, reader: Any) -> None:
    for weight in attach(model, "fire@coupled", reader, format="reversed", tokens=64, digits=9).parameters():
        torch.nn.init.normal_(weight, std=0.5)
    tokens = torch.tensor([reader.encode(f"{SPOKEN} 753", add_special_tokens=False)])
    known = {"arith_prompts": torch.tensor([tokens.shape[1] - 3])}
    whole, cache, parts = model(tokens, **known).logits, None, []
    for start, stop in ((0, len(tokens[0]) - 3), (-3, -2), (-2, -1), (-1, None)):
        out = model(tokens[:, start:stop], **{CACHE: cache}, use_cache=True, **known)
        cache = out[CACHE]
        parts.append(out.logits)
    torch.testing.assert_close(torch.cat(parts, 1), whole, atol=1e-4, rtol=1e-4)
    # It is remembered by who said it once.
    cache = model(tokens[:, :-3], use_cache=True, **known)[CACHE]
    last = model(tokens[:, -3:], **{CACHE: cache}, use_cache=True).logits
    torch.testing.assert_close(last, whole[:, -3:], atol=1e-4, rtol=1e-4)
    # An answer that began in the midst of 345 would have other ids.
    assert not torch.allclose(model(tokens, arith_prompts=known["arith_prompts"] - 8).logits, whole, atol=1e-3)


@pytest.mark.parametrize("beams", [1, 3])
def test_generate_knows_where_answers_begin(beams: int, model: Any, reader: Any) -> None:
    torch.manual_seed(1)
    for weight in attach(model, "learned@coupled", reader, format="reversed", tokens=64, digits=9).parameters():
        torch.nn.init.normal_(weight, std=2.0)
    digits = reader.convert_tokens_to_ids(list("0123456789"))
    kept = {"max_new_tokens": 5, "num_beams": beams, "do_sample": False}
    kept["suppress_tokens"] = [token for token in range(40) if token not in digits]  # what has ids
    prompts = torch.tensor(
        [reader.encode(text, add_special_tokens=False) for text in (SPOKEN, SPOKEN.replace("1", "7"))]
    )
    kept["attention_mask"] = torch.ones_like(prompts)
    lengths = torch.full((2,), prompts.shape[1])
    whole = model.generate(prompts, **kept, arith_prompts=lengths, use_cache=False)
    assert torch.equal(model.generate(prompts, **kept, arith_prompts=lengths, use_cache=True), whole)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that no mark is there
        assert not torch.equal(model.generate(prompts, **kept), whole)  # it does matter


@torch.no_grad()
def test_lengths_of_prompts_that_cannot_be_say_why(model: Any, reader: Any) -> None:
    attach(model, "fire@coupled", reader, format="reversed", tokens=64, digits=9)
    tokens = torch.tensor([reader.encode(SPOKEN, add_special_tokens=False)])
    for wrong in (torch.tensor([0]), torch.tensor([3, 3]), torch.tensor([1.5])):
        with pytest.raises(
            UsageError, match="arith_prompts is a whole number of tokens, 1 or more, for each of 1 rows"
        ):
            model(tokens, arith_prompts=wrong)
    detach(model)
    attach(model, "fire", tokens=64)
    with pytest.raises(UsageError, match=r"'fire' does not look at digits: leave it out"):
        model(tokens, arith_prompts=torch.tensor([3]))


@torch.no_grad()
@pytest.mark.parametrize("text", [chat("What is 12+345=?", "The answer is 753"), "1+2=3\n12+345=753"])
def test_cached_passes_have_the_ids_of_the_whole_text(text: str, model: Any, reader: Any) -> None:
    weights = attach(model, "fire@coupled", reader, format="reversed", tokens=64, digits=9).parameters()
    for weight in weights:
        torch.nn.init.normal_(weight, std=0.5)
    tokens = torch.tensor([reader.encode(text, add_special_tokens=False)])
    whole, cache, parts = model(tokens).logits, None, []
    prompt = tokens.shape[1] - 3
    for start, stop in ((0, prompt), *((place, place + 1) for place in range(prompt, prompt + 3))):
        out = model(tokens[:, start:stop], **{CACHE: cache}, use_cache=True)
        cache = out[CACHE]
        parts.append(out.logits)
    torch.testing.assert_close(torch.cat(parts, 1), whole, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("What is 12 + 345? The answer is 753", r"'What is 12 \+ 345.*no mark behind which an answer begins"),
        ("1.5+2=3", r"'1.5\+2=3', a comma or point stands between digits"),
        ("12,34+2=3", "a comma or point stands between digits"),
        ("12+345=7,531", "a comma or point stands between digits"),
        (chat("Add 12 + 345.", "12 + 345 = 357"), "an answer holds several numbers"),
    ],
)
def test_what_cannot_be_known_is_said_once(text: str, told: str, model: Any, reader: Any) -> None:
    attach(model, "fire@coupled", reader, format="reversed", tokens=64, digits=9)
    with pytest.warns(UserWarning, match=told) as given:
        ids_of(model, reader, text)
    assert len(given) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ids_of(model, reader, text)
    detach(model)
    # Where both have the same digit first, it is all the same where an answer begins.
    attach(model, "learned@abacus", reader, format="plain", tokens=64, digits=9)
    if "comma" not in told:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            ids_of(model, reader, text)


@pytest.mark.slow
@torch.no_grad()
def test_a_real_model_has_its_own_positions_and_finds_numbers_in_its_chats(smollm2: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(smollm2)
    model = AutoModelForCausalLM.from_pretrained(smollm2, attn_implementation="eager").eval()
    turns = [{"role": "user", "content": "What is 12 + 345?"}, {"role": "assistant", "content": "753"}]
    text = tokenizer.apply_chat_template(turns, tokenize=False)
    tokens = torch.tensor([tokenizer.encode(text, add_special_tokens=False)])
    before = model(tokens).logits
    attach(model, "own+fire@coupled", tokenizer, format="reversed", tokens=256, digits=20)
    (found,) = ids_of(model, tokenizer, text).values()
    assert found == [3, 2, 4, 3, 2, 2, 3, 4]
    for weight in model.arith.parameters():
        weight.zero_()  # a bias of zeros changes nothing
    torch.testing.assert_close(model(tokens).logits, before, atol=2e-3, rtol=1e-3)
    detach(model)
    assert torch.equal(model(tokens).logits, before)


def test_marks_are_saved(model: Any, reader: Any, tmp_path: Any) -> None:
    text = "Q: 12+345=?\nA: 753"
    attach(model, "fire@coupled", reader, format="reversed", answer="A:", tokens=64, digits=9)
    expected = ids_of(model, reader, text)
    save(model, tmp_path)
    detach(model)
    load(model, tmp_path)
    assert ids_of(model, reader, text) == expected
    with pytest.warns(UserWarning, match="in the text of 5 tokens, numbers stand and no mark"):
        ids_of(model, reader, "12+34")


def test_how_numbers_are_written_must_be_said(model: Any, reader: Any) -> None:
    with pytest.raises(UsageError, match=r"whose ids depend on how numbers are written. Say it: format='reversed'"):
        attach(model, "own+fire@coupled", reader)
    with pytest.raises(UsageError, match="need an answer of known width"):
        attach(model, "own+fire@coupled", reader, format="plain")
    for wrong in ("", "A1:"):
        with pytest.raises(UsageError, match="answer= takes the text behind which an answer begins, without digits"):
            attach(model, "own+fire@coupled", reader, format="reversed", answer=wrong)
