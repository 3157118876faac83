"""Folders of Hugging Face that are damaged, incomplete, or bring settings of their own."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import Result
from safetensors.torch import load_file, save_file
from tokenizers.processors import TemplateProcessing
from transformers import AutoTokenizer

from arith.catalogue.named import format_named, task_named
from arith.data.tokenized import TokenizedProblems, special_tokens
from arith.hf.generation import TextModel
from arith.tasks.mixture import Mixture
from arith.tasks.samplers import Uniform
from arith.tasks.sampling import Source

Arith = Callable[..., Result]
CPU = torch.device("cpu")
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4665a5ea\nsize 12345\n"


@pytest.fixture
def copied(gpt2: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(gpt2, tmp_path / "model"))


def write_json(file: Path, **values: object) -> None:
    kept = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps(kept | values))


def cut(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:500])


def point(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(POINTER)


def empty(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"")


def drop_layer(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if ".h.1." not in name}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})


def break_config(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "gpt2", "n_embd": "many"')


def break_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("[]")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut, "model.safetensors is damaged"),
        (point, "model.safetensors is damaged"),
        (empty, "model.safetensors is damaged"),
        (drop_layer, "lacks 12 of the model's tensors, or has them in another shape: transformer.h.1.attn.c_attn.bias"),
        (break_config, "config.json' is not a valid JSON file"),
        (break_tokenizer, "tokenizer that can be loaded"),
    ],
)
def test_damaged_folders_are_refused_and_leave_nothing(
    arith: Arith, copied: Path, tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    damage(copied)
    train = ("train", "addition", "--init", f"hf:{copied}", "--format", "plain+groups:size=1", "--out", "run")
    for command in (("evaluate", "--hf", str(copied), "--samples", "2"), (*train, "--steps", "1")):
        refused = arith(*command)
        assert refused.exit_code == 2, refused.output
        assert message in " ".join(refused.stderr.split())
        assert {path.name for path in tmp_path.iterdir()} == {"model"}


def test_settings_that_a_folder_brings_do_not_change_replies(copied: Path) -> None:
    prompts = [f"{first}+{second}=" for first in range(20, 30) for second in range(30, 34)]
    bare = TextModel.load(copied, CPU).replies(prompts, 6, 8)
    digit = AutoTokenizer.from_pretrained(copied)("1")["input_ids"][0]
    changed = {"repetition_penalty": 1.9, "no_repeat_ngram_size": 1, "do_sample": True, "temperature": 3.0}
    changed |= {"num_beams": 3, "min_new_tokens": 6, "eos_token_id": [0, digit], "suppress_tokens": [digit]}
    write_json(copied / "generation_config.json", **changed)
    assert TextModel.load(copied, CPU).replies(prompts, 6, 8) == bare


def test_special_tokens_stand_before_prompts_and_never_behind(copied: Path) -> None:
    """Tests see the tokens that training sees; no model is asked to continue behind an end."""
    tokenizer = AutoTokenizer.from_pretrained(copied)
    tokenizer.add_special_tokens({"bos_token": "<begin>"})
    ends = [("<begin>", tokenizer.bos_token_id), ("<end>", tokenizer.eos_token_id)]
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="<begin> $A <end>", special_tokens=ends)
    assert special_tokens(tokenizer) == ([tokenizer.bos_token_id], [tokenizer.eos_token_id])
    model = TextModel(TextModel.load(copied, CPU).model, tokenizer)
    tokenizer.padding_side, tokenizer.pad_token = "left", "<end>"
    asked = model._inputs(model._tokenize(["12+3=", "1+1="]), shared=0)["input_ids"]
    assert asked[:, -1].tolist() == [tokenizer("=", add_special_tokens=False)["input_ids"][0]] * 2
    outlet = TokenizedProblems(tokenizer, format_named("plain"), spaced=False)
    batch = outlet.batch(Mixture([Source(task_named("addition"), Uniform(1, 4), 0, "train")]), 0, 5)
    first = batch["input_ids"][:, 0]
    assert first.tolist() == [tokenizer.bos_token_id] * 5
    assert asked[0, 0] == tokenizer.bos_token_id
    assert (batch["labels"][:, 0] == -100).all()
    for row, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True):
        tokens = row[mask.bool()]
        assert tokens[-1] == tokenizer.eos_token_id
        assert (tokens[1:-1] != tokenizer.eos_token_id).all()
