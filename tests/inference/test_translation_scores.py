"""How texts are compared. The evaluation as a whole: tests/end_to_end/test_translation.py."""

import pytest

from inference.translation_scores import spoken


@pytest.mark.parametrize(
    ("text", "language", "compared"),
    [
        ("am tag regen.", "de_DE", "am tag regen ."),
        ("am tag regen .", "de_DE", "am tag regen ."),
        ("um 5.30 uhr", "de_DE", "um 5.30 uhr"),
        ("it rains.", "en_XX", "it rains."),
        ("it rains.", None, "it rains."),
    ],
)
def test_german_has_a_space_before_the_last_full_stop(text: str, language: str | None, compared: str) -> None:
    assert spoken(text, language) == compared
