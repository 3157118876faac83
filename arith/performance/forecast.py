"""How long a run would take on GPUs that are not here, and whether it fits, from the FLOPs and bytes counted.

    seconds a step = palm FLOPs of a GPU's rows / (peak * MFU) + 2 (N - 1) / N * gradient bytes / link

The first summand is the arithmetic of one GPU, of whose peak a share is assumed; the second a ring all-reduce of the
float32 gradients among N GPUs, each sending and receiving at the link's rate, with nothing of it hidden behind the
backward pass. It is a plan, not a measurement: `arith bench train` on the device replaces the assumed MFU.
"""

from dataclasses import dataclass

from arith.config.schema import ModelConfig
from arith.model.cost import palm_flops, training_bytes
from arith.performance.gpus import GPUS

GRADIENT_BYTES = 4  # a parameter
NODE = 8  # GPUs that NVLink joins
# Bytes a second that a GPU sends while it receives as many. NVLink of an H100: 900 GB/s both ways (data sheet), and of
# a network of 400 Gbit/s for each GPU, as DGX H100 has it; 80% of either is taken to be reached.
NVLINK, NETWORK = 0.8 * 450e9, 0.8 * 50e9
# Share of the peak that public code reaches on H100s. Of models 768 wide 40-41% (llm.c's GPT-2 124M, modded-nanogpt,
# nanochat's d12); of 10M parameters about half: pointwise work, bound by memory, weighs more the narrower a model is.
ASSUMED_MFU = ((768, 0.40), (384, 0.25))


@dataclass(frozen=True)
class Machine:
    """So many GPUs of one kind."""

    gpus: int = 1
    name: str = "NVIDIA H100 80GB HBM3"

    @property
    def link(self) -> float:
        """Bytes a second of the slowest link of a ring through all."""
        return NVLINK if self.gpus <= NODE else NETWORK


@dataclass(frozen=True)
class Plan:
    """What a training step would take.

    Args:
        arithmetic_seconds, exchange_seconds: a step, on each GPU.
        bytes: of each GPU's memory.
        fits: whether it has so much.
    """

    mfu: float
    arithmetic_seconds: float
    exchange_seconds: float
    bytes: int
    fits: bool

    @property
    def step_seconds(self) -> float:
        return self.arithmetic_seconds + self.exchange_seconds


def assumed_mfu(width: int) -> float | None:
    """By the model's width; None: nothing is known of so narrow a model.

    >>> assumed_mfu(768), assumed_mfu(64)
    (0.4, None)
    """
    return next((share for least, share in ASSUMED_MFU if width >= least), None)


def plan(model: ModelConfig, parameters: int, rows: int, tokens: int, machine: Machine, mfu: float) -> Plan:
    """Of a step in bfloat16 that the GPUs share row by row.

    Args:
        rows: samples of the whole step; what does not go up in the GPUs evenly, one of them takes more of.
        tokens: that go in, of each sample.
        mfu: the share of the peak that is reached, such as `assumed_mfu(model.width)`.

    >>> config = ModelConfig(layers=12, width=768, heads=12, hidden=3072, activation="gelu")
    >>> round(plan(config, 85_000_000, 1024, 63, Machine(), mfu=0.4).step_seconds, 3)
    0.084
    """
    gpu = GPUS[machine.name]
    own = -(-rows // machine.gpus)
    arithmetic = own * tokens * palm_flops(model, parameters, tokens) / (gpu.flops * mfu)
    ring = 2 * (machine.gpus - 1) / machine.gpus
    needed = training_bytes(model, "bfloat16", parameters, own, tokens)
    exchange = ring * GRADIENT_BYTES * parameters / machine.link
    return Plan(mfu, arithmetic, exchange, needed, needed <= gpu.memory)
