"""Every experiment loads, and the defaults are the published constants (specification sections 2 to 9)."""

import copy
import dataclasses
import functools
import itertools
import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from configs.schema import IsolatedConfig, experiment_from_dict, load_experiment
from modeling.config import AugmentConfig, LossConfig, ModelConfig, TrainingConfig
from utils.config import flat, from_dict, load_config, to_dict
from utils.errors import UserError

FOLDER = Path(__file__).parents[2] / "configs"
EXPERIMENTS = sorted(
    p.relative_to(FOLDER).as_posix()
    for p in FOLDER.rglob("*.yaml")
    if p.relative_to(FOLDER).parts[0] not in ("base", "data") and p.name not in ("base.yaml", "recipe.yaml")
)


GARBAGE: list[Any] = [
    None,
    True,
    -1,
    0.5,
    10**400,
    math.nan,
    "x\ny",
    "{video.x}",
    [],
    [1, "x"],
    {"file": 1},
    {1: None},
]


def load(name: str, *overrides: str) -> IsolatedConfig:
    return load_config(IsolatedConfig, FOLDER / name, list(overrides))


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiment_loads(name: str) -> None:
    config = load_experiment(FOLDER / name)
    assert config.run == f"runs/{name.removesuffix('.yaml')}"
    assert experiment_from_dict(to_dict(config), "here") == config


@pytest.mark.parametrize(("of_paper", "small"), [("nla_slr", "demo"), ("two_stream", "demo_sentences")])
def test_an_ablation_changes_the_same_at_both_sizes(of_paper: str, small: str) -> None:
    def changes(folder: str) -> dict[str, Any]:
        files = sorted((FOLDER / "ablations" / folder).glob("*.yaml"))
        return {path.name: yaml.safe_load(path.read_text()) | {"base": None, "run": None} for path in files}

    assert changes(of_paper) == changes(small) != {}


def test_the_experiments_people_call_are_there() -> None:
    streams = {
        "rgb_frame64.yaml": ["rgb64"],
        "rgb_frame32.yaml": ["rgb32"],
        "pose_frame64.yaml": ["keypoint64"],
        "pose_frame32.yaml": ["keypoint32"],
        "two_frame64.yaml": ["rgb64", "keypoint64"],
        "two_frame32.yaml": ["rgb32", "keypoint32"],
        "nla_slr_wlasl_2000.yaml": ["rgb64", "keypoint64", "rgb32", "keypoint32"],
    }
    assert {name: load(name).model.streams for name in streams} == streams


def test_defaults_of_the_model_are_published() -> None:
    model = ModelConfig()
    assert (model.rgb_size, model.heatmap_size, model.heatmap_grid, model.heatmap_sigma) == (
        224,
        112,
        256,
        8.0,
    )
    assert (model.width, model.batch_norm_momentum, model.frames) == (1.0, 0.001, [64, 32])
    assert sorted(model.keypoint_parts) == ["hand", "mouth_half", "pose"]


def test_defaults_of_recipe_and_augmentation_are_published() -> None:
    training, augment, jitter = TrainingConfig(), AugmentConfig(), AugmentConfig().color_jitter
    assert (training.epochs, training.batch_size, training.optimizer) == (100, 8 * 4, "adam")
    assert (training.learning_rate, training.betas, training.eps) == (1e-3, (0.9, 0.998), 1e-8)
    assert training.weight_decay == 1e-3
    assert (augment.crop_scale, augment.crop_ratio) == ((0.7, 1.0), (0.75, 1.3))
    factors = (jitter.probability, jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue)
    assert factors == (0.3, 0.4, 0.4, 0.4, 0.1)
    assert augment.draw == "per_clip"  # ours; the published recipes set per_batch


def test_defaults_of_the_losses_are_published() -> None:
    loss = LossConfig()
    assert (loss.label_smoothing.epsilon, loss.label_smoothing.temperature) == (0.2, 0.5)
    assert loss.intra_modality_mixup.alpha == 0.8
    inter = loss.inter_modality_mixup
    assert (inter.weight, inter.decay, inter.integrate, inter.momentum, inter.candidates) == (
        1.0,
        True,
        True,
        0.99,
        None,
    )


@pytest.mark.parametrize(
    "name", [name for name in EXPERIMENTS if "/" not in name and not name.startswith("custom")]
)
def test_published_experiments_follow_the_published_protocol(name: str) -> None:
    config = load(name)
    assert (config.seed, config.augment.draw, config.data.drop_last_frames) == (321, "per_batch", 2)
    assert config.training == TrainingConfig() and config.augment.crop_scale == (0.7, 1.0)
    assert config.data.frame_size == 256 and config.model.width == 1.0


SETS = [
    "wlasl_1000",
    "wlasl_300",
    "wlasl_100",
    "msasl_1000",
    "msasl_500",
    "msasl_200",
    "msasl_100",
    "nmfs_csl",
    "custom_full",
]
STAGES = ["rgb_frame64", "rgb_frame32", "pose_frame64", "pose_frame32", "two_frame64", "two_frame32"]


@pytest.mark.parametrize("name", SETS)
def test_every_stage_of_every_set_is_that_of_wlasl_2000_on_its_own_data(name: str) -> None:
    data = load(f"{name}/nla_slr.yaml").data
    assert data != load("nla_slr_wlasl_2000.yaml").data
    for stage in [*STAGES, "nla_slr"]:
        own = load(f"{name}/{stage}.yaml")
        published = load("nla_slr_wlasl_2000.yaml" if stage == "nla_slr" else f"{stage}.yaml")
        assert own.data == data
        expected = published.init.stages
        if published.init.stages and (name, stage) != ("msasl_1000", "nla_slr"):
            expected = [run.replace("runs/", f"runs/{name}/") for run in published.init.stages]
        elif published.init.stages:
            expected = ["runs/nla_slr_wlasl_2000"]
        assert (own.init.encoder, own.init.stages) == (published.init.encoder, expected)
        loss = own.loss
        if (name, stage) == ("nmfs_csl", "nla_slr"):
            assert loss.label_smoothing.kind == "uniform" and not loss.needs_language
            assert loss.intra_modality_mixup == published.loss.intra_modality_mixup
            loss = published.loss
        assert loss == published.loss
        assert own == dataclasses.replace(published, run=own.run, data=own.data, init=own.init, loss=own.loss)


def test_published_sets_are_read_as_published() -> None:
    """Specification section 2."""
    wlasl, msasl, nmfs = (
        load(f"{name}/nla_slr.yaml").data for name in ("wlasl_300", "msasl_200", "nmfs_csl")
    )
    assert wlasl.split_files is not None and wlasl.split_files.subset == "data/WLASL_2000/300.json"
    assert wlasl.drop_last_frames == 2 and msasl.drop_last_frames == nmfs.drop_last_frames == 0
    assert msasl.path_of("x", "train/abc/", 3) == "train/abc/0003.png" and msasl.vocabulary_size == 200
    assert nmfs.path_of("x", "v/abc/", 0) == "v/abc/image_00001.jpg"
    assert (nmfs.keypoints_frame_size, nmfs.frame_size, nmfs.word_embeddings) == (512, 256, None)


def test_a_prepared_set_takes_the_place_of_the_published_files(tmp_path: Path) -> None:
    (tmp_path / "data.yaml").write_text("index: my.csv\nvideos: my.zip\nkeypoints: my.safetensors\n")
    data = load("two_frame64.yaml", f"data.file={tmp_path}/data.yaml", "data.workers=0").data
    assert (data.index, data.videos, data.split_files, data.drop_last_frames) == ("my.csv", "my.zip", None, 0)
    assert data.workers == 0


@pytest.mark.parametrize("name", ["rgb_frame64.yaml", "pose_frame32.yaml", "two_frame64.yaml"])
def test_early_stages_use_plain_cross_entropy(name: str) -> None:
    assert load(name).loss == LossConfig()
    assert not load(name).loss.needs_language


def test_full_method_uses_language_and_both_mixups_from_two_stream_stages() -> None:
    config = load("nla_slr_wlasl_2000.yaml")
    assert config.loss.label_smoothing.kind == "language"
    assert config.loss.intra_modality_mixup.probability == 0.75
    assert config.loss.inter_modality_mixup.enabled
    assert config.init.encoder is None and config.init.stages == [
        load("two_frame64.yaml").run,
        load("two_frame32.yaml").run,
    ]
    assert load("two_frame32.yaml").init.stages == [
        load("rgb_frame32.yaml").run,
        load("pose_frame32.yaml").run,
    ]
    assert load("rgb_frame64.yaml").init.encoder == load("pose_frame64.yaml").init.encoder is not None


@pytest.mark.parametrize(
    "overrides",
    [
        [
            "loss.label_smoothing.kind=none",
            "loss.intra_modality_mixup.probability=0",
            "loss.inter_modality_mixup.enabled=false",
        ],
        ["loss.label_smoothing.kind=uniform"],
        ["loss.inter_modality_mixup.integrate=false", "loss.inter_modality_mixup.decay=false"],
        ["loss.inter_modality_mixup.candidates=500"],
    ],
)
def test_ablations_are_overrides_away(overrides: list[str]) -> None:
    assert load("nla_slr_wlasl_2000.yaml", *overrides).loss != load("nla_slr_wlasl_2000.yaml").loss


def test_whatever_stands_at_a_key_is_taken_or_refused_in_one_line() -> None:
    resolved = to_dict(load("nla_slr_wlasl_2000.yaml"))
    refused = 0
    for path, value in itertools.product(flat(resolved), GARBAGE):
        values = copy.deepcopy(resolved)
        *groups, key = path.split(".")
        functools.reduce(dict.__getitem__, groups, values)[key] = value
        try:
            config = from_dict(IsolatedConfig, values, "here")
        except UserError as error:
            assert str(error).startswith(f"here: {groups[0] if groups else key}") and "\n" not in str(error)
            refused += 1
        else:
            assert from_dict(IsolatedConfig, to_dict(config), "here") == config
    assert refused > 500


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("data.videos=null", "data.videos"),
        ("data.keypoints=null", "data.keypoints"),
        ("data.word_embeddings=null", "data.word_embeddings"),
        ("data.index=clips.csv", "data.index"),
        ("data.split_files=null", "data.index"),
        ("model.frames=[64,33]", "model.frames"),
        ("model.frames=[]", "model.frames"),
        ("model.frames=[4,2]", "model.frames"),
        ("model.modalities=[]", "model.modalities"),
        ("model.modalities=[rgb,rgb]", "model.modalities"),
        ("model.modalities=[rgb]", "model.frames"),
        ("model.rgb_size=200", "model.rgb_size"),
        ("model.width=0", "model.width"),
        ("loss.label_smoothing.epsilon=1", "loss.label_smoothing.epsilon"),
        ("loss.label_smoothing.temperature=0", "loss.label_smoothing.temperature"),
        ("loss.intra_modality_mixup.probability=1.5", "loss.intra_modality_mixup.probability"),
        ("loss.inter_modality_mixup.candidates=0", "loss.inter_modality_mixup.candidates"),
        ("augment.crop_scale=[0.9,0.7]", "augment.crop_scale"),
        ("augment.color_jitter.hue=0.6", "augment.color_jitter.hue"),
        ("training.batch_size=0", "training.batch_size"),
        ("training.learning_rate=0", "training.learning_rate"),
        ("training.betas=[0.9,1.0]", "training.betas"),
        ("training.part_rates=3", "training.part_rates"),
        ("training.part_rates={text: x}", "training.part_rates.text"),
        ("data.clip_path='{nme}.mp4'", "data.clip_path"),
        ("data.max_damaged_share=2", "data.max_damaged_share"),
        ("evaluation.batch_size=0", "evaluation.batch_size"),
        ("seed=-1", "seed"),
    ],
)
def test_impossible_values_are_refused_by_key(override: str, key: str) -> None:
    with pytest.raises(UserError) as error:
        load("nla_slr_wlasl_2000.yaml", override)
    message = str(error.value)
    assert f": {key}: " in message and "\n" not in message
