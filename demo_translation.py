"""The second half of the demo of whole sentences: from their glosses, and from what the recognition saw, to text.

demo_sentences.py runs it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.schema import ContinuousConfig, TranslationConfig
from demo_parts import CONFIGS, Stopwatch, stage_config, train_and_evaluate
from report.runs import evaluation_path
from utils.files import read_json

if TYPE_CHECKING:
    from inference.translation_scores import TextResults
    from report.translation_evaluation import TranslationEvaluation

STAGES = {
    "gloss": "Text from true glosses",
    "rgb": "Text from the RGB head",
    "keypoint": "Text from the keypoint head",
    "joint": "Text from the joint head",
}
FINAL = "joint"
ENSEMBLE = "Text from the three heads together"
TOGETHER = (FINAL, "keypoint", "rgb")

Configs = Mapping[str, TranslationConfig]


def stage_configs(configured_out: Path, out: Path, seed: int, overrides: Sequence[str]) -> Configs:
    """By stage; see `demo_parts.stage_config`."""
    folder = CONFIGS / "demo_sentences" / "translation"
    return {
        name: stage_config(TranslationConfig, folder / f"{name}.yaml", configured_out, out, seed, overrides)
        for name in STAGES
    }


def translate(recognition: ContinuousConfig, configs: Configs, watch: Stopwatch) -> bool:
    """Store what the recognition sees of every sentence, train and evaluate every stage, and the last three together.

    False if interrupted.
    """
    from inference.features import store

    print("\nWhat the heads read of every sentence", flush=True)
    with watch.measure("features"):
        if store(recognition, Path(recognition.run), ("train", "test")) != 0:
            return False
    for number, (name, config) in enumerate(configs.items(), start=1):
        print(f"\n[{number}/{len(STAGES)}] {STAGES[name]}", flush=True)
        if not train_and_evaluate(config, [setting(config)]):
            return False
    final = configs[FINAL]
    together = Stopwatch.of(final)
    if "ensemble" not in together.seconds:
        with together.measure("ensemble"):
            results = evaluate_together([configs[name] for name in TOGETHER])
            results.write(evaluation_path(final.run, "test", f"{setting(final)}_ensemble"))
        print(f"{ENSEMBLE}: {results.summary()}")
    return True


def setting(config: TranslationConfig) -> str:
    """Under which a stage is evaluated."""
    return f"beam_{config.generation.beam}"


def evaluate_together(configs: Sequence[TranslationConfig]) -> "TextResults":
    """What several stages say of the test split in one beam search."""
    from inference.trained_model import load_model
    from tasks.translation import Translation
    from utils.distributed import start_processes

    first, *rest = [load_model(Path(config.run), config) for config in configs]
    model, *others = first.together_with(rest)
    processes = start_processes(configs[0].runtime.device)
    task = Translation(configs[0], processes)
    found = task.evaluator("test", [setting(configs[0])], others).run(model.recognizer.to(processes.device))
    assert found is not None  # nobody can ask it to stop
    return found[setting(configs[0])]


def summarise(configs: Configs, watch: Stopwatch) -> dict[str, Any]:
    """Everything measured, as plain values; scores are in per cent."""
    final = configs[FINAL]
    return {
        "features_seconds": watch.seconds["features"],
        "stages": {name: summarise_stage(config) for name, config in configs.items()},
        "ensemble": {
            "stages": list(TOGETHER),
            "scores": evaluation(final, "_ensemble")["scores"],
            "evaluation_seconds": Stopwatch.of(final).seconds["ensemble"],
        },
        "chance": chance(final),
    }


def evaluation(config: TranslationConfig, which: str = "") -> dict[str, Any]:
    """What the stage said in the test split; `which`: `_ensemble` for what it said together with others."""
    return read_json(evaluation_path(config.run, "test", setting(config) + which), dict)


def evaluations(configs: Configs) -> "dict[str, TranslationEvaluation]":
    """By title, what every stage said in the test split, and the heads together."""
    from report.translation_evaluation import read_translation_evaluation

    final = configs[FINAL]
    return {
        STAGES[name]: read_translation_evaluation(config.run, "test", setting(config))
        for name, config in configs.items()
    } | {ENSEMBLE: read_translation_evaluation(final.run, "test", setting(final), ensemble=True)}


def summarise_stage(config: TranslationConfig) -> dict[str, Any]:
    seconds = Stopwatch.of(config).seconds
    return {
        "source": config.model.source,
        "epochs": config.training.epochs,
        "scores": evaluation(config)["scores"],
        "training_seconds": seconds["training"],
        "evaluation_seconds": seconds["evaluation"],
    }


def chance(config: TranslationConfig) -> dict[str, Any]:
    """The most frequent training text, and the scores of saying it of every test sentence."""
    from dataset.sentences import read_sentences
    from utils.text_scores import score_texts

    training = read_sentences(config.data).split("train")
    ((text, times),) = Counter(sentence.text for sentence in training).most_common(1)
    assert text is not None
    references = [sentence["reference"] for sentence in evaluation(config)["sentences"]]
    scores = score_texts(references, [text] * len(references), config.texts.unit)
    return {"text": text, "times": times, "scores": scores.values}


def seconds(summary: dict[str, Any]) -> float:
    """That the whole translation took, of what `summarise` gave."""
    stages: Mapping[str, Mapping[str, float]] = summary["stages"]
    return (
        summary["features_seconds"]
        + sum(stage["training_seconds"] + stage["evaluation_seconds"] for stage in stages.values())
        + summary["ensemble"]["evaluation_seconds"]
    )


def table(summary: dict[str, Any]) -> str:
    """One line a stage."""
    lines = [f"{'test, per cent':42}{'BLEU-4':>8}{'95 %':>16}{'seconds':>9}"]
    stages = {STAGES[name]: stage for name, stage in summary["stages"].items()}
    for name, stage in {**stages, ENSEMBLE: summary["ensemble"]}.items():
        bleu = stage["scores"]["BLEU-4"]
        low, high = bleu["interval"]
        spent = stage.get("training_seconds", 0.0) + stage["evaluation_seconds"]
        lines.append(f"{name:42}{bleu['value']:8.2f}{f'{low:.1f} to {high:.1f}':>16}{spent:9.1f}")
    chance_scores = summary["chance"]["scores"]
    lines.append(f"{'the most frequent text (chance)':42}{chance_scores['BLEU-4']:8.2f}")
    lines.append(f"{'what the heads read, stored':66}{summary['features_seconds']:9.1f}")
    return "\n".join(lines)
