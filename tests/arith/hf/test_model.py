"""arith's models as Hugging Face's: batches, caches, beams and losses."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache
from transformers.utils import PushToHubMixin

from arith.config.schema import RunConfig
from arith.data.batch import Batch
from arith.experiment import shipped
from arith.experiment.experiment import Experiment
from arith.hf.inputs import CACHE
from arith.hf.model import ArithConfig, ArithForCausalLM
from arith.hf.tokenizer import character_tokenizer
from arith.tasks import vocabulary

ROWS, NEW = 12, 9
SHAPE = {"layers": 2, "width": 32, "heads": 2, "hidden": 64}
SUMMED = SHAPE | {"loops": 4, "looped": 1, "loop_input": "embeddings", "prompt_layers": 1}
FAST = [
    ("coupled-window", "addition", "padded-reversed"),
    ("rope+forgetting", "addition", "plain"),
    ("sliding-lookup", "multiplication", "padded-all-reversed:width=4"),
]
SLOW = [
    ("t5@coupled", "multiplication", "padded"),
    ("alibi@coupled:levels=2", "addition", "padded:width=6"),
    ("fire@abacus:origin=random,span=5", "subtraction", "reversed"),
    ("cope", "addition", "plain+scratchpad"),
    ("abacus", "addition", "reversed+hints"),
    ("coupled", "addition", "interleaved"),
    ("coupled", "multiplication", "padded-reversed:pad=answer,first=longest"),
    ("learned+rope", "dialogue", "plain"),
    ("learned@coupled", "addition:operands=3", "padded-all-reversed"),
    ("dape", "copy", "plain"),
    ("transformer-xl", "addition", "plain+spaces"),
    ("rope-yarn:trained=20@pose", "addition", "plain"),
    ("sinusoidal@cape", "addition", "plain"),
]


def models(tmp_path: Path, encoding: str, task: str, form: str, **shape: object) -> tuple[ArithForCausalLM, Any, Batch]:
    """A model that was saved and loaded, its tokenizer likewise, and test problems of several lengths."""
    values = {"encoding": encoding, "task": task, "format": form, "model": SUMMED if "sliding" in encoding else SHAPE}
    config = RunConfig.of({**values, "data": {"digits": "1-3"}, "evaluation": {"digits": "1-4"}})
    config = config.with_values({"model": shape})
    experiment = Experiment.of(config)
    ArithForCausalLM(ArithConfig(run=config.as_dict())).save_pretrained(tmp_path)
    character_tokenizer(experiment.vocabulary_size).save_pretrained(tmp_path)
    model = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    suite = "unequal" if experiment.tests.task.operands > 1 else "random"
    batch = experiment.test_data(suite, 4).batch(0, ROWS, torch.device("cpu"))
    return model, AutoTokenizer.from_pretrained(tmp_path), batch


def text(batch: Batch, row: int) -> str:
    return vocabulary.decode(batch.tokens[row, : batch.prompt.length[row]].numpy())


def check_model(tmp_path: Path, encoding: str, task: str, form: str, **shape: object) -> None:
    model, tokenizer, batch = models(tmp_path, encoding, task, form, **shape)
    prompts = [text(batch, row) for row in range(ROWS)]
    together = tokenizer(prompts, return_tensors="pt", padding=True)
    for row, own in enumerate(together["input_ids"]):
        assert own[-batch.prompt.length[row] :].tolist() == batch.tokens[row, : batch.prompt.length[row]].tolist()
    answers = model.generate(**together, max_new_tokens=NEW, do_sample=False)[:, together["input_ids"].shape[1] :]
    with torch.no_grad():
        whole = model(**together).logits
        for row, prompt in enumerate(prompts):
            tokens = tokenizer(prompt, return_tensors="pt")["input_ids"]
            # Padding changes nothing, in one pass.
            torch.testing.assert_close(whole[row, -tokens.shape[1] :], model(tokens).logits[0], rtol=1e-4, atol=1e-4)
            # Nor does it while decoding; each token anew from all before it, without a cache.
            written: list[int] = []
            while len(written) < NEW and written[-1:] != [tokenizer.eos_token_id]:
                written.append(int(model(tokens).logits[0, -1].argmax()))
                tokens = torch.cat([tokens, torch.tensor([[written[-1]]])], dim=1)
            assert answers[row, : len(written)].tolist() == written


@pytest.mark.parametrize(("encoding", "task", "form"), FAST)
def test_a_loaded_model_decodes_batches_as_it_does_single_prompts(
    tmp_path: Path, encoding: str, task: str, form: str
) -> None:
    check_model(tmp_path, encoding, task, form)


def test_the_temperature_of_attention_goes_along(tmp_path: Path) -> None:
    check_model(tmp_path, "t5", "addition", "plain", sharpen="log-n")
    model = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert {block.attention.sharpen for block in model.transformer.blocks} == {"log-n"}


def test_a_loaded_model_has_the_loops_of_tests(tmp_path: Path) -> None:
    check_model(tmp_path, "t5", "addition", "plain", loops=(2, 3))
    model = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert (model.transformer.loops, model.config.run["model"]["loops"]) == (3, [2, 3])


@pytest.mark.slow
@pytest.mark.parametrize(("encoding", "task", "form"), SLOW)
def test_so_does_every_kind_of_encoding_and_format(tmp_path: Path, encoding: str, task: str, form: str) -> None:
    check_model(tmp_path, encoding, task, form)


@torch.no_grad()
def test_the_cache_goes_by_either_name(tmp_path: Path) -> None:
    model, tokenizer, _ = models(tmp_path, "rope", "addition", "plain")
    tokens = tokenizer("12+34=46", return_tensors="pt")["input_ids"]
    whole, out = model(tokens).logits, model(tokens[:, :-2], use_cache=True)
    for place, name in ((-2, "cache"), (-1, "past_key_values")):
        out = model(tokens[:, place, None], **{name: out[CACHE]})
        torch.testing.assert_close(out.logits[:, 0], whole[:, place], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("encoding", ["t5@coupled", "random-tags+rope"])
def test_loss_and_logits_are_those_of_arith(tmp_path: Path, encoding: str) -> None:
    model, _, batch = models(tmp_path, encoding, "addition", "padded")
    labels = batch.tokens.masked_fill(~batch.answer_mask, -100)
    valid = torch.arange(batch.tokens.shape[1]) < batch.length[:, None]
    key = torch.full_like(batch.key, model.key)
    ids = model.transformer.encoding.full(batch.prompt, batch.tokens, key, model.capacity)
    found = model(batch.tokens, attention_mask=valid.long(), labels=labels)
    torch.testing.assert_close(found.logits[valid], model.transformer(batch.tokens, ids)[valid])
    if encoding == "t5@coupled":  # which draws nothing
        torch.testing.assert_close(found.loss, model.transformer.loss(batch))
    found.loss.backward()
    assert model.transformer.embedding.weight.grad is not None


def test_beams_keep_to_their_prompts(tmp_path: Path) -> None:
    model, tokenizer, batch = models(tmp_path, "fire@abacus:origin=random,span=5", "addition", "plain")
    prompts = [text(batch, row) for row in range(4)]
    options = {"max_new_tokens": 4, "do_sample": False, "num_beams": 3}
    together = model.generate(**tokenizer(prompts, return_tensors="pt", padding=True), **options)
    for row, prompt in enumerate(prompts):
        alone = model.generate(**tokenizer(prompt, return_tensors="pt"), **options)[0]
        decoded = [tokenizer.decode(own, skip_special_tokens=True) for own in (alone, together[row])]
        assert decoded[0] == decoded[1]


def test_padding_on_the_wrong_side_and_unknown_characters_are_refused(tmp_path: Path) -> None:
    model, tokenizer, _ = models(tmp_path, "nope", "addition", "plain")
    tokenizer.padding_side = "right"
    with pytest.raises(ValueError, match="padded on the left"):
        model.generate(**tokenizer(["1+2=", "12+3="], return_tensors="pt", padding=True), max_new_tokens=2)
    with pytest.raises(Exception, match="UNK"):
        tokenizer("1 + 2 =")
    with pytest.raises(ValueError, match="what the last step gave, got a DynamicCache"):
        model(torch.tensor([[14, 1, 10, 2, 13]]), **{CACHE: DynamicCache()})
    assert issubclass(ArithForCausalLM, PushToHubMixin)  # the library's own upload


def test_an_answer_that_comes_all_at_once_is_generated_token_by_token() -> None:
    folder = shipped.FOLDER / "multiplication"
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    prompts = ["12*34=", "0999*1234=", "7*8="]
    given = tokenizer(prompts, return_tensors="pt", padding=True)
    for beams in (1, 2):
        said = model.generate(**given, max_new_tokens=10, num_beams=beams)[:, given["input_ids"].shape[1] :]
        assert [tokenizer.decode(row).partition("$")[0] for row in said] == ["8040", "66723210", "65"]
