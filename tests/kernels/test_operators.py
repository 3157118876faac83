"""Arguments in every type and layout that torch makes."""

from typing import Any

import pytest
import torch

from arith.kernels.attention import attention
from arith.kernels.folding import Folded
from arith.kernels.operators import numbered, per_sample
from arith.kernels.terms import DistanceTable, Ids, Window

B, N = 3, 20
GENERATOR = torch.Generator().manual_seed(0)
DOCUMENTS = torch.randint(0, 2, (1, N), generator=GENERATOR).sort(1)[0].expand(B, -1)  # one row for all, expanded
IDS = torch.randint(0, 9, (1, N), generator=GENERATOR).expand(B, -1)
VALID = (torch.rand(1, N, generator=GENERATOR) > 0.3).expand(B, -1)
TYPES = (torch.int64, torch.int32, torch.int16, torch.uint8, torch.bool)


def layouts(x: torch.Tensor) -> dict[str, torch.Tensor]:
    """The same numbers in memory in other ways; those of x are alike in all rows."""
    wide = torch.full((B, 2 * N + 3), 7, dtype=torch.int64).to(x.dtype)
    wide[:, 2 : N + 2] = x
    stepped = torch.full((B, 2 * N), 7, dtype=torch.int64).to(x.dtype)
    stepped[:, ::2] = x
    return {
        "expanded": x,
        "one row": x[:1],
        "contiguous": x.contiguous(),
        "sliced": wide[:, 2 : N + 2],
        "stepped": stepped[:, ::2],
        "transposed": x.T.contiguous().T,
    }


VARIANTS = [(dtype, layout) for dtype in TYPES for layout in layouts(IDS) if dtype == torch.int64 or layout == "sliced"]
VARIANTS += [(torch.int32, layout) for layout in layouts(IDS)]


@pytest.mark.parametrize(("dtype", "layout"), VARIANTS, ids=str)
def test_rows_are_what_kernels_are_compiled_for_however_they_came(dtype: torch.dtype, layout: str) -> None:
    """Of documents of 64 bits too, which once stayed as they were and took more shared memory than there is."""
    ids = Ids(*(layouts(IDS.to(torch.int32 if dtype == torch.int32 else torch.int64))[layout] for _ in "qk"))
    given = Folded(ids=ids, window=Window(1, 1, ids))
    documents = layouts(DOCUMENTS.to(dtype))[layout]
    rows = per_sample(given, layouts(VALID.to(dtype))[layout], documents, B)
    assert len(rows) == 6
    for row, meant in zip(rows, (*[IDS] * 4, VALID, None), strict=True):
        assert row is not None
        assert row.dtype == torch.int32
        assert row.is_contiguous()
        assert row.shape == (B, N)
        assert meant is None or torch.equal(row, meant.int())
    assert rows[5] is not None
    assert torch.equal(rows[5][:, None] == rows[5][..., None], DOCUMENTS[:, None] == DOCUMENTS[..., None])


@pytest.mark.parametrize(("dtype", "layout"), VARIANTS, ids=str)
def test_results_are_the_same_however_masks_came(dtype: torch.dtype, layout: str) -> None:
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(B, 1, N, 16, generator=generator) for _ in range(3))
    table = torch.randn(1, 6, generator=generator)

    def run(ids: torch.Tensor, backend: Any, **masks: torch.Tensor) -> torch.Tensor:
        terms = (DistanceTable(table, Ids(ids, ids)), Window(5, 5, Ids(ids, ids)))
        return attention(q, k, v, terms=terms, backend=backend, **masks)

    truth = run(IDS, "reference", valid=VALID, documents=DOCUMENTS)
    ids = layouts(IDS.to(torch.int32 if dtype == torch.int32 else torch.int64))[layout]
    masks = {name: layouts(x.to(dtype))[layout] for name, x in (("valid", VALID), ("documents", DOCUMENTS))}
    for backend in ("reference", "triton"):
        torch.testing.assert_close(run(ids, backend, **masks), truth)


def test_numbers_of_documents_keep_their_order_and_differ_as_they_did() -> None:
    generator = torch.Generator().manual_seed(0)
    many = torch.randint(-(2**62), 2**62, (4, 9), generator=generator)
    hashes = torch.cat([many, many[:, :4], many + 2**32], dim=1)
    found = numbered(hashes)
    assert found.dtype == torch.int32
    assert torch.equal(found[:, None] < found[..., None], hashes[:, None] < hashes[..., None])
    assert torch.equal(numbered(torch.tensor([[True, False]])), torch.tensor([[1, 0]], dtype=torch.int32))


def test_documents_of_64_bits_are_numbered_inside_a_graph() -> None:
    def run(x: torch.Tensor, documents: torch.Tensor) -> torch.Tensor:
        return attention(x, x, x, documents=documents, backend="triton")

    x, documents = torch.randn(B, 1, N, 16), DOCUMENTS * 2**33
    compiled = torch.compile(run, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(x, documents), run(x, DOCUMENTS))


@pytest.mark.parametrize("backend", ["triton", "reference"])
def test_scales_are_numbers_of_any_kind(backend: Any) -> None:
    q = torch.randn(1, 1, N, 16, generator=torch.Generator().manual_seed(0))
    truth = attention(q, q, q, scale=1.0, backend="reference")
    for scale in (1, torch.tensor(1), torch.ones(1)[0].numpy()[()]):
        torch.testing.assert_close(attention(q, q, q, scale=scale, backend=backend), truth)  # type: ignore[arg-type]


def test_tables_may_be_wider_or_narrower_than_queries() -> None:
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(B, 1, N, 16, generator=generator)
    ids = Ids(IDS, IDS)
    for dtype in (torch.bfloat16, torch.float64):
        tables = [torch.randn(1, 8, generator=generator).to(dtype).requires_grad_() for _ in range(2)]
        found = []
        for backend in ("triton", "reference"):
            out = attention(q, q, q, terms=(DistanceTable(tables[0]), DistanceTable(tables[1], ids)), backend=backend)
            found.append((out, *torch.autograd.grad(out.square().sum(), tables)))
        assert found[0][0].dtype == torch.float32
        for ours, theirs in zip(*found, strict=True):
            assert ours.dtype == theirs.dtype
            torch.testing.assert_close(ours, theirs.to(ours.dtype), rtol=0.02, atol=0.02)
