"""Whole sentences from one command: render signers, train every stage, evaluate, translate a video, report.

    python demo_sentences.py [--out runs/demo_sentences] [--seed 321]

Ctrl-C stops it; the same command continues where it stopped. Its results are <out>/summary.json and
<out>/report.html.
"""

import statistics
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import demo_translation
from configs.schema import ContinuousConfig, TranslationConfig
from demo_parts import (
    CONFIGS,
    Stopwatch,
    machine,
    refuse_other_seed,
    stage_config,
    start,
    train_and_evaluate,
)
from report.runs import evaluation_path
from utils.errors import run_entry_point
from utils.files import read_json, write_json
from utils.packages import translation_package

if TYPE_CHECKING:
    from dataset.synthetic.sentence_set import SentenceSetConfig
    from dataset.synthetic.sign_set import SignSetConfig

CONFIGURED_OUT = Path("runs/demo_sentences")  # where the configurations of the demo keep everything
STAGES = {
    "signs": "Single signs, keypoints",
    "strings": "Strings of signs, keypoints",
    "keypoint": "Sentences, keypoints",
    "rgb": "Sentences, RGB",
    "two_stream": "Sentences, two streams",
}
FINAL = "two_stream"
LONGEST_STRING = 5  # single signs put one after another
SIGN_CLIPS = 36  # single signs to train on, of each gloss, each by another signer
WRONG_SHOWN, RIGHT_SHOWN = 6, 3  # sentences in the report


def main() -> int:
    return start(__doc__, CONFIGURED_OUT, run)


def run(
    out: Path,
    seed: int,
    sign_set: "SignSetConfig | None" = None,
    sentence_set: "SentenceSetConfig | None" = None,
    overrides: Sequence[str] = (),
    translation_overrides: Sequence[str] = (),
) -> bool:
    """The whole demo; False if it was interrupted.

    Args:
        out: folder for everything the demo writes; what is already there is not made again.
        seed: of what is rendered and of every training.
        sign_set, sentence_set: what to render; default: the full sets.
        overrides: `key.path=value` for every stage of the recognition, on top of configs/demo_sentences.
        translation_overrides: the same of the translation.

    Raises:
        UserError: `out` holds a demo with another seed or configuration, or a package is missing.
    """
    configs = {
        name: stage_config(
            ContinuousConfig,
            CONFIGS / "demo_sentences" / f"{name}.yaml",
            CONFIGURED_OUT,
            out,
            seed,
            overrides,
        )
        for name in STAGES
    }
    translations = demo_translation.stage_configs(CONFIGURED_OUT, out, seed, translation_overrides)
    for package in ("transformers", "sentencepiece", "sacrebleu"):
        translation_package(package)  # before minutes of training
    watch = Stopwatch(out / "seconds.json")
    with watch.measure("rendering"):
        render(out / "data", seed, sign_set, sentence_set)
    for number, (name, config) in enumerate(configs.items(), start=1):
        print(f"\n[{number}/{len(STAGES)}] {STAGES[name]}", flush=True)
        if not train_and_evaluate(config, [setting(config)]):
            return False
    if not demo_translation.translate(configs[FINAL], translations, watch):
        return False
    translated = translate_file(configs[FINAL], translations[demo_translation.FINAL], out)
    summary = summarise(configs, translations, watch, seed, translated)
    write_json(out / "summary.json", summary)
    write_page(configs, translations, summary, out / "report.html")
    print(f"\n{table(summary)}")
    return True


def render(
    data: Path,
    seed: int,
    sign_set: "SignSetConfig | None" = None,
    sentence_set: "SentenceSetConfig | None" = None,
) -> None:
    """Signs, sentences, and the strings of signs that come before sentences, into the folder `data`."""
    from dataset.sentences import BLANK
    from dataset.sign_strings import string_signs
    from dataset.synthetic import sentence_set as sentences
    from dataset.synthetic import sign_set as signs
    from dataset.synthetic.signs import SIGNS

    refuse_other_seed(data / "signs" / signs.MANIFEST, seed)
    exact = signs.SignSetConfig(seed=seed, train_clips=SIGN_CLIPS, estimator_errors=0)
    signs.make_sign_set(data / "signs", sign_set or exact)
    sentences.make_sentence_set(data / "sentences", sentence_set or sentences.SentenceSetConfig(seed=seed))
    string_signs(data / "signs", data / "singles", 1, seed)
    string_signs(data / "signs", data / "strings", LONGEST_STRING, seed)
    write_json(data / "vocabulary.json", [BLANK, *sorted(sign.gloss for sign in SIGNS)])


def setting(config: ContinuousConfig) -> str:
    """Under which a stage is evaluated."""
    return f"beam_{config.decoding.beam}"


def evaluation(config: ContinuousConfig) -> Path:
    """What the stage read in the test split."""
    return evaluation_path(config.run, "test", setting(config))


def translate_file(recognition: ContinuousConfig, config: TranslationConfig, out: Path) -> dict[str, Any]:
    """Take the first test sentence out of the zip and translate it, as `prediction.py --video` does."""
    from dataset.sentences import read_sentences
    from inference.sentence_translator import SentenceTranslator
    from inference.trained_model import load_model

    assert recognition.data.videos is not None
    sentence = read_sentences(recognition.data).split("test")[0]
    video = out / Path(sentence.video).name
    with zipfile.ZipFile(recognition.data.videos) as archive:
        video.write_bytes(archive.read(sentence.video))
    command = f"python prediction.py --config {Path(config.run) / 'config.yaml'} --video {video}"
    print(f"\n{command}")
    started = time.perf_counter()
    found = SentenceTranslator(load_model(Path(config.run), config)).predict(video)
    print(found.text)
    return {
        "video": video.name,
        "signed": {"text": sentence.text, "glosses": sentence.gloss},
        "found": {"text": found.text, "glosses": [gloss._asdict() for gloss in found.glosses]},
        "seconds": time.perf_counter() - started,
        "command": command,
    }


def summarise(
    configs: dict[str, ContinuousConfig],
    translations: demo_translation.Configs,
    watch: Stopwatch,
    seed: int,
    translated: dict[str, Any],
) -> dict[str, Any]:
    """Everything measured, as plain values; word error rates are in per cent."""
    from dataset.annotations import SPLITS
    from dataset.sentences import read_sentences

    annotations = read_sentences(configs[FINAL].data)
    by_split = {split: annotations.split(split) for split in SPLITS}
    stages = {name: summarise_stage(config) for name, config in configs.items()}
    translation = demo_translation.summarise(translations, watch)
    return {
        "seed": seed,
        "glosses": len(annotations.vocabulary) - 1,  # without the blank
        "sentences": {split: len(sentences) for split, sentences in by_split.items()},
        "signs": {split: sum(len(s.glosses) for s in sentences) for split, sentences in by_split.items()},
        "signers": {split: len({s.signer for s in sentences}) for split, sentences in by_split.items()},
        "stages": stages,
        "final": {"stage": FINAL, **stages[FINAL]},
        "boundaries": summarise_boundaries(configs[FINAL]),
        "translation": translation,
        "translated": translated,
        "rendering_seconds": watch.seconds["rendering"],
        "total_seconds": watch.seconds["rendering"]
        + sum(stage["training_seconds"] + stage["evaluation_seconds"] for stage in stages.values())
        + demo_translation.seconds(translation)
        + translated["seconds"],
        **machine(),
    }


def summarise_stage(config: ContinuousConfig) -> dict[str, Any]:
    from report.runs import read_epochs

    seconds = Stopwatch.of(config).seconds
    found = read_json(evaluation(config), dict)
    return {
        "streams": config.model.streams,
        "epochs": config.training.epochs,
        "reported": found["reported"],
        "smallest": found["smallest"],
        "beam": found["beam"],
        "word_errors": found["word_errors"],
        "training_seconds": seconds["training"],
        "evaluation_seconds": seconds["evaluation"],
        # Of training steps alone; the training seconds also hold loading, validation and saving.
        "training_sentences_per_second": statistics.harmonic_mean(
            [entry["clips_per_second"] for entry in read_epochs(Path(config.run))]
        ),
        "evaluation_sentences_per_second": len(found["sentences"]) / seconds["evaluation"],
    }


def summarise_boundaries(config: ContinuousConfig) -> dict[str, Any]:
    """How far the beginnings and ends of the glosses that were read right are from the true ones, in frames."""
    from report.sentence_evaluation import distances, read_sentence_evaluation, true_spans

    found = distances(
        read_sentence_evaluation(config.run, "test", setting(config)), true_spans(config.data.index)
    )
    return {} if found is None else found._asdict()


def write_page(
    configs: dict[str, ContinuousConfig],
    translations: demo_translation.Configs,
    summary: dict[str, Any],
    path: Path,
) -> None:
    """Collect what the report shows, and write it."""
    from inference.trained_model import load_model
    from report.continuous_sections import chosen_sentences
    from report.demo_sentences_page import Report, write_report
    from report.runs import read_epochs
    from report.sentence_evaluation import read_sentence_evaluation, true_spans
    from report.sentence_strips import SentenceStrip
    from report.sentence_views import view_sentences

    final = configs[FINAL]
    evaluations = {
        name: read_sentence_evaluation(config.run, "test", setting(config))
        for name, config in configs.items()
        if config.data.index == final.data.index
    }
    found = evaluations[FINAL]
    wrong, right = chosen_sentences(found, WRONG_SHOWN, RIGHT_SHOWN)
    shown = [found.sentences[row] for row in (*wrong, *right)]
    signed = true_spans(final.data.index)
    network = load_model(Path(final.run), final).recognizer
    views = view_sentences(final, "test", [sentence.name for sentence in shown], network)
    content = Report(
        summary=summary,
        titles=STAGES,
        curves={name: read_epochs(Path(config.run)) for name, config in configs.items()},
        evaluations=evaluations,
        signed=signed,
        wrong=wrong,
        right=right,
        strips={
            sentence.name: SentenceStrip(view, signed[sentence.name], sentence.spans)
            for sentence, view in zip(shown, views, strict=True)
        },
        translations=demo_translation.evaluations(translations),
    )
    write_report(path, content)


def table(summary: dict[str, Any]) -> str:
    """One line a stage."""
    lines = [f"{'test, WER in per cent':26}{'':>16}{'WER':>8}{'95 %':>16}{'seconds':>9}"]
    for name, stage in summary["stages"].items():
        seconds = stage["training_seconds"] + stage["evaluation_seconds"]
        for row, (head, errors) in enumerate(stage["word_errors"].items()):
            low, high = errors["interval"]
            lines.append(
                f"{STAGES[name] if row == 0 else '':26}{head:>16}{errors['rate']:8.2f}{f'{low:.1f} to {high:.1f}':>16}"
                + (f"{seconds:9.1f}" if row == 0 else "")
            )
    lines += ["", demo_translation.table(summary["translation"])]
    lines += ["", f"{'in all':66}{summary['total_seconds']:9.1f}"]
    return "\n".join(lines)


if __name__ == "__main__":
    run_entry_point(main)
