"""The benchmark beside Hugging Face's Trainer: that both are given the same, at a size that takes no time."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch.nn import functional

from arith.config.schema import RunConfig
from arith.experiment.experiment import Experiment

SMALL = RunConfig.of(
    {
        "encoding": "learned",
        "data": {"digits": "1-2"},
        "model": {"width": 16, "hidden": 32, "heads": 2, "layers": 2, "activation": "gelu", "norm_after": False},
        "training": {"batch": 4, "steps": 8, "device": "cpu"},
    }
)


@pytest.fixture
def benchmark(root: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    for name in ("training", "peers", "peers.gpt2_trainer"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module("training")


def test_peer_has_the_same_rows_and_labels(benchmark: ModuleType) -> None:
    experiment = Experiment.of(SMALL)
    peer = benchmark.HuggingFace(experiment)
    batch = experiment.training_data().batch(0, 4, torch.device("cpu"))
    for row in range(4):
        theirs, n = peer.rows[row], batch.tokens.shape[1]
        assert torch.equal(theirs["input_ids"][:n], batch.tokens[row])
        assert torch.equal(theirs["labels"][:n] != -100, batch.answer_mask[row])
        assert int(theirs["attention_mask"].sum()) == int(batch.length[row])


def test_peer_has_the_same_shape_and_loss(benchmark: ModuleType) -> None:
    experiment = Experiment.of(SMALL)
    peer = benchmark.HuggingFace(experiment)
    model = experiment.config.model
    own = peer.model.config
    assert (own.n_layer, own.n_embd, own.n_head, own.n_inner) == (model.layers, model.width, model.heads, model.hidden)
    assert own.vocab_size == experiment.vocabulary_size
    rows = [peer.rows[row] for row in range(4)]
    inputs = {name: torch.stack([row[name] for row in rows]) for name in rows[0]}
    with torch.no_grad():
        found = peer.model(**inputs)
    asked = inputs["labels"][:, 1:] != -100
    wanted = functional.cross_entropy(found.logits[:, :-1][asked], inputs["labels"][:, 1:][asked])
    assert torch.allclose(found.loss, wanted)


def test_every_way_is_timed_beside_ours(benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(benchmark.MODELS, "small", (SMALL, 2, 1.5))
    # Compiling takes many seconds.
    monkeypatch.setattr(
        benchmark, "WAYS", {name: way for name, way in benchmark.WAYS.items() if "compiled" not in name}
    )
    row = benchmark.measured("small", steps=3, repeats=2)
    assert set(row["step_seconds"]) == {"arith", "Hugging Face Trainer"}
    assert all(len(times) == 2 and min(times) > 0 for times in row["step_seconds"].values())
    assert row["times_as_fast"]["arith"] == [1.0, 1.0]
    beside = [theirs / own for own, theirs in zip(*row["step_seconds"].values(), strict=True)]
    assert row["times_as_fast"]["Hugging Face Trainer"] == beside
    assert "(goal 1.5)" in benchmark.told(row)
