"""Training that begins with a pretrained model of Hugging Face."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from click.testing import Result
from transformers import AutoModelForCausalLM

from arith.config.schema import RunConfig
from arith.experiment import shipped
from arith.experiment.checkpoints import latest
from arith.experiment.experiment import Experiment
from arith.hf.generation import TextModel
from arith.model.kinds.pretrained import Pretrained
from arith.results.schema import Results

SHORT = (
    "--digits",
    "1-2",
    "--test-digits",
    "1-2",
    "--samples",
    "20",
    "--batch",
    "8",
    "--format",
    "plain+groups:size=1",
)


def test_a_pretrained_model_is_trained_tested_resumed_and_exported(
    arith: Callable[..., Result], gpt2: Path, tmp_path: Path
) -> None:
    options = ("train", "addition", "--init", f"hf:{gpt2}", *SHORT, "--set", "training.checkpoint_every=4")
    whole = arith(*options, "--steps", "8", "--out", "whole")
    assert whole.exit_code == 0, whole.stderr
    assert "pretrained  random" in whole.stdout
    assert "Loading weights" not in whole.stderr, "our own lines of progress stand there"
    assert "arith export whole --to DIR\n" in whole.stdout
    # Stopped after four steps and gone on with, it is the same model.
    values = json.loads((tmp_path / "whole" / "run.json").read_text())
    assert values["config"]["model"]["init"] == f"hf:{gpt2}"
    begun = arith(*options, "--steps", "8", "--out", "begun")
    assert begun.exit_code == 0
    for path in (tmp_path / "begun" / "checkpoints" / "step-00000008").iterdir():
        path.unlink()
    (tmp_path / "begun" / "checkpoints" / "step-00000008").rmdir()
    (tmp_path / "begun" / "results.json").unlink()
    again = arith("train", "--resume", "--out", "begun")
    assert again.exit_code == 0, again.stderr
    one, other = (latest(tmp_path / name / "checkpoints", print) for name in ("whole", "begun"))
    assert one.step == other.step == 8
    assert all(torch.equal(own, other.model[name]) for name, own in one.model.items())
    # What is exported is an ordinary model, tied weights and all.
    wrote = arith("export", "whole", "--to", "out")
    assert wrote.exit_code == 0, wrote.stderr
    assert "arith evaluate --hf out --format plain+groups:size=1\n" in wrote.stdout
    assert "arith evaluate --hf out" in arith("ask", "out", "1+2").stderr
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "out").state_dict()
    assert torch.equal(loaded["transformer.wte.weight"], one.model["inner.transformer.wte.weight"])
    assert torch.equal(loaded["lm_head.weight"], loaded["transformer.wte.weight"])
    start = AutoModelForCausalLM.from_pretrained(gpt2).state_dict()
    assert not torch.equal(loaded["transformer.wte.weight"], start["transformer.wte.weight"])
    tested = arith("evaluate", "--hf", "out", "--format", "plain+groups:size=1", "--test-digits", "1", "--samples", "5")
    assert tested.exit_code == 0, tested.stderr
    assert "began as the pretrained `tiny`" in (tmp_path / "out" / "README.md").read_text()
    # A run can be tested as any other, but for what looks into answers token by token.
    assert arith("evaluate", "whole", "--test-digits", "1", "--samples", "5", "--grid", "1").exit_code == 0
    assert "arith evaluate --hf DIR" in arith("evaluate", "whole", "--anatomy").stderr
    assert "arith evaluate --hf DIR" in arith("ask", "whole", "1+2").stderr
    cells = Results.load(tmp_path / "whole" / "results.json").cells
    assert {(cell.encoding, cell.structure_aware, cell.train_lengths) for cell in cells} == {
        ("pretrained", False, (1, 2))
    }


def test_an_encoding_is_added_to_the_positions_of_a_pretrained_model(
    arith: Callable[..., Result], gpt2: Path, tmp_path: Path
) -> None:
    encoding = "own+learned:std=0.02@coupled"
    form = ("--format", "reversed+groups:size=1")
    options = ("train", "addition", "--init", f"hf:{gpt2}", "--encoding", encoding, *SHORT, *form, "--steps", "4")
    ran = arith(*options, "--set", "training.checkpoint_every=2", "--out", "whole")
    assert ran.exit_code == 0, ran.stderr
    # Gone on with after two steps, it is the same model.
    shutil.copytree(tmp_path / "whole", tmp_path / "begun")
    shutil.rmtree(tmp_path / "begun" / "checkpoints" / "step-00000004")
    (tmp_path / "begun" / "results.json").unlink()
    again = arith("train", "--resume", "--out", "begun")
    assert again.exit_code == 0, again.stderr
    one, other = (latest(tmp_path / name / "checkpoints", print) for name in ("whole", "begun"))
    assert all(torch.equal(own, other.model[name]) for name, own in one.model.items())
    cells = Results.load(tmp_path / "whole" / "results.json").cells
    assert {(cell.encoding, cell.structure_aware) for cell in cells} == {(encoding, True)}
    table = one.model["inner.arith.encoding.parts.0.table"]
    assert table.shape == (5, 32)  # digits of a sum of two, one more for signs, and the row of no position
    # What is exported holds it, and is tested with it.
    assert arith("export", "whole", "--to", "out").exit_code == 0
    assert (tmp_path / "out" / "position.json").is_file()
    assert f"`{encoding}`, which is told which digits belong together" in (tmp_path / "out" / "README.md").read_text()
    model = TextModel.load(tmp_path / "out", torch.device("cpu")).model
    assert torch.equal(model.arith.encoding.parts[0].table, table)
    tested = arith("evaluate", "--hf", "out", *form, "--test-digits", "1", "--samples", "5")
    assert tested.exit_code == 0, tested.stderr


def test_what_is_attached_knows_where_the_answers_of_a_dialogue_begin(
    gpt2: Path, tiny: Callable[..., Any], tmp_path: Path
) -> None:
    # The tokenizer of one model and another that has more positions: dialogue is long, byte by byte.
    shutil.copytree(gpt2, folder := tmp_path / "long", ignore=shutil.ignore_patterns("*.safetensors", "config.json"))
    tiny("llama", vocab_size=330, max_position_embeddings=512).save_pretrained(folder)
    values = {
        "task": "dialogue",
        "format": "reversed+groups:size=1",
        "encoding": "own+learned:std=0.02@coupled",
        "model": {"init": f"hf:{folder}"},
        "data": {"digits": "2-3"},
    }
    experiment = Experiment.of(RunConfig.of(values))
    model, batch = experiment.model(), experiment.training_data().batch(0, 8, torch.device("cpu"))
    assert isinstance(model, Pretrained)
    found: list[Any] = []
    model.inner.model.layers[0].register_forward_pre_hook(
        lambda _, __, kwargs: found.append(kwargs["arith_pass"].positions[0].ids.k), with_kwargs=True
    )
    with torch.no_grad():
        model(batch.tokens, batch.placed_by(experiment.encoding()))
    for ids, mask in zip(found[0].reshape(len(batch.tokens), -1), batch.answer_mask, strict=True):
        answer = ids[mask]
        # Answers have the units first, and one is a sign's: 2, 3, 4.
        assert answer[answer > 1].tolist() == list(range(2, 2 + int((answer > 1).sum())))
        assert int((answer > 1).sum()) >= 2


def test_frozen_embeddings_are_tokens_and_positions_of_any_model(
    arith: Callable[..., Result], gpt2: Path, tmp_path: Path
) -> None:
    frozen = (
        "--steps",
        "2",
        "--learning-rate",
        "1",
        "--set",
        "training.freeze=embedding",
        "--set",
        "training.optimizer=sgd",
    )
    trained = arith("train", "addition", "--init", f"hf:{gpt2}", *SHORT, *frozen, "--out", "run")
    assert trained.exit_code == 0, trained.stderr
    start = AutoModelForCausalLM.from_pretrained(gpt2).state_dict()
    found = latest(tmp_path / "run" / "checkpoints", print).model
    same = {name for name, own in start.items() if torch.equal(own, found.get(f"inner.{name}", torch.zeros(())))}
    assert {name for name in same if "attn.bias" not in name} == {"transformer.wte.weight", "transformer.wpe.weight"}
    row = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[0])
    assert [*row["gradient_norms"]] == ["blocks.0", "blocks.1", "head"]  # the head is tied, and leaves its norm


def test_what_cannot_start_a_training_is_refused(arith: Callable[..., Result], gpt2: Path) -> None:
    def error(*arguments: str) -> str:
        ran = arith("train", "addition", *arguments)
        assert ran.exit_code == 2, ran.output
        return ran.stderr

    assert "hf:FOLDER" in error("--init", "gpt2")
    assert "nothing is downloaded" in error("--init", "hf:gpt2")
    assert "without --encoding" in error("--init", f"hf:{gpt2}", "--encoding", "rope")
    assert "To begin with it: --init run:" in error("--init", f"hf:{shipped.FOLDER / 'addition'}")
    assert "own+rope" in error("--init", f"hf:{gpt2}", "--encoding", "rope")
    assert "Give --init" in error("--encoding", "pretrained")
    assert "Give --init" in error("--encoding", "own+fire@coupled")
    added = ("--init", f"hf:{gpt2}", *SHORT, "--steps", "1", "--encoding")
    assert "reversed" in error(*added, "own+learned@coupled")  # the format is plain
    assert "Did you mean 'fire'" in error(*added, "own+fir@coupled", "--dry-run")
    assert "draws its ids" in error(*added, "own+learned@sequential:origin=random")
    mixed = ("--set", "evaluation.format=reversed+groups:size=1")
    assert "leave formats out" in error(*added, "own+learned@abacus", *mixed)
    sharpened = error("--init", f"hf:{gpt2}", "--set", "evaluation.sharpen=2")
    assert "leave evaluation.sharpen or model.init out" in sharpened
    assert "evaluation.loops or model.init out" in error("--init", f"hf:{gpt2}", "--set", "evaluation.loops=2")
    assert "the model has 64 positions" in error("--init", f"hf:{gpt2}", "--digits", "30-40", "--steps", "1")


def test_a_dry_run_has_the_sizes_of_the_model_and_defaults_of_its_own(arith: Callable[..., Result], gpt2: Path) -> None:
    shown = arith("train", "addition", "--init", f"hf:{gpt2}", *SHORT, "--dry-run")
    assert shown.exit_code == 0, shown.stderr
    assert str(gpt2) in shown.stdout
    options = ("train", "addition", "--init", f"hf:{gpt2}", "--format", "plain+groups:size=1", "--dry-run", "--json")
    found = json.loads(arith(*options).stdout)
    model, training, tests = (found["config"][name] for name in ("model", "training", "evaluation"))
    assert (model["layers"], model["width"], model["heads"], model["hidden"]) == (2, 32, 2, 128)
    assert "norm_after" not in model
    assert training["learning_rate"] <= 1e-4
    assert (tests["digits"], tests["samples"]) == ([1, 2, 3, 4, 5, 6], 100)
    estimate, tokens = found["estimate"], found["estimate"]["tokens_per_step"]
    # 6 N a token, and the head's products: here the vocabulary is a large part.
    assert 0.5 < estimate["flops_per_step"] / (6 * estimate["parameters"] * tokens) < 1.5
    given = json.loads(arith(*options, "--learning-rate", "1e-3", "--samples", "7").stdout)["config"]
    assert given["training"]["learning_rate"] == 1e-3  # what is said holds
    assert (given["evaluation"]["samples"], given["evaluation"]["long_samples"]) == (7, 7)
