"""How well a pretrained model still knows English: its surprise at a fixed text that comes with arith.

What is trained on sums alone may forget the rest, and an accuracy does not show it. The text, `english.txt`, was
written for this purpose and stands nowhere else, so that no model has it by heart.
"""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from arith.data.tokenized import special_tokens
from arith.experiment.experiment import Experiment, PretrainedExperiment
from arith.model.kinds.pretrained import Pretrained
from arith.process.progress import track
from arith.results.measurement import AFTER, BEFORE, Language

TEXT = Path(__file__).parent / "english.txt"
MOST = 512  # tokens of a window, if the model has as many positions


def english(experiment: Experiment, model: torch.nn.Module, label: str) -> tuple[Language, ...]:
    """The surprise of a pretrained model before training and after it; empty for arith's own models.

    Args:
        experiment: the experiment of the model.
        model: the model after training.
        label: the name of the model in figures.
    """
    if not isinstance(experiment, PretrainedExperiment):
        return ()
    assert isinstance(model, Pretrained)
    device = next(model.parameters()).device
    text, found = TEXT.read_text(encoding="utf-8"), []
    for wording in (BEFORE, AFTER):
        # The model as it was is read again, since a resumed run has it no more.
        asked = model if wording == AFTER else experiment.folder.model().to(device)
        nats, tokens = _surprise(asked, experiment.folder.tokenizer, text)
        found.append(
            Language(
                label=label,
                encoding=experiment.config.encoding,
                wording=wording,
                model_seed=experiment.config.model.seed,
                data_seed=experiment.config.data.seed,
                lines=len(text.splitlines()),
                characters=len(text),
                words=len(text.split()),
                nats=nats,
                tokens=tokens,
            )
        )
    return tuple(found)


@torch.no_grad()
def _surprise(model: Pretrained, tokenizer: object, text: str) -> tuple[float, int]:
    """The negative log likelihood of a text's tokens but the first, in nats, and their number."""
    before, _ = special_tokens(tokenizer)  # type: ignore[arg-type]
    tokens = tokenizer([text], add_special_tokens=False)["input_ids"][0]  # type: ignore[operator]
    longest = min(MOST, getattr(model.inner.config, "max_position_embeddings", None) or MOST) - len(before)
    device, training = next(model.parameters()).device, model.training
    model.eval()
    nats = 0.0
    windows = list(_windows(torch.tensor(tokens), longest))
    for window, scored in track(windows, "perplexity of English", len(windows)):
        row = torch.cat([torch.tensor(before, dtype=torch.long), window])[None].to(device)
        logits = model.inner(input_ids=row[:, :-1], use_cache=False).logits[0, -scored:].double()
        nats += float(functional.cross_entropy(logits, row[0, -scored:], reduction="sum"))
    model.train(training)
    return nats, len(tokens) - 1


def _windows(tokens: Tensor, longest: int) -> Iterator[tuple[Tensor, int]]:
    """Parts of a text, and how many of each part's last tokens are scored; each token has half a window before it.

    >>> [(window.tolist(), scored) for window, scored in _windows(torch.arange(7), 4)]
    [([0, 1, 2, 3], 3), ([2, 3, 4, 5], 2), ([4, 5, 6], 1)]
    """
    half, end = longest // 2, min(longest, len(tokens))
    yield tokens[:end], end - 1
    while end < len(tokens):
        begin, done = end - half, end
        end = min(begin + longest, len(tokens))
        yield tokens[begin:end], end - done
