"""How well a model knows the words around the numbers, apart from whether it can add.

Perplexity a token depends on what a token is, so what is told is of the text: bits a character, and perplexity a word.
Digits are left out: those of operands cannot be known, and those of answers are measured by exact match.
"""

import dataclasses
from typing import get_args

import torch
from jaxtyping import Bool
from torch import Tensor
from torch.nn import functional

from arith.data.batch import Batch
from arith.data.dataset import Dataset
from arith.evaluation.teacher_forced import rows_at
from arith.experiment.experiment import Experiment
from arith.model.transformer import Transformer
from arith.results.schema import Language
from arith.tasks import vocabulary
from arith.tasks.dialogue import Dialogue, Templates
from arith.tasks.mixture import Mixture
from arith.tasks.samplers import Uniform
from arith.tasks.sampling import Source

LINES = 512


def language(experiment: Experiment, model: Transformer, label: str) -> tuple[Language, ...]:
    """What a model that learned whole lines of dialogue gives to others, in words it has seen and in held-out ones.

    Nothing of a model that learned answers alone, or is tested on something else.
    """
    config, task = experiment.config, experiment.tested_task
    if config.training.loss != "line" or not isinstance(task, Dialogue):
        return ()
    digits = next((own.digits for own in experiment.trained if isinstance(own.task, Dialogue)), config.data.digits)
    found = []
    for templates in get_args(Templates):
        worded = dataclasses.replace(task, templates=templates)
        source = Source(worded, Uniform(*digits), config.evaluation.seed, "test")
        nats, characters, words = measure_surprise(
            model, Dataset(Mixture([source], whole=True), experiment.tested_format), LINES
        )
        found.append(
            Language(
                label=label,
                encoding=config.encoding,
                wording=templates,
                model_seed=config.model.seed,
                data_seed=config.data.seed,
                lines=LINES,
                characters=characters,
                words=words,
                nats=nats,
            )
        )
    return tuple(found)


@torch.no_grad()
def measure_surprise(model: Transformer, data: Dataset, lines: int) -> tuple[float, int, int]:
    """Negative log likelihood in nats of all characters of some lines but digits; those characters, and words."""
    device = model.embedding.weight.device
    nats, characters, words = 0.0, 0, 0
    for _, batch in data.batches(lines, lambda tokens: rows_at(model, tokens), device):
        ids = batch.placed_by(model.encoding)
        logits = model(batch.tokens[:, :-1], tuple(own[:, :, :-1] for own in ids))
        told = text_mask(batch)[:, 1:]
        nats += float(functional.cross_entropy(logits[told].float(), batch.tokens[:, 1:][told], reduction="sum"))
        characters += int(told.sum())
        words += sum(words_of(vocabulary.decode(line)) for line in batch.tokens.cpu().numpy())
    return nats, characters, words


def text_mask(batch: Batch) -> Bool[Tensor, "b n"]:
    """The characters of lines that are no digits, the end mark included."""
    return batch.answer_mask & (batch.tokens >= len(vocabulary.DIGITS))


def words_of(line: str) -> int:
    """
    >>> words_of("Student: What is 842 plus 62?")
    4
    """
    return sum(any(letter.isalpha() for letter in word) for word in line.split())
