"""How a batch of sentences becomes what the network learns from, on any number of processes and in parts."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from configs.schema import ContinuousConfig, InitConfig
from dataset.batch import Request
from dataset.sentence_clips import SentenceBatch
from modeling.continuous.recognition import PreparedSentences
from modeling.heatmaps import written_out
from tasks.continuous import ContinuousRecognition
from tests.inference.runs import GLOSSES, make_run, make_sentence_run
from utils.checkpoint import load_checkpoint
from utils.distributed import Processes

SENTENCES, LENGTHS = [0, 1, 4, 2], [12, 12, 16, 12]  # of 9, 10, 13 and 11 frames, rounded up


@pytest.fixture(scope="module")
def config(clip_set: Path, tmp_path_factory: pytest.TempPathFactory) -> ContinuousConfig:
    """Of two streams, with every frame of a sentence."""
    folder = tmp_path_factory.mktemp("task") / "run"
    return make_sentence_run(folder, clip_set, ["rgb", "keypoint"], speed=[1.0, 1.0])


class OneOfTwo(Processes):
    """A process that another one tells of the longest sentence."""

    def largest(self, value: int) -> int:
        return max(value, *LENGTHS)


def prepared(
    config: ContinuousConfig, processes: Processes | None = None, number: int = 0
) -> list[PreparedSentences]:
    """The parts of a batch, or of what this process has of it."""
    processes = processes or Processes(0, 1, torch.device("cpu"))
    share = len(SENTENCES) // processes.count
    own = SENTENCES[processes.rank * share :][:share]
    task = ContinuousRecognition(config, processes)
    batch = task.training_data()[[Request(sentence, (0, 0, sentence)) for sentence in own]]
    assert isinstance(batch, SentenceBatch)
    return list(task.parts(batch, number))


def changed(config: ContinuousConfig, section: str, **values: Any) -> ContinuousConfig:
    return replace(config, **{section: replace(getattr(config, section), **values)})


def test_each_part_is_padded_to_its_longest_sentence(config: ContinuousConfig) -> None:
    (whole,) = prepared(config)
    parts = prepared(changed(config, "training", accumulate=2))
    assert whole.lengths.tolist() == LENGTHS
    assert [part.lengths.tolist() for part in parts] == [LENGTHS[:2], LENGTHS[2:]]
    for stream, x in written_out(whole.inputs).items():
        first, second = (written_out(part.inputs)[stream] for part in parts)
        assert torch.equal(first, x[:2, :, :12]) and torch.equal(second, x[2:])
    assert [part.counts.tolist() for part in parts] == [[1, 2], [3, 1]]
    read = [GLOSSES[gloss] for part in parts for row in part.glosses.tolist() for gloss in row if gloss]
    assert " ".join(read) == "cold rain table table winter rain winter"


@pytest.mark.parametrize("draw", ["per_clip", "per_batch"])
def test_two_processes_prepare_what_one_does(config: ContinuousConfig, draw: str) -> None:
    """Padded to the longest sentence of both, cropped and coloured alike."""
    config = changed(config, "augment", draw=draw)
    (whole,) = prepared(config)
    halves = [prepared(config, OneOfTwo(rank, 2, torch.device("cpu")))[0] for rank in (0, 1)]
    inputs = [written_out(half.inputs) for half in halves]
    for stream, x in written_out(whole.inputs).items():
        assert torch.equal(torch.cat([of_half[stream] for of_half in inputs]), x)
    assert torch.cat([half.lengths for half in halves]).equal(whole.lengths)


def test_steps_differ_in_what_is_drawn(config: ContinuousConfig) -> None:
    (one,), (again,), (other,) = (prepared(config, number=number) for number in (3, 3, 4))
    assert torch.equal(one.inputs["rgb"], again.inputs["rgb"])  # type: ignore[arg-type]
    assert not torch.equal(one.inputs["rgb"], other.inputs["rgb"])  # type: ignore[arg-type]


def test_validation_keeps_one_prefix_and_a_lower_score_is_better(config: ContinuousConfig) -> None:
    task = ContinuousRecognition(changed(config, "decoding", beam=7), Processes(0, 1, torch.device("cpu")))
    assert task.settings == ("beam_1", "beam_7") and not task.higher_is_better
    assert task.evaluator("test", task.settings).beams == {"beam_1": 1, "beam_7": 7}
    assert task.summary() == "5 training sentences, 5 classes with the blank, streams rgb, keypoint"


def test_the_picture_is_the_first_sentence(config: ContinuousConfig) -> None:
    (part,) = prepared(config)
    picture = ContinuousRecognition(config, Processes(0, 1, torch.device("cpu"))).pictures(part)["sentence"]
    assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.std() > 0


def test_encoders_may_have_learned_single_signs(
    config: ContinuousConfig, clip_set: Path, tmp_path: Path
) -> None:
    """`init.encoder` of a run of isolated recognition; its fifth block has no place."""
    signs = make_run(tmp_path / "signs", clip_set, ["keypoint"])
    alike = {"width": signs.model.width, "keypoint_parts": signs.model.keypoint_parts}
    config = changed(config, "model", modalities=["keypoint"], **alike)
    config = replace(config, init=InitConfig(encoder=str(tmp_path / "signs")))
    task = ContinuousRecognition(config, Processes(0, 1, torch.device("cpu")))
    network = task.build_network()
    (report,) = task.load_initial_weights(network)
    own, learned = network.state_dict(), load_checkpoint(tmp_path / "signs/best.pt")["model"]
    encoder = [name for name in own if name.startswith("vknet.encoders.")]
    assert report.loaded == encoder and not report.mismatched
    theirs = [name.replace("keypoint", "keypoint8") for name in encoder]
    assert all(torch.equal(own[a], learned[b]) for a, b in zip(encoder, theirs, strict=True))
