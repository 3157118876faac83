"""What an encoding does, found by trying it."""

import torch

from arith.catalogue.examples import SHOWN, TRAINED
from arith.gallery.effects import HEADS, WIDTH, demonstrate, demonstrate_scheme

DISTANCE = torch.arange(SHOWN, dtype=torch.float64)


def test_probes_find_the_formulas() -> None:
    (alibi,) = demonstrate("alibi").effects
    slopes = torch.exp2(-2.0 * torch.arange(1, 5)).double()
    torch.testing.assert_close(alibi.values[:, -1].flip(-1), -slopes.outer(DISTANCE))
    (rope,) = demonstrate("rope").effects
    width = WIDTH // HEADS
    angles = DISTANCE.outer(10000.0 ** -(torch.arange(0, width, 2).double() / width))
    assert torch.allclose(rope.values[0, -1].flip(-1), angles.cos().mean(1), atol=1e-5)
    (window,) = demonstrate("window").effects
    assert window.values[0, -1].flip(-1).isfinite().tolist() == [distance <= 8 for distance in range(SHOWN)]
    assert demonstrate("nope").effects == ()


def test_interpolated_rope_stretches_the_trained_positions() -> None:
    (rope,), (stretched,) = demonstrate("rope").effects, demonstrate("rope-interpolated").effects
    within = rope.values[0, TRAINED - 1, :TRAINED].flip(-1)
    torch.testing.assert_close(stretched.values[0, -1].flip(-1)[::2], within, atol=1e-6, rtol=0)


def test_number_aware_encodings_are_drawn_over_an_addition() -> None:
    seen = demonstrate("coupled")
    assert seen.symbols is not None
    (alike,) = seen.effects
    same = [[own == other for other in seen.ids] for own in seen.ids]
    placed = torch.tensor(seen.ids) > 0
    found = alike.values[0] > 1 - 1e-9
    assert torch.equal(found, torch.tensor(same) & placed & placed[:, None])
    assert demonstrate("t5").symbols is None


def test_what_schemes_draw_in_training_and_in_tests_is_shown() -> None:
    seen = demonstrate_scheme("sequential")
    assert seen.symbols.startswith("^")
    assert all(list(ids) == list(range(ids[0], ids[0] + len(seen.symbols))) for ids in seen.trained)
    assert len({ids[0] for ids in seen.trained}) > 1
    assert {ids[0] for ids in seen.tested} == {1}
