"""A trained model for tests longer than it was built for, where what its encoding adds is computed and not learned."""

from collections.abc import Sequence

import torch

from arith.errors import UsageError
from arith.evaluation.exact_match import check_reach, conditions
from arith.experiment.experiment import Experiment
from arith.experiment.run import Run
from arith.model.transformer import Transformer
from arith.results.schema import Condition

SAMPLES = 32  # of training, on which both must agree


def model_for(run: Run, tested: Experiment, sets: Sequence[Condition] | None = None) -> tuple[Transformer, int]:
    """The run's model and its step, with longer tables if the tests need them and they are no parameters.

    Args:
        sets: the tests; as configured, if None.

    Raises:
        UsageError: the tests are beyond what its encoding can place.
    """
    trained = Experiment.of(run.config)
    model, checkpoint = run.trained(trained)
    sets = conditions(tested) if sets is None else sets
    try:
        check_reach(tested, model, sets)
    except UsageError:
        longer = _rebuilt(run, tested)
        if longer is None or not _alike(model, longer, trained):
            raise
        model = longer
    return model, checkpoint.step


def _rebuilt(run: Run, tested: Experiment) -> Transformer | None:
    """The same weights in a model that is built for the tests; None if they do not fit."""
    try:
        return run.trained(tested)[0]
    except RuntimeError:  # a table with a row for each position
        return None


@torch.no_grad()
def _alike(model: Transformer, longer: Transformer, trained: Experiment) -> bool:
    """Whether both say the same of training samples: ids that turn, or frequencies that are stretched, would not."""
    batch = trained.training_data().batch(0, SAMPLES, torch.device("cpu"))
    said = []
    for own in (model, longer):
        ids = batch.placed_by(own.encoding)
        said.append(own(batch.tokens, ids))
    return torch.allclose(said[0], said[1], rtol=1e-4, atol=1e-4)
