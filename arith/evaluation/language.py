"""How well a model knows the words around the numbers, apart from whether it can add.

Perplexity per token depends on the tokens, so the measures are of the text: bits per character, perplexity per word.
Digits are left out: those of operands cannot be predicted, and those of answers are measured by exact match.
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
from arith.results.measurement import Language
from arith.tasks import vocabulary
from arith.tasks.dialogue import Dialogue, Templates
from arith.tasks.mixture import Mixture
from arith.tasks.samplers import Uniform
from arith.tasks.sampling import Source

LINES = 512  # lines of each wording


def language(experiment: Experiment, model: Transformer, label: str) -> tuple[Language, ...]:
    """How surprised a model is by lines of dialogue, in trained and in held-out wordings.

    It is empty for a model that was trained on answers alone, or is tested on another task.

    Args:
        experiment: the experiment of the model.
        model: the model.
        label: the name of the model in figures.
    """
    config, task = experiment.config, experiment.tests.task
    if config.training.loss != "line" or not isinstance(task, Dialogue):
        return ()
    # Of the lengths that dialogue was trained at: longer operands would make the words around them harder to predict.
    digits = next((own.digits for own in experiment.trained if isinstance(own.task, Dialogue)), config.data.digits)
    found = []
    for templates in get_args(Templates):
        worded = dataclasses.replace(task, templates=templates)
        source = Source(worded, Uniform(*digits), config.evaluation.seed, "test")
        lines = Dataset(Mixture([source], whole=True), experiment.tests.format)
        with model.sharpened(config.evaluation.sharpen):
            nats, characters, words = measure_surprise(model, lines, LINES)
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
    """The surprise at the text of lines, digits left out.

    Args:
        model: the model.
        data: the lines.
        lines: how many of them, from the first.

    Returns:
        The negative log likelihood in nats, summed; the number of its characters; and the number of words.
    """
    device = model.embedding.weight.device
    nats, characters, words = 0.0, 0, 0
    for _, batch in data.batches(lines, lambda tokens: rows_at(model, tokens), device):
        ids = batch.placed_by(model.encoding)
        logits = model(batch.tokens[:, :-1], tuple(own[:, :, :-1] for own in ids))
        # Logits at token t are of token t + 1, so targets and mask begin a token later: nothing predicts the first.
        counted = text_mask(batch)[:, 1:]
        nats += float(functional.cross_entropy(logits[counted].float(), batch.tokens[:, 1:][counted], reduction="sum"))
        characters += int(counted.sum())
        words += sum(words_of(vocabulary.decode(line)) for line in batch.tokens.cpu().numpy())
    return nats, characters, words


def text_mask(batch: Batch) -> Bool[Tensor, "b n"]:
    """Which tokens are characters of the text and not digits; the end mark counts as one."""
    # The ten digits come first in the vocabulary, and each stands for itself: token 7 is the digit 7.
    return batch.answer_mask & (batch.tokens >= len(vocabulary.DIGITS))


def words_of(line: str) -> int:
    """The number of words in a line; what holds no letter, such as a number, is not a word.

    >>> words_of("Student: What is 842 plus 62?")
    4
    """
    return sum(any(letter.isalpha() for letter in word) for word in line.split())
