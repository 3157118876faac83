"""How long a run would take on GPUs that are not here, and whether it fits, from the FLOPs and bytes counted.

    seconds a step = palm FLOPs of a GPU's rows / (peak * MFU) + 2 (N - 1) / N * gradient bytes / link

The first summand is the arithmetic of one GPU, of whose peak a share is assumed; the second a ring all-reduce of the
float32 gradients among N GPUs, each sending and receiving at the link's rate, with nothing of it hidden behind the
backward pass. It is a plan, not a measurement: `arith bench train` on the device replaces the assumed MFU.
"""

from dataclasses import dataclass

from scaling_study.memory import training_bytes

from arith.config.schema import ModelConfig
from arith.model.cost import palm_flops, seconds
from arith.performance.gpus import GPUS

GRADIENT_BYTES = 4  # per parameter: float32
NODE = 8  # GPUs joined by NVLink
# Bytes a second that a GPU sends while it receives as many: NVLink of an H100, 900 GB/s both ways together (data
# sheet), and a network of 400 Gbit/s for each GPU, as in a DGX H100. 80% of either is assumed to be reached.
NVLINK, NETWORK = 0.8 * 450e9, 0.8 * 50e9
# Share of the peak that public code reaches on H100s. Of models 768 wide 40-41% (llm.c's GPT-2 124M, modded-nanogpt,
# nanochat's d12); of 10M parameters about half: pointwise work, bound by memory, weighs more the narrower a model is.
ASSUMED_MFU = ((768, 0.40), (384, 0.25))


@dataclass(frozen=True)
class Machine:
    """Identical GPUs that share each step."""

    gpus: int = 1
    name: str = "NVIDIA H100 80GB HBM3"

    @property
    def link(self) -> float:
        """Bytes a second of the slowest link in a ring through all GPUs."""
        return NVLINK if self.gpus <= NODE else NETWORK


@dataclass(frozen=True)
class Plan:
    """What a training step would take.

    Args:
        mfu: share of the GPU's peak that is assumed.
        arithmetic_seconds, exchange_seconds: time of one step on each GPU.
        bytes: memory needed on each GPU.
        fits: whether the GPU has that much.
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
    """The share of the peak assumed for a model of this width; None for narrower models than were measured.

    >>> assumed_mfu(768), assumed_mfu(64)
    (0.4, None)
    """
    return next((share for least, share in ASSUMED_MFU if width >= least), None)


def plan(model: ModelConfig, parameters: int, rows: int, tokens: int, machine: Machine, mfu: float) -> Plan:
    """Plan a step in bfloat16 whose samples the GPUs share.

    Args:
        rows: samples of the whole step. The fullest GPU, which takes ceil(rows / gpus), sets the pace.
        tokens: input tokens of each sample.
        mfu: share of the peak that is reached, such as `assumed_mfu(model.width)`.

    >>> config = ModelConfig(layers=12, width=768, heads=12, hidden=3072, activation="gelu")
    >>> round(plan(config, 85_000_000, 1024, 63, Machine(), mfu=0.4).step_seconds, 3)
    0.084
    """
    gpu = GPUS[machine.name]
    share = -(-rows // machine.gpus)
    arithmetic = seconds(share * tokens * palm_flops(model, parameters, tokens), gpu.flops * mfu)
    # Reduce-scatter, then all-gather: in each, a GPU sends (N - 1) / N of the bytes.
    ring = 2 * (machine.gpus - 1) / machine.gpus
    needed = training_bytes(model, "bfloat16", parameters, share, tokens)
    exchange = ring * GRADIENT_BYTES * parameters / machine.link
    return Plan(mfu, arithmetic, exchange, needed, needed <= gpu.memory)
