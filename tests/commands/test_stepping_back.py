"""Which older window a question is compared with, when the one right before it is ill."""

import pytest

from llmops_cli.commands.gather import last_healthy


@pytest.mark.parametrize("began", range(1, 90))
def test_the_nearest_healthy_window_is_found(began):
    """Windows up to `began` steps back are ill."""
    assert last_healthy(400, lambda steps: steps > began) == began + 1


def test_one_window_that_is_misjudged_moves_the_answer_by_little():
    for began in range(1, 30):
        for wrong in range(2, 40):
            found = last_healthy(400, lambda steps, began=began, wrong=wrong: (steps > began) is not (steps == wrong))
            assert found <= 2 * (began + 1)


def test_there_may_be_none():
    assert last_healthy(400, lambda _: False) is None
    assert last_healthy(1, lambda _: True) is None
    assert last_healthy(3, lambda steps: steps > 3) is None
