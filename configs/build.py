"""From a configuration to the objects it describes: language, network, clip format, starting weights."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from configs.schema import (
    ContinuousConfig,
    IsolatedConfig,
    RecognitionConfig,
    TranslationConfig,
    experiment_from_dict,
)
from dataset.clips import ClipFormat
from dataset.footage import FootageReader
from dataset.glosses.embeddings import GlossSimilarity, embedding_matrix
from dataset.keypoints import KeypointStore, keypoint_indices
from dataset.pruned_mbart import read_gloss_embeddings
from dataset.sentences import Sentence
from dataset.texts import TextVocabulary
from modeling.config import ModelConfig
from modeling.continuous.network import ContinuousRecognizer
from modeling.continuous.weights import from_published as from_published_continuous
from modeling.pose.config import PoseConfig
from modeling.pose.estimator import Estimator
from modeling.recognizer import Recognizer
from modeling.translation.mapper import EmbeddingMapper
from modeling.translation.network import Translator
from modeling.translation.text_model import load_text_model, new_text_model
from modeling.weights import (
    ENCODER_PREFIX,
    PUBLISHED_PREFIX,
    LoadReport,
    StateDict,
    encoder_weights,
    from_published,
    load_matching,
)
from utils.checkpoint import load_checkpoint
from utils.errors import UserError


def clip_format(model: ModelConfig) -> ClipFormat:
    """What the network reads of a clip."""
    indices = keypoint_indices(model.keypoint_parts) if "keypoint" in model.modalities else None
    return ClipFormat(model.frames[0], "rgb" in model.modalities, indices, model.heatmap_grid)


def gloss_embeddings(config: IsolatedConfig, vocabulary: list[str]) -> Tensor | None:
    """float32 [glosses, dimension] if the loss has language parts, else None."""
    if not config.loss.needs_language:
        return None
    assert config.data.word_embeddings is not None
    return torch.from_numpy(embedding_matrix(Path(config.data.word_embeddings), vocabulary))


def gloss_similarity(config: IsolatedConfig, vocabulary: list[str]) -> GlossSimilarity | None:
    """Similarity of meaning by the word embeddings of the configuration, None where there are none."""
    path = config.data.word_embeddings
    if path is None or not Path(path).is_file():
        return None
    return GlossSimilarity(vocabulary, embedding_matrix(Path(path), vocabulary))


def build_recognizer(
    config: IsolatedConfig, num_glosses: int, embeddings: Tensor | None, auxiliary: bool = True
) -> Recognizer:
    """The network at its random start, which depends on the seed alone.

    `auxiliary`: with the auxiliary classifiers if the loss has them; prediction does without.
    """
    candidates = config.loss.inter_modality_mixup.candidates
    if candidates is not None and candidates > num_glosses:
        raise UserError(
            f"loss.inter_modality_mixup.candidates: {candidates} is more than the {num_glosses} glosses there are"
        )
    torch.manual_seed(config.seed)
    keypoints = len(keypoint_indices(config.model.keypoint_parts))
    auxiliary = auxiliary and config.loss.inter_modality_mixup.enabled
    return Recognizer(config.model, keypoints, num_glosses, embeddings, auxiliary)


def sentence_reader(config: ContinuousConfig, keypoints: KeypointStore | None = None) -> FootageReader:
    """What reads the clips of sentences; `keypoints`: in place of those of the configuration."""
    model = config.model
    indices = keypoint_indices(model.keypoint_parts) if "keypoint" in model.modalities else None
    return FootageReader(config.data, "rgb" in model.modalities, indices, model.heatmap_grid, keypoints)


def build_continuous_recognizer(config: ContinuousConfig, num_glosses: int) -> ContinuousRecognizer:
    """The network at its random start, which depends on the seed alone; `num_glosses`: classes with the blank."""
    torch.manual_seed(config.seed)
    return ContinuousRecognizer(config.model, len(keypoint_indices(config.model.keypoint_parts)), num_glosses)


def build_translator(
    config: TranslationConfig, vocabulary: list[str], texts: TextVocabulary, heads: nn.ModuleDict | None
) -> Translator:
    """The network at its start: all that is random in it depends on the seed alone.

    Args:
        vocabulary: glosses, the blank first.
        texts: sub-words of the texts.
        heads: those of the recognition that it reads, with their weights; None if it reads glosses.
    """
    torch.manual_seed(config.seed)
    settings, embeddings = config.model.text_model, None
    if settings.folder is None:
        text = new_text_model(settings, texts.size, texts.language)
    else:
        text = load_text_model(Path(settings.folder), settings, texts.language)
        embeddings = read_gloss_embeddings(Path(settings.folder), vocabulary)
    return Translator(config.model, heads, text, len(vocabulary), *texts.tensors(), embeddings)


def texts_of(config: TranslationConfig, sentences: Iterable[Sentence]) -> TextVocabulary:
    """The sub-words of a local mBART, or those made of the texts of the training sentences.

    Raises:
        UserError: there is no such mBART, or there are no texts.
    """
    settings = config.model.text_model
    if settings.folder is not None:
        assert config.texts.language is not None
        return TextVocabulary.of_folder(Path(settings.folder), config.texts.language)
    if not (texts := [sentence.text for sentence in sentences if sentence.text]):
        raise UserError("data: no sentence has a text, in the column text; translation learns from these")
    return TextVocabulary.of_texts(texts, config.texts.pieces)


def load_initial_weights(model: nn.Module, config: RecognitionConfig) -> list[LoadReport]:
    """The encoder's weights, then those of earlier stages, as `init` says.

    Raises:
        UserError: a file is missing, a stage is of another task, or most of what it has for this model is of another
            shape.
    """
    reports = []
    if config.init.encoder is not None:
        path = checkpoint_path(Path(config.init.encoder))
        if not path.is_file():
            raise UserError(f"init.encoder: {path}: no such checkpoint; init.encoder=null starts at random")
        content = load_checkpoint(path)
        weights = encoder_weights(content.get("model", content), model, config.model.encoder)
        reports.append(load_matching(model, weights, str(path)))
    for number, stage in enumerate(config.init.stages):
        path = checkpoint_path(Path(stage))
        content = load_checkpoint(path)
        advice = f"{config.kind} can start from the encoder of a single stream: init.encoder={stage}"
        refuse_other_task(content, config.task, f"init.stages: {stage}", advice)
        reports.append(load_matching(model, stage_weights(content, model, str(path), number), str(path)))
    for report in reports:
        if len(report.loaded) <= len(report.mismatched):
            raise UserError(f"{report}; hardly anything fits this model (another width?)")
    return reports


def load_gloss_to_text(translator: Translator, config: TranslationConfig) -> list[LoadReport]:
    """The text model and the gloss embeddings of `gloss_to_text`, if it names a run.

    Raises:
        UserError: there is no such run, it is of another task, or of other glosses or texts.
    """
    if config.gloss_to_text is None:
        return []
    path = checkpoint_path(Path(config.gloss_to_text))
    content = load_checkpoint(path)
    refuse_other_task(
        content, config.task, f"gloss_to_text: {config.gloss_to_text}", "name a run of translation"
    )
    own, kept = translator.state_dict(), content["model"]
    for name in ("sentencepiece", "tokens"):
        if name not in kept or not torch.equal(own[name], kept[name]):
            raise UserError(f"gloss_to_text: {path}: has learned other texts; train it on the same data")
    parts = ("text.", "gloss_embeddings.")
    report = load_matching(
        translator, {name: x for name, x in kept.items() if name.startswith(parts)}, str(path)
    )
    if report.mismatched:
        raise UserError(f"gloss_to_text: {report}; it is of another size, or of other glosses")
    if isinstance(translator.mapper, EmbeddingMapper):
        translator.mapper.start_from(translator.glosses)
    return [report]


def refuse_other_task(checkpoint: dict[str, Any], task: str, where: str, advice: str) -> None:
    """Raise a `UserError` if a checkpoint of ours is of another task. Published ones do not say theirs.

    `where`: key and value of the configuration that names it. `advice`: what to do.
    """
    if "config" in checkpoint and "vocabulary" in checkpoint:
        found = experiment_from_dict(checkpoint["config"], where)
        if found.task != task:
            raise UserError(f"{where}: a model of {found.kind}; {advice}")


def build_estimator(config: PoseConfig, device: torch.device) -> Estimator:
    """The keypoint estimator; each needs packages that the others do not.

    Raises:
        UserError: its package or a file of weights is missing, or does not fit.
    """
    if config.chosen == "mediapipe":
        from modeling.pose.mediapipe_holistic import MediaPipeHolistic

        return MediaPipeHolistic()

    from modeling.pose.person import PersonDetector, PersonFinder, WholeFrame

    person: PersonFinder = WholeFrame()
    if config.detector is not None:
        try:
            person = PersonDetector(load_checkpoint(Path(config.detector)), device)
        except RuntimeError as error:
            raise UserError(f"{config.detector}: {' '.join(str(error).split())}") from None
    assert config.checkpoint is not None  # the configuration makes sure
    path = Path(config.checkpoint)
    content = load_checkpoint(path)
    name = f"{path.name} sha256:{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}"
    if config.chosen == "mmpose":
        from modeling.pose.mmpose_model import MMPoseEstimator

        return MMPoseEstimator(path, name, person, device, config.flip_test)

    from modeling.pose.hrnet import HRNetEstimator, HRNetW48

    model = HRNetW48()
    model.load_mmpose(content.get("state_dict", content), str(path))
    return HRNetEstimator(model, person, name, device, config.flip_test, config.batch_size, config.precision)


def checkpoint_path(path: Path) -> Path:
    """A checkpoint file itself, or the best one of a run folder."""
    return path / "best.pt" if path.is_dir() else path


def stage_weights(checkpoint: dict[str, Any], model: nn.Module, source: str, number: int = 0) -> StateDict:
    """The weights in a checkpoint of ours or a published one, under our names.

    `source`: where it is from, to say what is wrong. `number`: of the stage among those that the model starts from.
    Names in published checkpoints of one or two streams in isolated recognition do not say their clip length: the first
    is of the model's longer clips, the second of the shorter.
    """
    for key in ("model", "model_state"):
        weights = checkpoint.get(key)
        if not isinstance(weights, dict):
            continue
        if not any(name.startswith(PUBLISHED_PREFIX) for name in weights):
            return weights
        if isinstance(model, ContinuousRecognizer):
            return from_published_continuous(weights, model)
        assert isinstance(model, Recognizer)
        lengths = model.config.frames
        return from_published(weights, model, lengths[min(number, len(lengths) - 1)])
    if any(name.startswith(ENCODER_PREFIX) for name in checkpoint):
        raise UserError(
            f"{source}: the weights of an encoder alone; start from them by init.encoder={source}"
        )
    raise UserError(
        f"{source}: a checkpoint without `model` or `model_state`; expected one of this project or a published one"
    )
