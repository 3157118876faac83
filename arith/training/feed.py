"""Training batches: written and placed many steps ahead, kept on the device, and taken by slices.

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

from arith.config.schema import TrainingConfig
from arith.data.batch import Batch, Resident, TraceTargets, on_device
from arith.data.dataset import DRAWN, Dataset
from arith.encodings.compose import Composed, Ids
from arith.tasks import vocabulary
from arith.tasks.lines import Written
from arith.training.distributed import ALONE, World
from arith.training.fixed_set import FixedSet

PAD = vocabulary.token(vocabulary.PAD)
AHEAD = 2**20  # tokens that are written at once, at most
MULTIPLE = 8  # of tokens that a compiled step reads, so that there are few shapes, and those that hardware likes


@dataclass(frozen=True)
class Part:
    """Samples that are computed together, among those of a block.

    Args:
        start, stop: their places.
        width: tokens, padding included.
        shortest_prompt: tokens before the first that a model is asked for, in any row, or fewer.
        longest_answer: tokens from the first to the last that a model is asked for, in any row, or more.
        tokens: of all samples, without padding.
    """

    start: int
    stop: int
    width: int
    shortest_prompt: int
    longest_answer: int
    tokens: int


@dataclass(frozen=True)
class Prepared:
    """What this process takes of some steps, still on the host.

    Args:
        samples: as written, or their places in a fixed set that is on the device.
        loops: of each sample one to learn, where training is on traces.
        parts: of each step.
        totals: tokens asked for in each step, in all processes.
    """

    samples: Written | Int[np.ndarray, " n"]
    keys: Int[np.ndarray, " n"]
    loops: TraceTargets | None
    parts: list[list[Part]]
    totals: Float[np.ndarray, " steps"]


@dataclass(frozen=True)
class Block:
    """The same on the device.

    Args:
        first: of the steps.
        ids: for each scheme of the encoding.
        loops: of each sample one to learn, where training is on traces.
    """

    first: int
    samples: Resident
    ids: Ids
    loops: TraceTargets | None
    parts: list[list[Part]]
    totals: Float[Tensor, " steps"]


class Feed:
    """The batches of a training, from any step on.

    Args:
        encoding: whose schemes place the tokens.
        config: steps, samples a step, and in how many parts they are computed.
        world: each of several processes takes its rows of a step.
        static: pad to few different widths, for compiled steps.

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
    ) -> None:
        self.data, self.encoding, self.config = data, encoding, config
        self.device, self.world, self.static = device, world, static
        self._steps = max(1, min(DRAWN, AHEAD // data.longest) // config.batch)
        self._block: Block | None = None
        # On a GPU a block is written while the one before is trained on; on a CPU that would take the model's cores.
        self._writer = ThreadPoolExecutor(1, "arith-feed") if device.type == "cuda" else None
        self._ahead: tuple[int, Future[Prepared]] | None = None

    @property
    def steps_ahead(self) -> int:
        """Steps whose samples are written at once, in the beginning."""
        return min(self._steps, self.config.steps)

    def batches(self, step: int) -> list[Batch]:
        """What a step, counted from 0, is computed from; its loss is the sum of their losses."""
        block = self._at(step)
        total = block.totals[step - block.first]
        return [self._batch(block, part, total) for part in block.parts[step - block.first]]

    def tokens(self, step: int) -> tuple[int, int]:
        """That this process reads in a step: without padding, and with it."""
        block = self._at(step)
        parts = block.parts[step - block.first]
        return sum(part.tokens for part in parts), sum((part.stop - part.start) * part.width for part in parts)

    def _at(self, step: int) -> Block:
        if self._block is None or not 0 <= step - self._block.first < len(self._block.parts):
            ready = self._ahead[1].result() if self._ahead is not None and self._ahead[0] == step else None
            prepared = ready or self._prepared(step)
            samples = self._on_device(prepared)
            totals = on_device(prepared.totals, self.device)
            every = [part for parts in prepared.parts for part in parts]
            shortest, most = min(part.shortest_prompt for part in every), max(part.longest_answer for part in every)
            whole = self.data.placed(samples, shortest, most)
            ids = self.encoding.full(whole.prompt, whole.tokens, whole.key, whole.capacity)
            loops = None if prepared.loops is None else prepared.loops.to(self.device)
            self._block = Block(step, samples, ids, loops, prepared.parts, totals)
            following = step + len(prepared.parts)
            if self._writer is not None and following < self.config.steps:
                self._ahead = following, self._writer.submit(self._prepared, following)
        return self._block

    def _batch(self, block: Block, part: Part, total: Float[Tensor, ""]) -> Batch:
        rows = slice(part.start, part.stop)
        samples = self.data.placed(block.samples.rows(rows, part.width), part.shortest_prompt, part.longest_answer)
        # Ids that all samples share have one row.
        ids = tuple(own[:, rows if own.shape[1] > 1 else slice(None), : part.width] for own in block.ids)
        loops = None if block.loops is None else block.loops.rows(rows, part.width)
        return replace(samples, ids=ids, total=total, loops=loops)

    def _on_device(self, prepared: Prepared) -> Resident:
        if isinstance(prepared.samples, Written):
            return Resident.of(prepared.samples, prepared.keys, self.device)
        assert self._fixed is not None
        widest = max(part.width for parts in prepared.parts for part in parts)
        places, keys = (on_device(own, self.device) for own in (prepared.samples, prepared.keys))
        return self._fixed.samples.rows(places, widest)._replace(key=keys)

    @functools.cached_property
    def _fixed(self) -> FixedSet | None:
        return FixedSet.of(self.data, self.config.steps * self.config.batch, self.device)

    def _prepared(self, first: int) -> Prepared:
        batch = self.config.batch
        steps = min(self._steps, self.config.steps - first) if first < self.config.steps else self._steps
        start, count = first * batch, steps * batch
        if self._fixed is None:
            written = self.data.problems.written(self.data.format, start, count)
        else:
            places = self._fixed.places(start, count)
            written = self._fixed.written.rows(places)
        asked = written.lengths - written.begins
        if written.given is not None:
            asked = written.loss_mask.sum(axis=1)
        rows = [own for step in range(steps) for own in self._rows(step * batch, written.lengths)]
        bounds = itertools.pairwise(np.cumsum([0, *map(len, rows)]).tolist())
        flat = [self._part(own, bound, written) for own, bound in zip(rows, bounds, strict=True)]
        each = len(flat) // steps
        mine = np.concatenate(rows)
        keys = self.data.problems.keys(start, count)[mine]
        widest = max(part.width for part in flat)
        loops = self.data.loops(written, start)
        return Prepared(
            _as_wide(written.rows(mine), widest) if self._fixed is None else places[mine],
            keys,
            None if loops is None else loops.rows(torch.from_numpy(mine), widest),
            [flat[place : place + each] for place in range(0, len(flat), each)],
            asked.reshape(steps, batch).sum(axis=1).astype(np.float32),
        )

    def _rows(self, start: int, lengths: Int[np.ndarray, " n"]) -> list[Int[np.ndarray, " b"]]:
        """This process's rows of the step that begins at a row, as they are computed together."""
        begin, count = self.world.rows(start, self.config.batch)
        mine = np.arange(begin, begin + count)
        parts = min(self.config.microbatches, count)
        if parts == 1:
            return [mine]
        return np.array_split(mine[np.argsort(lengths[mine], kind="stable")], parts)

    def _part(self, rows: Int[np.ndarray, " b"], bounds: tuple[int, int], written: Written) -> Part:
        width, shortest = int(written.lengths[rows].max()), int(written.begins[rows].min())
        most = int((written.lengths[rows] - written.begins[rows]).max())
        if self.static:  # the last token is not read, only asked for
            width = min(-(-(width - 1) // MULTIPLE) * MULTIPLE + 1, self.data.longest)
            shortest = (shortest - 1) // MULTIPLE * MULTIPLE + 1
            most = -(-most // MULTIPLE) * MULTIPLE
        return Part(*bounds, width, shortest, most, int(written.lengths[rows].sum()))


def _as_wide(written: Written, width: int) -> Written:
    """Padded to at least so many tokens."""
    more = width - written.tokens.shape[1]
    if more <= 0:
        return written
    tokens = np.pad(written.tokens, ((0, 0), (0, more)), constant_values=PAD)
    given = None if written.given is None else np.pad(written.given, ((0, 0), (0, more)))
    return replace(written, tokens=tokens, given=given)
