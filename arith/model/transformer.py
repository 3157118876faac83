"""A transformer, decoder-only unless attention is full. How positions are encoded is not its business."""

import math
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional

from arith.config.schema import ModelConfig, Sharpen
from arith.data.batch import Batch
from arith.encodings.base import Positions
from arith.encodings.compose import Composed, Ids
from arith.encodings.positions import Prompt
from arith.model.block import Attention, Block, LayerContext, select
from arith.model.cache import Cache
from arith.model.embedding import CircleEmbedding, Tokens
from arith.model.lookup import LookupBlock, sum_loops
from arith.model.loss import count_learned_tokens, inputs_of, sum_nats
from arith.model.norm import RMSNorm
from arith.model.ties import TokenHead, share_norms
from arith.tasks import vocabulary


class Transformer(nn.Module):
    """Tokens and position ids in, logits out.

    The layers are run through in one of five ways. Here e are the embeddings, f_t the layers in the loops with the ids
    of loop t, and g the layers after the loops; T is `loops` in tests, and in training what `config.loops` says:

        loops = 1                  e -> f_0 -> logits
        loops = T                  e -> f_0 -> f_1 -> ... -> logits            a loop takes up the last one's state
        loop_input = both          e -> f_0 -> norm, + e -> f_1 -> norm, + e -> ...    and the embeddings again (recall)
        looped < layers            e -> f_0 -> f_1 -> ... -> g -> logits       the other layers follow once
        loop_input = embeddings    e -+-> f_0 -+
                                      +-> f_1 -+-> e + sum_t (f_t(e) - e) -> g -> logits
                                      +-> ... -+                               loops do not see one another

    With an encoding that looks up, the first layer does not attend; see `arith.model.lookup`, also for the sum of
    loops.

    Args:
        config: the model's shape.
        vocabulary: number of tokens.
        encoding: how positions are encoded.

    >>> import torch
    >>> from arith.catalogue.build import encoding
    >>> model = Transformer(ModelConfig(), 17, encoding("nope", width=64, heads=4, layers=1))
    >>> model(torch.tensor([[1, 10, 2]]), (torch.tensor([[[1, 2, 3]]]),)).shape
    torch.Size([1, 3, 17])
    """

    answers_at_once = False  # whether whole answers come from one pass, over tokens that do not show them
    eager_because: str | None = None  # why the loss of this kind of model is never compiled; None: it can be

    def __init__(self, config: ModelConfig, vocabulary: int, encoding: Composed) -> None:
        super().__init__()
        self.config = config
        self.loops = config.most_loops  # in tests and answers, of which their settings decide
        if config.sums_one_layer and encoding.lanes:
            self.eager_because = "the sets of tokens that meet differ from batch to batch"
        self.embedding: Tokens
        if config.embedding == "circle":
            self.embedding = CircleEmbedding(vocabulary, config.width, config.embedding_std)
        else:
            self.embedding = nn.Embedding(vocabulary, config.width)
        self.encoding = encoding
        first = LookupBlock(config, encoding.lanes) if encoding.lanes else Block(config)
        self.blocks = nn.ModuleList([first, *(Block(config) for _ in range(1, config.layers))])
        self.norm = RMSNorm(config.width)
        self.head: nn.Module
        if "head" in config.tie:
            self.head = TokenHead(self.embedding)
        else:
            self.head = nn.Linear(config.width, vocabulary, bias=False)
        self._initialise()
        if "norms" in config.tie:
            share_norms(self.blocks, self.norm)

    def _initialise(self) -> None:
        if isinstance(self.embedding, nn.Embedding):
            nn.init.normal_(self.embedding.weight, std=self.config.embedding_std)
        # 1 / sqrt(inputs): a map of inputs with variance 1 has outputs with variance 1.
        for module in self.blocks.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=1 / math.sqrt(module.in_features))
        if not self.config.norm_after:
            # Without a norm after them, what the blocks add must not grow with depth (GPT-2).
            for block in self.blocks:
                if isinstance(block, Block):
                    # The transposed map of queries stays as it is: queries need their size.
                    for last in filter(None, (block.attention.out, block.mlp.down)):
                        last.weight.data /= math.sqrt(2 * self.config.depth)
        # Small, so that training begins from nearly uniform predictions: the loss starts at log(vocabulary).
        if isinstance(self.head, nn.Linear):
            nn.init.normal_(self.head.weight, std=0.02)

    def forward(
        self,
        tokens: Int[Tensor, "b n"],
        ids: Ids,
        *,
        queries: int | None = None,
        picked: Int[Tensor, "b a"] | None = None,
        cache: Cache | None = None,
        loops: int | None = None,
    ) -> Float[Tensor, "b a v"]:
        """Logits of the last `queries` tokens, or of those of them that are picked.

        Args:
            tokens: new tokens; those before them are in the cache, if there is one.
            ids: the new tokens' position ids, as each scheme of the encoding gives them, or all of them moved.
            queries: the number of last tokens that attend in the last layer; None: all. Nothing is computed there for
                the others.
            picked: places among the queries that get logits, for each sample; None: all.
            cache: keys and values of earlier tokens while decoding, extended in place.
            loops: how many loops there are; None: as many as in tests.
        """
        valid = self.visible(tokens)
        if cache is not None and valid is not None:
            raise ValueError("with model.attention=full a token sees those after it: what is cached would change")
        new = self.encoding.place(ids)
        everything = new if cache is None else cache.place(new)
        found = self.read(tokens)
        x = embedded = self.encoding.embed(found, new)
        loops, summed = self.loops if loops is None else loops, self.config.loop_input == "embeddings"
        looped, after = range(self.config.in_loops), range(self.config.in_loops, self.config.layers)
        # What summed loops add to a token depends on the tokens that meet there alone, if positions decide which do and
        # nothing else tells one place from another.
        by_meeting = (
            cache is None
            and self.config.sums_one_layer
            and self.encoding.lanes > 0
            and embedded is found
            and self.encoding.at(0).hidden(embedded, new) is embedded
        )
        if by_meeting:
            wanted = self._above_prompt(tokens.shape[1], queries) if self.config.prompt_layers == 1 else tokens.shape[1]
            first = self.blocks[0]
            assert isinstance(first, LookupBlock)
            x = select(x, wanted, None) + sum_loops(first, self.embedding, self.encoding, tokens, new, loops, wanted)
        for loop in range(0 if by_meeting else loops):
            own, all_own = self.encoding.slide(new, loop), self.encoding.slide(everything, loop)
            if summed:
                x = x + (self.stack(embedded, loop, None, None, own, all_own, cache, looped, valid) - embedded)
            else:
                # Only the very last run through the last layer may leave tokens out: all other output is read again.
                asks = (queries, picked) if loop == loops - 1 and not after else (None, None)
                if loop and self.config.loop_input == "both":
                    # Normalised, so that all loops get a state of one size. Without it the state grows, what a loop
                    # adds weighs less and less, and no chain is followed far beyond those of training: docs/labbook.md.
                    x = functional.rms_norm(x, x.shape[-1:]) + embedded
                x = self.stack(x, loop, *asks, own, all_own, cache, looped, valid)
        # The layers after the loops have the ids of a loop of their own, the one after the last.
        if after:
            own, all_own = self.encoding.slide(new, loops), self.encoding.slide(everything, loops)
            x = self.stack(x, loops, queries, picked, own, all_own, cache, after, valid)
        elif summed and queries is not None:
            x = select(x, queries, picked)
        logits: Tensor = self.head(self.norm(x))
        return logits

    def stack(
        self,
        x: Float[Tensor, "b n w"],
        loop: int,
        queries: int | None,
        picked: Int[Tensor, "b a"] | None,
        new: tuple[Positions, ...],
        everything: tuple[Positions, ...],
        cache: Cache | None,
        some: range | None = None,
        valid: Bool[Tensor, "b n"] | None = None,
    ) -> Float[Tensor, "b a w"]:
        """Run through all layers once, or through some of them; for the arguments see `forward` and `LayerContext`."""
        layers = self.config.layers
        for layer in range(layers) if some is None else some:
            block = self.blocks[layer]
            if self.config.prompt_layers is not None and layer >= self.config.prompt_layers:
                x = select(x, self._above_prompt(x.shape[1], queries), None)
                new = tuple(positions.last(x.shape[1], x.shape[1]) for positions in new)
            # The same layer in another loop has keys and values of its own in the cache.
            last, place, encoding = layer == layers - 1, loop * layers + layer, self.encoding.at(layer, loop)
            asking = queries if last and queries is not None else x.shape[1]
            chosen = picked if last else None
            x = block(x, LayerContext(place, encoding, asking, chosen, new, everything, cache, valid))
        return x

    def read(self, tokens: Int[Tensor, "b n"]) -> Float[Tensor, "b n w"]:
        """The tokens' embeddings."""
        found: Tensor = self.embedding(tokens)
        return found

    def visible(self, tokens: Int[Tensor, "b n"]) -> Bool[Tensor, "b n"] | None:
        """Which tokens may be attended to where attention is full; None where it is causal.

        All but padding, which no earlier token sees, and end marks, which are not there yet when a model answers.
        """
        if self.config.attention == "causal":
            return None
        return (tokens != vocabulary.token(vocabulary.PAD)) & (tokens != vocabulary.token(vocabulary.END))

    def _above_prompt(self, tokens: int, queries: int | None) -> int:
        """How many of the last tokens take part above `prompt_layers`: those that predict the answer."""
        if queries is None and tokens > 1:  # a single one is the answer's last, while decoding
            raise ValueError("with model.prompt_layers `queries` says which tokens predict the answer: got None")
        return tokens if queries is None else queries

    def loss(self, batch: Batch) -> Float[Tensor, ""]:
        """Cross entropy of the learned tokens: their sum over the batch, divided by their number in the whole step."""
        # By the whole step's, so that losses and gradients of its batches and processes just add up.
        tokens, ids = inputs_of(batch, self.encoding)
        loops = self.config.most_loops if batch.drawn_loops is None else batch.drawn_loops
        logits = self(tokens, ids, queries=batch.queries, picked=batch.picked, loops=loops)
        return sum_nats(logits, batch) / count_learned_tokens(batch)

    def answer_logits(self, prompt: Prompt, key: Int[Tensor, " b"], capacity: int) -> Float[Tensor, "b new v"] | None:
        """The logits of whole answers, for a kind of model that gives them at once; None: it decodes token by token."""
        return None

    @torch.no_grad()
    def answer(self, prompt: Prompt, key: Int[Tensor, " b"], new_tokens: int, capacity: int) -> Int[Tensor, "b new"]:
        """Greedy answers to prompts of equal length; after a row's end mark there is padding.

        Args:
            prompt: every row as long as the token matrix.
            key: the random key of each sample, as in training.
            new_tokens: tokens after which decoding stops, end mark or not.
            capacity: tokens of the longest sequence that samples like these can be.
        """
        if not bool((prompt.length == prompt.tokens.shape[1]).all()):
            raise ValueError("greedy decoding takes prompts of equal length; decode each length by itself")
        end, pad = vocabulary.token(vocabulary.END), vocabulary.token(vocabulary.PAD)
        # The prompt in one pass, of which only the last token's logits are needed: they give the answer's first token.
        cache = Cache()
        ids, states = self.encoding.start(prompt, key, capacity)
        logits = self(prompt.tokens, ids, queries=1, cache=cache)
        ended = torch.zeros_like(prompt.length, dtype=torch.bool)
        written: list[Tensor] = []
        while True:
            token = logits[:, -1].argmax(-1).masked_fill(ended, pad)
            written.append(token)
            ended |= token == end
            if len(written) == new_tokens or bool(ended.all()):
                return torch.stack(written, dim=1)
            ids, states = self.encoding.step(token, states)
            beyond = self.encoding.beyond(ids)
            if beyond is not None:
                # A number that outgrows the ids is no answer: the row ends, and its ids become "no position".
                ended = ended | beyond[:, 0]
                ids = tuple(scheme_ids.masked_fill(beyond, 0) for scheme_ids in ids)
            logits = self(token[:, None], ids, cache=cache)

    def passes_of_answer(self, prompt: Prompt, new_tokens: int) -> int:
        """About how often a block runs until `answer` has ended: the unit of its progress."""
        return new_tokens * replace(self.config, loops=self.loops).depth

    @contextmanager
    def sharpened(self, sharpen: Sharpen | None) -> Iterator[None]:
        """Within, all attention has this factor on its scores in place of the model's own; None: its own."""
        layers = [module for module in self.modules() if isinstance(module, Attention)]
        own = [layer.sharpen for layer in layers]
        for layer in layers:
            layer.sharpen = layer.sharpen if sharpen is None else sharpen
        try:
            yield
        finally:
            for layer, before in zip(layers, own, strict=True):
                layer.sharpen = before

    @property
    def structure_aware(self) -> bool:
        """Whether it is told which digits belong together."""
        return self.encoding.structure_aware

    @property
    def sharpens_by_length(self) -> bool:
        """Whether scores have a factor that depends on how many tokens there are."""
        return any(isinstance(m, Attention) and isinstance(m.sharpen, str) for m in self.modules())

    def parameters_by_part(self) -> dict[str, list[nn.Parameter]]:
        """All parameters by part: `embedding`, `blocks.0` and so on, `head`.

        The embedding is tokens and the whole encoding, learned positions included. The head has the norm before it.
        """
        found: dict[str, list[nn.Parameter]] = {}
        for name, parameter in self.named_parameters():
            found.setdefault(self._part_of(name), []).append(parameter)
        return found

    def _part_of(self, name: str) -> str:
        first, _, rest = name.partition(".")
        if first == "blocks":
            return f"blocks.{rest.partition('.')[0]}"
        # What kinds of model add to the input is part of the embedding; `Summing` adds to the output.
        return "head" if first in ("norm", "head", "sum_norm", "sum_head") else "embedding"

    def freeze(self, parts: Collection[str]) -> None:
        """Leave parts out of training: any of `embedding`, `blocks`, `head`."""
        for part, parameters in self.parameters_by_part().items():
            if part.partition(".")[0] in parts:
                for parameter in parameters:
                    parameter.requires_grad_(False)

    def parameter_count(self) -> int:
        """The number of parameters, frozen ones included; a tensor that layers share counts once."""
        return sum(parameter.numel() for parameter in self.parameters())
