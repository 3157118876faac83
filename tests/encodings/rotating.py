"""Heads and ids to rotate, and scores by the formula."""

import cmath
from typing import Any

import torch
from torch import Tensor
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from arith.encodings.base import Positions
from arith.encodings.rope import RoPE
from arith.encodings.rope_scaled import NTK, Interpolated, Llama3, LongRoPE, YaRN

SCALED = [
    Interpolated(8, highest=90, trained=30),
    NTK(8, highest=90, trained=30),
    NTK(8, highest=90, trained=30, alpha=2.0),
    YaRN(8, highest=90, trained=30),
    Llama3(8, highest=90, trained=30),
    LongRoPE(8, highest=90, trained=30, factors=[1.0, 1.5, 2.0, 4.0]),
]


def random_ids(highest: int, levels: int = 1, tokens: int = 9) -> Tensor:
    """Any order, one id twice, one of them 0."""
    ids = torch.randint(1, highest + 1, (levels, 3, tokens), generator=torch.Generator().manual_seed(0))
    ids[:, :, 4], ids[:, :, 5] = ids[:, :, 2], 0
    return ids


def random_heads(width: int, tokens: int = 9, seed: int = 0) -> Tensor:
    return torch.randn(3, 2, tokens, width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def scores(encoding: RoPE, q: Tensor, k: Tensor, ids: Tensor) -> Tensor:
    q, k = encoding.rotate(q, k, Positions(ids, ids))
    return q @ k.mT


def double(encoding: RoPE) -> RoPE:
    """The same, computed in float64."""
    copied = RoPE.__new__(type(encoding))
    copied.__dict__ = {**encoding.__dict__, "_buffers": dict(encoding._buffers)}
    return copied.double()


def plain_rope(width: int, base: float = 10000.0) -> list[float]:
    return [base ** (-2 * place / width) for place in range(width // 2)]


def complex_scores(
    frequencies: list[float], q: Tensor, k: Tensor, ids: Tensor, decay: list[float] | None = None
) -> Tensor:
    """Scores as sums over pairs of dimensions of Re(q conj(k) e^(i f (m - n))) decay^(m - n); the rest unrotated."""
    pairs = len(frequencies)
    out = (q[..., 2 * pairs :] @ k[..., 2 * pairs :].mT).tolist()
    for b in range(q.shape[0]):
        for h in range(q.shape[1]):
            for m in range(q.shape[2]):
                for n in range(k.shape[2]):
                    back = int(ids[b, m] - ids[b, n])
                    for i, frequency in enumerate(frequencies):
                        asking = complex(q[b, h, m, i], q[b, h, m, i + pairs])
                        answering = complex(k[b, h, n, i], k[b, h, n, i + pairs])
                        turned = asking * answering.conjugate() * cmath.exp(1j * frequency * back)
                        out[b][h][m][n] += turned.real * (decay[i] ** back if decay else 1)
    return torch.tensor(out, dtype=torch.float64)


def close(found: Tensor, expected: Tensor) -> None:
    """To a millionth of the largest."""
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6 * float(expected.abs().max()))


def hugging_face(kind: str, width: int, trained: int, highest: int, **settings: Any) -> tuple[Tensor, float]:
    """Frequencies and factor on queries and keys; in float32."""
    config = LlamaConfig(hidden_size=4 * width, num_attention_heads=4, head_dim=width, max_position_embeddings=highest)
    config.rope_parameters = {
        "rope_type": kind,
        "rope_theta": 10000.0,
        "original_max_position_embeddings": trained,
        "factor": highest / trained,
        **settings,
    }
    if kind == "dynamic":
        config.max_position_embeddings = trained
    return ROPE_INIT_FUNCTIONS[kind](config, torch.device("cpu"), seq_len=highest)
