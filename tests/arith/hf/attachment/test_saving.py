"""What is attached goes along: with peft's LoRA, into checkpoints of a Trainer, and out of the way for a while."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from arith.errors import UsageError
from arith.hf import attach, attached, detach, disabled, load, save

IDS = torch.arange(3, 19).reshape(2, 8)


def lora(model: Any) -> Any:
    peft = pytest.importorskip("peft", reason="peft is not installed: it comes with arith-toolkit[harness]")
    return peft.get_peft_model(model, peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"))


def steps(model: Any, count: int = 2) -> set[str]:
    """The parameters that some steps of AdamW change."""
    trained = {name: own for name, own in model.named_parameters() if own.requires_grad}
    before = {name: own.detach().clone() for name, own in model.named_parameters()}
    optimiser = torch.optim.AdamW(trained.values(), 1e-2)
    model.train()
    for _ in range(count):
        optimiser.zero_grad()
        model(input_ids=IDS, labels=IDS).loss.backward()
        optimiser.step()
    model.eval()
    return {name for name, own in model.named_parameters() if not torch.equal(own, before[name])}


@pytest.mark.slow
def test_lora_first_trains_both_and_both_are_saved(tiny: Callable[..., Any], tmp_path: Path) -> None:
    model = lora(tiny("llama"))
    attachment = attach(model, "own+fire", tokens=32)
    assert attached(model) is attachment
    changed = steps(model)
    assert {name.partition("arith.")[1] or name.rpartition(".lora_")[1] for name in changed} == {"arith.", ".lora_"}
    assert sum("arith." in name for name in changed) == len(list(attachment.parameters()))
    expected = model(input_ids=IDS).logits
    written = model.generate(input_ids=IDS, max_new_tokens=4, do_sample=False)
    model.save_pretrained(tmp_path)
    assert (tmp_path / "position.json").is_file()
    from peft import PeftModel

    again = PeftModel.from_pretrained(tiny("llama"), tmp_path).eval()
    load(again, tmp_path)
    assert torch.equal(again(input_ids=IDS).logits, expected)
    assert torch.equal(again.generate(input_ids=IDS, max_new_tokens=4, do_sample=False), written)
    with disabled(again):
        own = again(input_ids=IDS).logits
    assert not torch.allclose(own, expected, atol=1e-3)
    detach(again)
    assert torch.equal(again(input_ids=IDS).logits, own)
    again.save_pretrained(tmp_path / "without")
    assert not (tmp_path / "without" / "position.json").exists()


@pytest.mark.slow
def test_lora_after_is_refused_until_what_is_attached_trains(tiny: Callable[..., Any]) -> None:
    model = tiny("llama")
    attachment = attach(model, "own+fire", tokens=32)
    model = lora(model)
    assert "trainable=0)" in repr(attachment)
    with pytest.raises(UsageError, match="peft has frozen what is attached: 0 of 12 new tensors train"):
        steps(model)
    model.eval()(input_ids=IDS)
    attachment.requires_grad_(True)
    assert sum("arith." in name for name in steps(model)) == 12


@pytest.mark.slow
def test_checkpoints_of_a_trainer_hold_what_is_attached(tiny: Callable[..., Any], tmp_path: Path) -> None:
    from transformers import Trainer, TrainingArguments

    def trainer(model: Any, steps: int) -> Trainer:
        options = TrainingArguments(
            str(tmp_path), max_steps=steps, save_steps=2, per_device_train_batch_size=2, learning_rate=1e-2
        )
        return Trainer(model, options, train_dataset=[{"input_ids": row, "labels": row} for row in IDS.repeat(4, 1)])

    model = tiny("llama")
    attach(model, "own+fire", tokens=32)
    trainer(model, 4).train()
    folder = tmp_path / "checkpoint-4"
    assert (folder / "position.json").is_file()
    again = type(model).from_pretrained(folder).eval()
    load(again, folder)
    model.eval()
    assert torch.equal(again(IDS).logits, model(IDS).logits)
    # Resumed from the middle, it is the same model.
    resumed = tiny("llama")
    attach(resumed, "own+fire", tokens=32)
    trainer(resumed, 4).train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    torch.testing.assert_close(resumed.eval()(IDS).logits, model(IDS).logits, atol=1e-5, rtol=1e-5)


def test_saving_the_model_saves_what_is_attached(tiny: Callable[..., Any], tmp_path: Path) -> None:
    model = tiny("llama")
    attachment = attach(model, "own+fire", tokens=32)
    nn.init.normal_(next(attachment.parameters()))
    model.save_pretrained(tmp_path / "a")
    save(model, tmp_path / "b")
    for name in ("position.json", "position.safetensors"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    model.save_pretrained(tmp_path / "c", is_main_process=False)
    assert not (tmp_path / "c" / "position.json").exists()


def test_disabled_it_is_the_model_that_it_was(tiny: Callable[..., Any], digit_tokenizer: Callable[..., Any]) -> None:
    for encoding in ("fire@coupled", "own+learned", "own"):
        model = tiny("gpt2")
        before = model(IDS).logits
        with pytest.raises(UsageError, match="nothing is attached"), disabled(model):
            pass
        attachment = attach(model, encoding, digit_tokenizer(), format="reversed", tokens=32, digits=9)
        for weight in attachment.parameters():
            nn.init.normal_(weight)
        own = model(IDS).logits
        optimised = list(model.parameters())
        with disabled(model):
            assert torch.equal(model(IDS).logits, before)
            assert attached(model) is None
        with pytest.raises(ZeroDivisionError), disabled(model):
            raise ZeroDivisionError  # it comes back all the same
        assert attached(model) is attachment
        assert torch.equal(model(IDS).logits, own)
        assert {id(weight) for weight in optimised} == {id(weight) for weight in model.parameters()}
        detach(model)
        assert torch.equal(model(IDS).logits, before)


def test_a_model_without_its_head_is_refused(tiny: Callable[..., Any]) -> None:
    model = tiny("llama")
    with pytest.raises(UsageError, match=r"LlamaModel is one without its head: attach\(model, ...\), not"):
        attach(model.model, "own+fire", tokens=32)
    assert repr(attach(model, "own+fire", tokens=32)).endswith("parameters=396, trainable=396)")
    detach(model)
    attach(model.model, "own")  # which needs no head
