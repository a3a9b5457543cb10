"""A trained model for use elsewhere: its weights, a readable description, and ONNX.

    pip install -c requirements.txt -r requirements-export.txt
    python -m inference.export --config configs/nla_slr_wlasl_2000.yaml --out exports/wlasl_2000 [--checkpoint RUN]

Writes model.safetensors, recognizer.json (architecture, vocabulary, preprocessing, configuration of the training,
scores of the evaluations there are) and model.onnx, which is compared with PyTorch on the spot. The folder stands
alone: `modeling.load_recognizer` reads it, and docs/export.md says how to use model.onnx without this project.
"""

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from configs.schema import Config, ContinuousConfig, IsolatedConfig, load_experiment
from utils.command_line import entry_point_parser
from utils.config import to_dict
from utils.errors import UserError, run_entry_point
from utils.files import read_json, replacing, write_json

if TYPE_CHECKING:
    from inference.onnx_model import OnnxModel
    from inference.trained_model import ContinuousModel, IsolatedModel

ONNX = "model.onnx"


def main() -> int:
    parser = entry_point_parser(__doc__, "runtime.device=cpu")
    parser.add_argument("--config", type=Path, required=True, help="YAML file of the experiment")
    parser.add_argument(
        "--checkpoint", type=Path, help="file or run folder; default: the configuration's run"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write; made if needed")
    arguments = parser.parse_intermixed_args()
    config = load_experiment(arguments.config, arguments.overrides)
    for package in ("onnx", "onnxscript", "onnxruntime"):
        if importlib.util.find_spec(package) is None:
            raise UserError(
                f"{package} is not installed: pip install -c requirements.txt -r requirements-export.txt"
            )
    export(config, arguments.checkpoint or Path(config.run), arguments.out)
    return 0


def export(config: Config, source: Path, out: Path) -> None:
    """Write the model at `source` to the folder `out`; `config` says where clips to compare it on are."""
    from safetensors.torch import save_file

    from inference.trained_model import EXPORTED, EXPORTED_WEIGHTS, TranslationModel, load_model

    model = load_model(source, config)
    if isinstance(model, TranslationModel):
        raise UserError(
            f"{source}: a model of translation, which has no export; export the recognition it reads with"
        )
    onnx = onnx_of(model, config)
    out.mkdir(parents=True, exist_ok=True)
    print(f"{source}: exporting, which takes a minute or more", flush=True)
    weights = {name: tensor.contiguous() for name, tensor in model.recognizer.state_dict().items()}
    with replacing(out / EXPORTED_WEIGHTS) as partial:
        save_file(weights, str(partial))
        partial.chmod(0o644)
    with replacing(out / ONNX) as partial:
        onnx.write(partial)
        compared = onnx.compare(partial)
    run = source if source.is_dir() else source.parent
    write_json(out / EXPORTED, describe(model, onnx, run, compared))
    print(
        f"{out}: {', '.join(f'{p.name} {p.stat().st_size / 2**20:.1f} MiB' for p in sorted(out.iterdir()))}"
    )
    print(
        f"{ONNX} against PyTorch on {compared['clips']}: largest difference of a probability "
        f"{compared['largest_difference']:.1e}, same {onnx.result} in {compared['same_result']}"
    )


def onnx_of(model: "IsolatedModel | ContinuousModel", config: Config) -> "OnnxModel":
    """What the ONNX file of a model computes."""
    from inference.sentence_export import SentenceOnnx
    from inference.sign_export import SignOnnx
    from inference.trained_model import ContinuousModel

    if isinstance(model, ContinuousModel):
        assert isinstance(config, ContinuousConfig)
        return SentenceOnnx(model, config)
    assert isinstance(config, IsolatedConfig)
    return SignOnnx(model, config)


def describe(
    model: "IsolatedModel | ContinuousModel", onnx: "OnnxModel", run: Path, compared: dict[str, Any]
) -> dict[str, Any]:
    """Everything but the weights, for people and for `inference.trained_model`; `run` has the evaluations."""
    about = onnx.about()
    return {
        "format": 1,
        **about,
        "architecture": {
            **about["architecture"],
            "weights": sum(p.numel() for p in model.recognizer.parameters()),
        },
        "onnx": {"file": ONNX, **about["onnx"], "compared_with_pytorch": compared},
        "metrics": {
            path.stem: onnx.scores(read_json(path, dict))
            for path in sorted((run / "prediction").glob("*.json"))
            if not path.stem.endswith("_analysis")
        },
        "config": to_dict(model.config),
        "vocabulary": model.vocabulary,
    }


if __name__ == "__main__":
    run_entry_point(main)
