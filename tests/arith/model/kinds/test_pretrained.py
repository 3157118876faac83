"""The loss of a pretrained model."""

from pathlib import Path

import torch

from arith.config.schema import RunConfig
from arith.experiment.experiment import Experiment
from arith.experiment.pretrained import PretrainedFolder
from arith.model.kinds.pretrained import Pretrained


def test_the_loss_is_that_of_hugging_face(gpt2: Path) -> None:
    start = PretrainedFolder.of(f"hf:{gpt2}")
    values = {"encoding": "pretrained", "format": "plain+groups:size=1", "model": {"init": f"hf:{gpt2}"}}
    experiment = Experiment.of(RunConfig.of(values))
    model = experiment.model()
    assert isinstance(model, Pretrained)
    data = experiment.training_data()
    batch = data.batch(3, 9, torch.device("cpu"))
    tokenized = data.problems.outlet.batch(data.problems.problems, 3, 9)  # type: ignore[attr-defined]
    theirs = model.inner(input_ids=tokenized["input_ids"], attention_mask=tokenized["attention_mask"])
    mine = tokenized["labels"][:, 1:] != -100
    expected = torch.nn.functional.cross_entropy(theirs.logits[:, :-1][mine], tokenized["labels"][:, 1:][mine])
    torch.testing.assert_close(model.loss(batch), expected)
    assert start.tokenizer.decode(batch.tokens[0]).startswith(tuple("123456789"))


def test_logits_are_computed_of_the_queries_alone(gpt2: Path) -> None:
    model = PretrainedFolder.of(f"hf:{gpt2}").model()
    rows: list[int] = []
    model.inner.get_output_embeddings().register_forward_pre_hook(lambda _, inputs: rows.append(inputs[0].shape[1]))
    tokens = torch.arange(12).view(2, 6)
    whole, last = model(tokens, ()), model(tokens, (), queries=2)
    assert rows == [6, 2]
    torch.testing.assert_close(last, whole[:, -2:])
    torch.testing.assert_close(model(tokens, (), queries=2, picked=torch.tensor([[0], [1]]))[1, 0], whole[1, -1])
