"""Accuracy at lengths that are watched while a model trains. It is kept and drawn, and nothing is chosen by it."""

from arith.data.dataset import Dataset
from arith.evaluation.exact_match import check_reach
from arith.evaluation.teacher_forced import exact_matches
from arith.experiment.experiment import Experiment
from arith.model.transformer import Transformer
from arith.process.signals import Flag
from arith.results.schema import Condition


class Watch:
    """The problems of each watched length, which neither training nor tests have.

    Args:
        experiment: the experiment, whose `evaluation.watch` names the lengths.
        model: the model in training.

    Raises:
        UsageError: a watched length is beyond what the model's encoding can place.

    >>> from arith.config.schema import RunConfig
    >>> experiment = Experiment.of(RunConfig.of({"evaluation": {"watch": [6, 8]}}))
    >>> model = experiment.model()
    >>> Watch(experiment, model).accuracies(model, 4, Flag())
    {'6': 0.0, '8': 0.0}
    """

    def __init__(self, experiment: Experiment, model: Transformer) -> None:
        self.lengths = lengths = experiment.config.evaluation.watch
        check_reach(experiment, model, [Condition("random", digits, 1) for digits in lengths])
        self._data: dict[int, Dataset] = {digits: experiment.watched_data(digits) for digits in lengths}
        self._sharpen = experiment.config.evaluation.sharpen

    def accuracies(self, model: Transformer, n: int, flag: Flag) -> dict[str, float]:
        """The share of right answers at each length, as metrics keep it.

        Args:
            model: the model, in evaluation mode.
            n: the problems of each length.
            flag: a flag that stops it once raised; what is returned then means nothing.
        """
        found = {}
        with model.sharpened(self._sharpen):  # as in tests
            for digits, data in self._data.items():
                found[str(digits)] = round(float(exact_matches(model, data, n, flag).float().mean()), 4)
        return found
