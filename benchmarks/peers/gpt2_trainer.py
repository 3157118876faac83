"""Hugging Face's Trainer on a GPT-2 of our model's shape: the same rows, batch, number type and optimiser.

What is alike: layers, width, heads, hidden width, vocabulary, rows and their padding, batch size, number type, fused
AdamW, gradients clipped at 1, cosine schedule, loss on the answer's tokens alone, no dropout, no evaluation, saving
or logging. What is GPT-2's own: biases, LayerNorm, learned absolute positions, plain GELU, logits of every token.
Its rows are tokenised and padded before the clock starts, ours are drawn while it runs.
"""

import tempfile
import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset as Rows

from arith.assembly import Assembly

IGNORED = -100  # label of a token that is not asked for, as Hugging Face marks it


class Tokenised(Rows[dict[str, Tensor]]):
    """The first rows of our training data, padded to the longest."""

    def __init__(self, assembly: Assembly, count: int) -> None:
        batch = assembly.training_data().batch(0, count, torch.device("cpu"))
        self.tokens = batch.tokens
        self.labels = batch.tokens.masked_fill(~batch.answer_mask, IGNORED)
        self.seen = (torch.arange(batch.tokens.shape[1]) < batch.length[:, None]).long()

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, row: int) -> dict[str, Tensor]:
        return {"input_ids": self.tokens[row], "labels": self.labels[row], "attention_mask": self.seen[row]}


def gpt2(assembly: Assembly) -> Any:
    """A GPT-2 as large as our model."""
    from transformers import GPT2Config, GPT2LMHeadModel

    model = assembly.config.model
    torch.manual_seed(model.seed)
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=assembly.vocabulary_size(),
            n_positions=assembly.tokens,
            n_embd=model.width,
            n_layer=model.layers * model.loops,
            n_head=model.heads,
            n_inner=model.hidden,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            use_cache=False,
            bos_token_id=None,
            eos_token_id=None,
        )
    )


def step_seconds(assembly: Assembly, rows: Rows[dict[str, Tensor]], steps: int, compiled: bool = False) -> list[float]:
    """Seconds from the end of each training step to that of the next, data loading included."""
    from transformers import Trainer, TrainerCallback, TrainingArguments

    ends: list[float] = []

    class Clock(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, *_: Any, **__: Any) -> None:
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            ends.append(time.perf_counter())

    training = assembly.config.training
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            max_steps=steps,
            per_device_train_batch_size=training.batch,
            learning_rate=training.learning_rate,
            lr_scheduler_type="cosine",
            warmup_steps=training.warmup,
            weight_decay=training.weight_decay,
            adam_beta1=training.betas[0],
            adam_beta2=training.betas[1],
            max_grad_norm=training.clip,
            optim="adamw_torch_fused",
            bf16=training.precision == "bfloat16",
            torch_compile=compiled,
            use_cpu=not torch.cuda.is_available(),
            dataloader_num_workers=0,
            dataloader_pin_memory=False,
            dataloader_drop_last=True,
            logging_strategy="no",
            logging_nan_inf_filter=False,
            save_strategy="no",
            eval_strategy="no",
            report_to=[],
            disable_tqdm=True,
            seed=training_seed(assembly),
        )
        Trainer(gpt2(assembly), arguments, train_dataset=rows, callbacks=[Clock()]).train()
    return differences(ends)


def training_seed(assembly: Assembly) -> int:
    return assembly.config.data.seed


def differences(times: Sequence[float]) -> list[float]:
    return [later - earlier for earlier, later in zip(times, times[1:], strict=False)]
