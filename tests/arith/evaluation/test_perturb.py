"""What answers depend on."""

import pytest
import torch

from arith.config.schema import RunConfig
from arith.errors import UsageError
from arith.evaluation.perturb import Variant, add_marks, judge_variant, probes, variants
from arith.evaluation.teacher_forced import judge_batch
from arith.experiment.experiment import Experiment

CPU = torch.device("cpu")


def untrained(encoding: str, **values: object) -> Experiment:
    config = {"encoding": encoding, "evaluation": {"digits": "20"}, "model": {"layers": 2, "key_heads": 2}}
    return Experiment.of(RunConfig.of(config | values))


@pytest.mark.parametrize(
    ("encoding", "same"), [("rope", True), ("t5", True), ("learned", False), ("sinusoidal", False)]
)
def test_moved_ids_are_seen_by_absolute_encodings_alone(encoding: str, same: bool) -> None:
    experiment = untrained(encoding)
    model = experiment.model().eval()
    batch = experiment.test_data("random", 3).batch(0, 30, CPU)
    with torch.no_grad():
        here, moved = judge_batch(model, batch), judge_batch(model, batch, 5)
    assert torch.allclose(here.margin, moved.margin, atol=1e-3) == same


def test_marks_stand_before_the_line_and_shift_all(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = untrained("rope", format="plain").test_data("nines", 3).batch(0, 20, CPU)
    more = add_marks(batch, 3)
    assert torch.equal(more.tokens[:, 3:], batch.tokens)
    assert torch.equal(more.answer_mask[:, 3:], batch.answer_mask)
    assert not more.answer_mask[:, :3].any()
    assert torch.equal(more.tokens[:, :4].unique(), batch.tokens[:1, 0])
    assert more.queries == batch.queries
    assert torch.equal(more.prompt.length, batch.prompt.length + 3)


def test_probes_compare_with_the_problems_as_they_are() -> None:
    experiment = untrained("learned@coupled+rope")
    found = probes(experiment, experiment.model().eval(), 3, 40)
    names = [probe.changed for probe in found]
    assert names[0] == "nothing"
    assert names[-1] == "operands swapped"
    assert {"position ids + 1", "3 begin marks before", "10 zeros before operands"} < set(names)
    assert (found[0].broken, found[0].mended, found[0].p) == (0, 0, 1.0)
    with pytest.raises(UsageError, match="1 problem or more"):
        probes(experiment, experiment.model(), 3, 0)


def test_variants_keep_the_problem_and_its_answer() -> None:
    experiment = untrained("rope", format="plain")
    for variant in variants(experiment, 3, 30):
        source = variant.data.problems.sources[0]
        written = variant.data.format.write(source.task, variant.problems, None)
        width = 3 + 10 * variant.changed.startswith("10 z") + 3 * variant.changed.startswith("3 z")
        if "zero" in variant.changed and not variant.changed.startswith("1 "):
            assert (written.prompt_lengths == 1 + width + 1 + width + 1).all()
        a, b = variant.problems.operands
        assert int(a.text(0)) + int(b.text(0)) == int(variant.problems.answer.text(0))
    names = [own.changed for own in variants(untrained("rope", task="copy", format="plain"), 3, 5)]
    assert not [name for name in names if "zero" in name or "swapped" in name]


def test_what_has_no_ids_is_told_and_not_measured() -> None:
    experiment = untrained("learned", evaluation={"digits": "4"})
    model = experiment.model().eval()
    first, *_ = variants(experiment, 4, 5)
    beyond = Variant("moved", first.data, first.problems, moved=100)
    assert judge_variant(model, first, 1) is not None
    assert judge_variant(model, beyond, 1) is None
    with pytest.raises(UsageError, match="beyond this model"):
        probes(experiment, model, 9, 5)
