"""Training batches: written and placed a block of steps at a time, kept on the device, and sliced.

Samples of a step are a function of the step alone. They may be sorted by length and computed in parts whose gradients
add up to that of the whole: the same update with less padding, and in less memory.
"""

import functools
import itertools
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from arith.config.schema import RunConfig, TrainingConfig
from arith.data.batch import Batch, Resident, TraceTargets, on_device
from arith.data.dataset import DRAWN, Dataset
from arith.encodings.compose import Composed
from arith.tasks import vocabulary
from arith.tasks.lines import Written
from arith.tasks.stream import Draws, Use, scale
from arith.training.distributed import ALONE, World
from arith.training.fixed_set import FixedSet

PAD = vocabulary.token(vocabulary.PAD)
AHEAD = 2**20  # tokens that are written at once, at most: some MiB of tokens and position ids on the device
MULTIPLE = 8  # of tokens that a compiled step reads, so that there are few shapes, and those that hardware likes


@dataclass(frozen=True)
class DrawnLoops:
    """How many loops each step has: a number drawn uniformly, the same for all its samples and in all processes.

    Args:
        fewest, most: the range of the numbers.
        seed: of the training data.

    >>> [DrawnLoops(12, 16, seed=0).at(step) for step in range(6)]
    [16, 12, 15, 13, 12, 13]
    """

    fewest: int
    most: int
    seed: int

    @staticmethod
    def of(config: RunConfig) -> "DrawnLoops | None":
        """Those of a run; None if every step has the same."""
        fewest, most = config.model.loop_range
        return None if fewest == most else DrawnLoops(fewest, most, config.data.seed)

    def at(self, step: int) -> int:
        """How many a step, counted from 0, has."""
        # Of the step alone, so that resumed runs draw the same.
        halves = Draws.at(self.seed, "train", step, 1).halves(Use.STEP_LOOPS)
        return self.fewest + int(scale(halves, self.most - self.fewest + 1)[0, 0])


@dataclass(frozen=True)
class Part:
    """Samples that are computed together, as planned on the host from their lengths alone.

    Args:
        rows: their places among those of a block.
        width: tokens, padding included.
        shortest_prompt, longest_answer: see `arith.data.batch.Batch`.
        tokens: the sum over all samples, without padding.
    """

    rows: slice
    width: int
    shortest_prompt: int
    longest_answer: int
    tokens: int


@dataclass(frozen=True)
class Prepared:
    """This process's share of a block of training steps, in host memory.

    Args:
        samples: as written, or their places in a fixed set that is on the device.
        keys: each sample's random key.
        loops: one loop of each sample to learn, where training is on traces.
        parts: what each step is computed from.
        totals: tokens to predict in each step, in all processes.
        read: tokens of each step in all processes, prompts included and padding not.
    """

    samples: Written | Int[np.ndarray, " n"]
    keys: Int[np.ndarray, " n"]
    loops: TraceTargets | None
    parts: list[list[Part]]
    totals: Float[np.ndarray, " steps"]
    read: Int[np.ndarray, " steps"]


@dataclass(frozen=True)
class Block:
    """A block of steps on the device.

    Args:
        first: its first step.
        whole: all its samples, of which the batches are slices.
        parts: what each step is computed from.
        totals: tokens to predict in each step, in all processes.
        read: tokens of each step in all processes, prompts included and padding not.
    """

    first: int
    whole: Batch
    parts: list[list[Part]]
    totals: Float[Tensor, " steps"]
    read: Int[np.ndarray, " steps"]


class Feed:
    """The batches of a training, from any step on.

    Args:
        data: the training problems.
        encoding: the model's, whose schemes place the tokens.
        config: steps, samples a step, and in how many parts they are computed.
        device: where the batches lie.
        world: the processes of the training; each takes its rows of a step.
        static: round shapes so that few are different, as compiled steps need.
        drawn: the number of loops of each step, where it is drawn.

    >>> from arith.experiment.experiment import Experiment
    >>> from arith.config.schema import RunConfig
    >>> config = RunConfig.of({"training": {"batch": 8, "microbatches": 2}})
    >>> experiment = Experiment.of(config)
    >>> feed = Feed(experiment.training_data(), experiment.encoding(), config.training, torch.device("cpu"))
    >>> [tuple(batch.tokens.shape) for batch in feed.batches(step=0)]
    [(4, 14), (4, 17)]
    """

    def __init__(
        self,
        data: Dataset,
        encoding: Composed,
        config: TrainingConfig,
        device: torch.device,
        world: World = ALONE,
        static: bool = False,
        drawn: DrawnLoops | None = None,
    ) -> None:
        self.drawn = drawn
        self.data, self.encoding, self.config = data, encoding, config
        self.device, self.world, self.static = device, world, static
        self._steps = max(1, min(DRAWN, AHEAD // data.longest) // config.batch)
        self._block: Block | None = None
        # On a GPU a block is written while the one before is trained on; on a CPU that would take the model's cores.
        self._writer = ThreadPoolExecutor(1, "arith-feed") if device.type == "cuda" else None
        self._ahead: tuple[int, Future[Prepared]] | None = None

    @property
    def steps_ahead(self) -> int:
        """Steps in the first block."""
        return min(self._steps, self.config.steps)

    def batches(self, step: int) -> list[Batch]:
        """What a step, counted from 0, is computed from; its loss is the sum of their losses."""
        block = self._block_with(step)
        total = block.totals[step - block.first]
        whole = block.whole if self.drawn is None else replace(block.whole, drawn_loops=self.drawn.at(step))
        return [
            replace(whole.part(part.rows, part.width, part.shortest_prompt, part.longest_answer), total=total)
            for part in block.parts[step - block.first]
        ]

    def tokens(self, step: int) -> tuple[int, int]:
        """The tokens that this process reads in a step: without padding, and with it."""
        block = self._block_with(step)
        parts = block.parts[step - block.first]
        padded = sum((part.rows.stop - part.rows.start) * part.width for part in parts)
        return sum(part.tokens for part in parts), padded

    def read(self, step: int) -> int:
        """The tokens of a step in all processes, prompts included and padding not."""
        block = self._block_with(step)
        return int(block.read[step - block.first])

    def _block_with(self, step: int) -> Block:
        if self._block is None or not 0 <= step - self._block.first < len(self._block.parts):
            # A resumed run begins at any step; only the block that follows the last one may be ready.
            ready = self._ahead[1].result() if self._ahead is not None and self._ahead[0] == step else None
            prepared = ready or self._prepare(step)
            self._block = self._place(step, prepared)
            following = step + len(prepared.parts)
            if self._writer is not None and following < self.config.steps:
                self._ahead = following, self._writer.submit(self._prepare, following)
        return self._block

    def _place(self, first: int, prepared: Prepared) -> Block:
        """Move a block to the device and compute the position ids of all its tokens at once."""
        parts = [part for parts in prepared.parts for part in parts]
        shortest, longest = min(part.shortest_prompt for part in parts), max(part.longest_answer for part in parts)
        if isinstance(prepared.samples, Written):
            samples = Resident.of(prepared.samples, prepared.keys, self.device)
        else:
            assert self._fixed is not None
            places, keys = (on_device(array, self.device) for array in (prepared.samples, prepared.keys))
            # An epoch's samples are the last one's; what encodings draw for them is not.
            samples = self._fixed.samples.rows(places, max(part.width for part in parts))._replace(key=keys)
        whole = self.data.wrap(samples, shortest, longest)
        loops = None if prepared.loops is None else prepared.loops.to(self.device)
        whole = replace(whole, ids=whole.placed_by(self.encoding), loops=loops)
        return Block(first, whole, prepared.parts, on_device(prepared.totals, self.device), prepared.read)

    @functools.cached_property
    def _fixed(self) -> FixedSet | None:
        return FixedSet.of(self.data, self.config.steps * self.config.batch, self.device)

    def _prepare(self, first: int) -> Prepared:
        """Write the block of steps that begins with `first`, and plan its parts.

        Every process writes the whole block and keeps its own rows: writing is cheap, and nothing is exchanged.
        """
        batch = self.config.batch
        # The last block is short. Steps beyond the last one are there too, for who times or tests a feed.
        steps = min(self._steps, self.config.steps - first) if first < self.config.steps else self._steps
        start, count = first * batch, steps * batch
        if self._fixed is None:
            written = self.data.problems.write(self.data.format, start, count)
        else:
            places = self._fixed.places(start, count)
            written = self._fixed.written.rows(places)
        # Each process divides by the total of all, so that gradients add up to the mean over a step's tokens.
        learned = written.lengths - written.begins if written.given is None else written.loss_mask.sum(axis=1)
        totals = learned.reshape(steps, batch).sum(axis=1).astype(np.float32)
        # From here on samples stand in the order in which they are computed: a part is a slice, not a gather.
        rows = [part for step in range(steps) for part in self._rows(step * batch, written.lengths)]
        bounds = itertools.pairwise(np.cumsum([0, *map(len, rows)]).tolist())
        parts = [self._part(part, slice(*ends), written) for part, ends in zip(rows, bounds, strict=True)]
        a_step = len(parts) // steps
        mine = np.concatenate(rows)
        widest = max(part.width for part in parts)
        loops = self.data.loops(written, start)
        return Prepared(
            # Rounded widths may be wider than any sample. A fixed set is as wide as can be already.
            _pad(written.rows(mine), widest) if self._fixed is None else places[mine],
            self.data.problems.keys(start, count)[mine],
            None if loops is None else loops.rows(torch.from_numpy(mine), widest),
            [parts[place : place + a_step] for place in range(0, len(parts), a_step)],
            totals,
            written.lengths.reshape(steps, batch).sum(axis=1),
        )

    def _rows(self, start: int, lengths: Int[np.ndarray, " n"]) -> list[Int[np.ndarray, " b"]]:
        """This process's rows of the step that begins at a row, as they are computed together."""
        begin, count = self.world.rows(start, self.config.batch)
        mine = np.arange(begin, begin + count)
        parts = min(self.config.microbatches, count)
        # One part needs no order, and keeps the rows as an uncut batch has them.
        if parts == 1:
            return [mine]
        return np.array_split(mine[np.argsort(lengths[mine], kind="stable")], parts)

    def _part(self, rows: Int[np.ndarray, " b"], places: slice, written: Written) -> Part:
        """Plan the batch of some rows of a block, which will stand at these places.

        A compiled step is a graph for one shape: rows, tokens read, queries, logits a row. Unrounded, nearly every step
        would have a shape of its own, at seconds of compilation each. So all three numbers of tokens are rounded to
        multiples of 8, each to the side on which it stays a bound: more padding, an earlier first query, more logits.
        """
        width, shortest = int(written.lengths[rows].max()), int(written.begins[rows].min())
        longest = int((written.lengths[rows] - written.begins[rows]).max())
        if self.static:
            # The last token is predicted and not read: of a width of 8 i + 1, 8 i tokens are read, and with a prompt of
            # 8 j + 1 tokens 8 (i - j) of them are queries. No scheme has places beyond the longest sequence.
            width = min(-(-(width - 1) // MULTIPLE) * MULTIPLE + 1, self.data.longest)
            shortest = (shortest - 1) // MULTIPLE * MULTIPLE + 1
            longest = -(-longest // MULTIPLE) * MULTIPLE
        return Part(places, width, shortest, longest, int(written.lengths[rows].sum()))


def _pad(written: Written, width: int) -> Written:
    """Pad to at least so many tokens."""
    more = width - written.tokens.shape[1]
    if more <= 0:
        return written
    tokens = np.pad(written.tokens, ((0, 0), (0, more)), constant_values=PAD)
    given = None if written.given is None else np.pad(written.given, ((0, 0), (0, more)))
    return replace(written, tokens=tokens, given=given)
