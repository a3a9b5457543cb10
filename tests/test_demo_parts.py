"""What the demos have in common."""

import json
from pathlib import Path

import pytest

from configs.schema import IsolatedConfig
from demo_parts import CONFIGS, Stopwatch, refuse_other_seed, stage_config
from utils.errors import UserError


def test_all_places_of_a_stage_move(tmp_path: Path) -> None:
    path = CONFIGS / "demo" / "nla_slr.yaml"
    config = stage_config(IsolatedConfig, path, Path("runs/demo"), tmp_path, 5, ["training.epochs=2"])
    assert config.run == str(tmp_path / "nla_slr")
    assert config.data.videos == str(tmp_path / "data" / "clips.zip")
    assert config.init.stages == [str(tmp_path / "two_stream16"), str(tmp_path / "two_stream8")]
    assert config.init.encoder is None
    assert (config.seed, config.training.epochs) == (5, 2)


def test_stopwatch_adds_up_over_starts(tmp_path: Path) -> None:
    path = tmp_path / "run" / "seconds.json"
    with Stopwatch(path).measure("training"):
        pass
    first = Stopwatch(path).seconds["training"]
    with Stopwatch(path).measure("training"):
        pass
    assert Stopwatch(path).seconds["training"] > first > 0


def test_set_of_another_seed_is_refused(tmp_path: Path) -> None:
    manifest = tmp_path / "sentence_set.json"
    refuse_other_seed(manifest, 8)  # there is none
    manifest.write_text(json.dumps({"config": {"seed": 7}}), encoding="utf-8")
    refuse_other_seed(manifest, 7)
    with pytest.raises(UserError, match="holds the sentence set of seed 7, not 8"):
        refuse_other_seed(manifest, 8)
