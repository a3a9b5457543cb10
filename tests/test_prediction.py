"""Where the evaluation of a model is kept: with the model, never over that of another."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from prediction import evaluated_run
from utils.errors import UserError


@dataclass
class OnlyRun:
    """All that `evaluated_run` reads of a configuration."""

    run: str


def test_an_evaluation_belongs_to_the_run_that_was_evaluated(tmp_path: Path) -> None:
    own, other, published = tmp_path / "own", tmp_path / "other", tmp_path / "weights" / "published.pt"
    for folder in (own, other, published.parent):
        folder.mkdir()
    (other / "config.yaml").write_text("run: other")
    config = OnlyRun(str(own))
    assert evaluated_run(config, None) == own  # type: ignore[arg-type]
    assert evaluated_run(config, other) == other  # type: ignore[arg-type]
    assert evaluated_run(config, other / "last.pt") == other  # type: ignore[arg-type]
    assert evaluated_run(config, published) == own  # type: ignore[arg-type]
    (own / "best.pt").write_text("weights")
    with pytest.raises(UserError, match="holds another model; name a folder"):
        evaluated_run(config, published)  # type: ignore[arg-type]
    assert evaluated_run(config, other) == other  # type: ignore[arg-type]
