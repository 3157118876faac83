"""Training curves."""

from arith.figures.quantities import Line, Panel
from arith.figures.training import Training
from arith.report.parts.training import panels_of, training_part
from tests.arith.report.pages import Reader


def test_watched_lengths_follow_in_rising_order() -> None:
    run = Training("a", {"accuracy at 12 digits": [(1, 0.5)], "accuracy at 5 digits": [(1, 1.0)], "loss": [(1, 2.0)]})
    panels = panels_of([run])
    assert [panel.y for panel in panels] == [
        "loss (nats a token)",
        "accuracy at 5 digits (%)",
        "accuracy at 12 digits (%)",
    ]
    assert panels[1].lines[0].values == {1: [100.0]}


def test_plots_share_one_key_and_a_curve_its_looks() -> None:
    runs = [
        Training("a", {"loss": [(0, 2.0), (10, 1.0)]}),
        Training("b", {"loss": [(0, 2.0)], "accuracy": [(10, 0.5)]}),
    ]
    read = Reader(training_part(panels_of(runs)))
    assert [values["data-toggles"] for name, values in read.elements if name == "input"] == ["0", "1"]
    assert [values["data-curve"] for values in read.of_class("curve")] == ["0", "1", "1"]
    assert "b, training step 10: exact match (%) 50" in read.texts["title"]


def test_a_loss_of_zero_is_drawn_and_spikes_stay_at_the_edge() -> None:
    zero = Panel("training step", "loss", (Line("a", {0: [1.0], 5: [0.0]}),))
    spike = Panel("training step", "sharpness / limit", (Line("a", {0: [1.0], 5: [90.0]}),), level=1.0, high=3.0)
    read = Reader(training_part([zero, spike]))
    assert "a, training step 5: sharpness / limit 90" in read.texts["title"]
    assert len(read.of_class("level")) == 1
