"""The key that decides whether something is measured already."""

from typing import NamedTuple

from arith.results.schema import Cell, Condition


class CellKey(NamedTuple):
    """The identity of a measurement: cells with equal keys measure the same thing.

    Every setting that changes the problems or the model belongs here, because this key alone decides whether a cell is
    measured already. Logging intervals and the like do not.

    Args:
        step, samples: the training steps, and the distinct training samples, behind the weights.
        sharpen: the factor on scores of attention in the test.
        loops: the number of loops in the test, where it is another than in training.
        shots: solved examples before each prompt, for models tested through text.
        wording: the hash of how problems are put to them.
    """

    # Left out although cells hold them: accuracy, counts and times are results, and parameters, structure_aware and
    # supervision follow from what is here.

    label: str
    task: str
    format: str
    encoding: str
    train_lengths: tuple[int, int]
    model_seed: int
    data_seed: int
    test_seed: int
    step: int
    samples: int
    condition: Condition
    sharpen: float | str = 1.0
    loops: int | None = None
    shots: int = 0
    wording: str = ""

    @staticmethod
    def of(cell: Cell) -> "CellKey":
        return CellKey(
            label=cell.label,
            task=cell.task,
            format=cell.format,
            encoding=cell.encoding,
            train_lengths=cell.train_lengths,
            model_seed=cell.model_seed,
            data_seed=cell.data_seed,
            test_seed=cell.test_seed,
            step=cell.step,
            samples=cell.samples,
            condition=Condition.of(cell),
            sharpen=cell.sharpen,
            loops=cell.loops,
            # A measure, not a field of its own: files from before there were shots have none, which means 0.
            shots=int(cell.measures.get("shots", 0)),
            wording=cell.wording,
        )

    @property
    def training(self) -> tuple[object, ...]:
        """The part that says which model it is, without its seeds."""
        trained = self.label, self.task, self.format, self.encoding, self.train_lengths, self.step, self.samples
        # The same weights with another factor, other loops or another wording are another model, whose cells belong to
        # another curve.
        return *trained, self.sharpen, self.loops, self.wording

    @property
    def test(self) -> tuple[object, ...]:
        """The part that one results file shares: cells of different tests do not mix in a file."""
        asked = self.shots, self.wording
        return self.label, self.task, self.format, self.test_seed, self.step, self.sharpen, self.loops, *asked
