"""Every encoding learns something: additions of up to two digits, within a cap on steps."""

import functools
import subprocess
from pathlib import Path

import pytest
import torch

from arith.catalogue.entries import ALIASES, ENCODINGS
from arith.config.schema import RunConfig
from arith.evaluation.teacher_forced import exact_matches
from arith.experiment.experiment import Experiment
from arith.training.optimiser import build_optimizer, set_rates
from arith.training.step import FiniteWatch, training_step

pytestmark = pytest.mark.slow

SHARDS, CAP, EVERY = 3, 3000, 250
WANTED = 0.95  # on 500 problems; chance is 1%
SETTINGS = {
    "window": "window:left=6",
    "lookup": "lookup@coupled+relative@coupled",
    "rope-interpolated": "rope-interpolated:trained=6",
    "rope-llama3": "rope-llama3:trained=6",
    "rope-long": "rope-long:trained=6,factors=1-1-1-1-1-1-1-1",
    "rope-ntk": "rope-ntk:trained=6",
    "rope-yarn": "rope-yarn:trained=6",
}
# In a loop it sees one digit of each number, which is enough for products of digits.
PRODUCTS = {"task": "multiplication", "data": {"digits": "1"}, "evaluation": {"digits": "1"}}
OTHERWISE: dict[str, dict[str, object]] = {"sliding-lanes": PRODUCTS, "sliding-lookup": PRODUCTS}
NAMES = [
    SETTINGS.get(name, name) for name in (*ENCODINGS.names(), *ALIASES) if not name.startswith(("test-", "doctest"))
]


@functools.cache
def shard() -> int:
    """Successive commits look at other encodings."""
    count = subprocess.run(
        ["git", "rev-list", "--count", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True
    ).stdout.strip()
    return int(count or 0) % SHARDS


@pytest.mark.parametrize("encoding", NAMES)
def test_it_learns_to_add(encoding: str) -> None:
    if NAMES.index(encoding) % SHARDS != shard():
        pytest.skip("another shard, of another commit")
    config = RunConfig.of(
        {
            "encoding": encoding,
            "format": "padded-all-reversed",
            "data": {"digits": "1-2"},
            "model": {"layers": 2, "width": 64},
            "training": {"steps": CAP, "batch": 64, "warmup": 50},
            "evaluation": {"digits": "2"},
        }
        | OTHERWISE.get(encoding, {})
    )
    (digits,) = config.evaluation.digits
    experiment = Experiment.of(config)
    model, data, cpu = experiment.model(), experiment.training_data(), torch.device("cpu")
    optimizer, watch = build_optimizer(model, config.training), FiniteWatch(cpu)
    reached = 0.0
    for step in range(CAP):
        set_rates(optimizer, config.training, step)
        watch.see(step + 1, *training_step(model, optimizer, [data.batch(64 * step, 64, cpu)], config.training))
        if (step + 1) % EVERY == 0:
            watch.check(config.training)
            reached = float(exact_matches(model.eval(), experiment.test_data("random", digits), 500).float().mean())
            model.train()
            if reached >= WANTED:
                return
    assert reached >= WANTED
