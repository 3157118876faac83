"""Hugging Face's Trainer on a GPT-2 of our model's shape: the same rows, batch, number type and optimiser.

What is alike: layers, width, heads, hidden width, vocabulary, rows and their padding, samples a step, number type,
fused AdamW, gradients clipped at 1, a cosine schedule, the loss of the answer's tokens alone; no dropout, and no
evaluation, saving, logging. What is GPT-2's own: biases, LayerNorm, learned positions, plain GELU, and logits of
every token. Its rows are tokenised and padded before the clock starts; ours are drawn while it runs.
"""

import contextlib
import io
import itertools
import tempfile
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset as Rows
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainerCallback, TrainingArguments

from arith.experiment.experiment import Experiment
from arith.training.environment import find_device

IGNORED = -100  # label of a token that is not asked for, as Hugging Face marks it


class Tokenised(Rows[dict[str, Tensor]]):
    """The first rows of our training data, padded to the longest."""

    def __init__(self, experiment: Experiment, count: int) -> None:
        batch = experiment.training_data().batch(0, count, torch.device("cpu"))
        self.tokens = batch.tokens
        self.labels = batch.tokens.masked_fill(~batch.answer_mask, IGNORED)
        self.seen = (torch.arange(batch.tokens.shape[1]) < batch.length[:, None]).long()

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, row: int) -> dict[str, Tensor]:
        return {"input_ids": self.tokens[row], "labels": self.labels[row], "attention_mask": self.seen[row]}


def gpt2(experiment: Experiment) -> GPT2LMHeadModel:
    """A GPT-2 of our model's shape."""
    model = experiment.config.model
    torch.manual_seed(model.seed)
    built = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=experiment.vocabulary_size,
            n_positions=experiment.tokens,
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
    built.loss_type = "ForCausalLM"  # what it takes anyway, after a warning that breaks the compiled graph
    return built


class Ends(TrainerCallback):
    """When each step ended."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.ends: list[float] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.ends.append(self.clock())


class HuggingFace:
    """A training by Hugging Face's Trainer."""

    def __init__(
        self, experiment: Experiment, compiled: bool = False, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.experiment, self.compiled, self.clock, self.model = experiment, compiled, clock, gpt2(experiment)
        self.rows = Tokenised(experiment, 32 * experiment.config.training.batch)

    def seconds(self, steps: int) -> tuple[float, ...]:
        """From the end of each step to that of the next, loading its data included."""
        training, ends = self.experiment.config.training, Ends(self.clock)
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            arguments = TrainingArguments(
                output_dir=folder,
                max_steps=steps + 1,
                per_device_train_batch_size=training.batch,
                learning_rate=training.learning_rate,
                lr_scheduler_type="cosine",
                warmup_steps=min(training.warmup, steps),
                weight_decay=training.weight_decay,
                adam_beta1=training.betas[0],
                adam_beta2=training.betas[1],
                max_grad_norm=training.clip,
                optim="adamw_torch_fused",
                bf16=training.precision == "bfloat16",
                torch_compile=self.compiled,
                use_cpu=find_device(training.device).type == "cpu",
                dataloader_num_workers=0,
                dataloader_pin_memory=False,
                dataloader_drop_last=True,
                logging_strategy="no",
                logging_nan_inf_filter=False,
                save_strategy="no",
                eval_strategy="no",
                report_to=[],
                disable_tqdm=True,
                seed=self.experiment.config.data.seed,
            )
            Trainer(self.model, arguments, train_dataset=self.rows, callbacks=[ends]).train()
        return tuple(later - earlier for earlier, later in itertools.pairwise(ends.ends))

    def parameters(self) -> int:
        """Trained numbers."""
        return sum(parameter.numel() for parameter in self.model.parameters())
