import itertools
import re
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from arith.catalogue.named import format_named, task_named
from arith.data.tokenized import IGNORED, TokenizedProblems
from arith.tasks.mixture import Mixture
from arith.tasks.samplers import Uniform
from arith.tasks.sampling import Source


def problems(task: str = "addition", digits: int = 4) -> Mixture:
    return Mixture([Source(task_named(task), Uniform(1, digits), 0, "train")])


@pytest.fixture(scope="module", params=["byte-level", "sentencepiece"])
def tokenizer(request: pytest.FixtureRequest) -> Any:
    """Built and trained here: merges of several digits, and of runs of spaces, are in its vocabulary."""
    built = Tokenizer(models.BPE(unk_token="<unk>"))
    if request.param == "byte-level":
        built.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        built.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
    else:
        built.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never", split=True)
        built.decoder = decoders.Metaspace(prepend_scheme="never", split=True)
        alphabet = [*"0123456789+-*=.▁"]
    texts = []
    for name, spaced in itertools.product(("addition", "multiplication", "subtraction", "dialogue"), (True, False)):
        outlet = TokenizedProblems(None, format_named("plain"), spaced)  # type: ignore[arg-type]
        texts += ["".join(pair) for pair in outlet.texts(problems(name), 0, 2000)]
    texts += ["    ", "1 2   3    4", "12 34"] * 50
    trainer = trainers.BpeTrainer(vocab_size=700, special_tokens=["<unk>", "<eos>"], initial_alphabet=alphabet)
    built.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=built, eos_token="<eos>", unk_token="<unk>")


@pytest.mark.parametrize("task", ["addition", "multiplication", "subtraction", "dialogue"])
@pytest.mark.parametrize("form", ["plain", "padded-reversed", "plain+spaces"])
def test_what_a_model_learns_is_the_answer(tokenizer: Any, task: str, form: str) -> None:
    outlet = TokenizedProblems(tokenizer, format_named(form))
    batch = outlet.batch(problems(task), 5, 60)
    for row, (prompt, answer) in enumerate(outlet.texts(problems(task), 5, 60)):
        ids, labels = batch["input_ids"][row], batch["labels"][row]
        length = int(batch["attention_mask"][row].sum())
        asked = labels != IGNORED
        assert torch.equal(ids[asked], labels[asked])
        assert int(ids[length - 1]) == tokenizer.eos_token_id
        assert not batch["attention_mask"][row, length:].any()
        assert tokenizer.decode(ids[asked][:-1]) == answer
        first = int(asked.long().argmax())
        assert bool(asked[first:length].all())
        if "spaces" not in form:
            # What is learned is what is asked for: the prompt alone has the tokens that it has in front of the answer.
            assert tokenizer(prompt, add_special_tokens=False)["input_ids"] == ids[:first].tolist()
        operands, read = outlet.read(task_named(task), tokenizer.decode(ids[: length - 1]))
        exact = problems(task).sources[0].problems(5, 60)
        assert operands == tuple(number.text(row) for number in exact.operands)
        assert read == exact.answer.text(row)


def test_a_digit_is_a_token_where_digits_are_spaced(tokenizer: Any) -> None:
    for task, spaced in (("addition", True), ("dialogue", True), ("dialogue", False)):
        outlet = TokenizedProblems(tokenizer, format_named("plain"), spaced)
        rows = outlet.batch(problems(task), 0, 100)["input_ids"]
        merged = [t for row in rows for t in tokenizer.convert_ids_to_tokens(row) if re.search("[0-9]{2}", t)]
        assert bool(merged) != spaced


def test_random_spaces_are_tokens_of_their_own(tokenizer: Any) -> None:
    form = format_named("plain+spaces:law=geometric,share=0.6,answer=true")
    outlet, bare = TokenizedProblems(tokenizer, form), TokenizedProblems(tokenizer, format_named("plain"))
    space = next(tokenizer.convert_tokens_to_ids(own) for own in ("Ġ", "▁") if own in tokenizer.get_vocab())
    batch, without = outlet.batch(problems(), 0, 200), bare.batch(problems(), 0, 200)
    runs = 0
    for row in range(200):
        ids = batch["input_ids"][row][batch["attention_mask"][row] == 1]
        kept = ids != space
        plain = without["input_ids"][row][without["attention_mask"][row] == 1]
        assert torch.equal(ids[kept], plain)
        runs += sum(a == b == space for a, b in itertools.pairwise(ids.tolist()))
        labels = batch["labels"][row]
        assert not (labels == space).any()
        assert torch.equal(labels[labels != IGNORED], without["labels"][row][without["labels"][row] != IGNORED])
    assert runs > 100, "runs of spaces stay runs of single tokens"
    again = outlet.batch(problems(), 0, 200)
    assert torch.equal(again["input_ids"], batch["input_ids"])


def test_spaces_of_words_are_left_alone(tokenizer: Any) -> None:
    form = format_named("plain+spaces:law=fixed,share=0.99")
    batch = TokenizedProblems(tokenizer, form).batch(problems("dialogue"), 0, 50)
    for row, (prompt, answer) in enumerate(TokenizedProblems(tokenizer, form).texts(problems("dialogue"), 0, 50)):
        length = int(batch["attention_mask"][row].sum())
        text = tokenizer.decode(batch["input_ids"][row, : length - 1])
        assert re.sub("(?<=[0-9]) +(?=[0-9])", " ", text) == prompt + answer


def test_tokens_over_the_border_are_refused() -> None:
    built = Tokenizer(
        models.WordLevel({symbol: place for place, symbol in enumerate(["<unk>", *"0123456789+="])}, unk_token="<unk>")
    )
    built.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    whole_words = PreTrainedTokenizerFast(tokenizer_object=built, unk_token="<unk>")
    with pytest.raises(ValueError, match=r"reaches from the prompt into the answer.*Use spaced=True"):
        TokenizedProblems(whole_words, format_named("plain"), spaced=False).batch(problems(digits=1), 0, 5)
    with pytest.raises(ValueError, match="no token of this tokenizer is a single space"):
        TokenizedProblems(whole_words, format_named("plain+spaces")).batch(problems(digits=1), 0, 5)
    batch = TokenizedProblems(whole_words, format_named("plain+spaces:law=fixed,share=0.9"), space=7).batch(
        problems(), 0, 9
    )
    assert np.any(batch["input_ids"].numpy() == 7)


def test_text_that_a_tokenizer_does_not_keep_is_refused() -> None:
    symbols = {symbol: place for place, symbol in enumerate(["<unk>", "<eos>", *"0123456789+=^"])}
    built = Tokenizer(models.WordLevel(symbols, unk_token="<unk>"))
    built.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    built.decoder = decoders.Fuse()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=built, unk_token="<unk>", eos_token="<eos>")
    TokenizedProblems(tokenizer, format_named("plain"), spaced=False).batch(problems(digits=2), 0, 5)
    with pytest.raises(ValueError, match=r"does not keep .* without '.'\. Choose another format"):
        TokenizedProblems(tokenizer, format_named("reversed+hints"), spaced=False).batch(problems(digits=2), 0, 5)
