"""The command line, called in a folder of its own."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from arith.cli import cli


@pytest.fixture
def arith(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, **environment: str) -> Result:
        return CliRunner().invoke(cli, arguments, env=environment, catch_exceptions=False)

    return run


@pytest.fixture(scope="session")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny GPT-2: random weights, large enough for replies to differ, and a tokenizer trained on additions."""
    # Here, or every test of the command line would wait for transformers.
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    from arith.hf.text import texts
    from arith.naming import format_named, task_named
    from arith.tasks.mixture import Mixture
    from arith.tasks.samplers import Uniform
    from arith.tasks.sampling import Source

    folder = tmp_path_factory.mktemp("models") / "tiny"
    built = Tokenizer(models.BPE())
    built.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    built.decoder = decoders.ByteLevel()
    problems = Mixture([Source(task_named("addition"), Uniform(1, 4), 0, "train")])
    lines = ["".join(pair) for pair in texts(problems, format_named("plain"), 0, 500)]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=330, special_tokens=["<end>"], initial_alphabet=alphabet)
    built.train_from_iterator(lines, trainer)
    PreTrainedTokenizerFast(tokenizer_object=built, eos_token="<end>").save_pretrained(folder)
    torch.manual_seed(3)
    config = GPT2Config(vocab_size=330, n_positions=64, n_embd=32, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0)
    model = GPT2LMHeadModel(config)
    for parameter in model.parameters():
        parameter.data *= 8
    model.save_pretrained(folder)
    return folder
