"""The network of translation: heads over stored features, a mapper, and the text model; or the text model on glosses.

Specification of the Two-Stream network, section 11.
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from modeling.continuous.heads import SequenceHead
from modeling.continuous.network import JOINT, ContinuousOutput, ContinuousRecognizer
from modeling.translation.config import TranslationModelConfig
from modeling.translation.mapper import EmbeddingMapper, MLPMapper
from modeling.translation.text_model import Source, TextModel, source_of
from utils.errors import UserError

# The heads on block 4, and what they read.
STREAMS = {"rgb": ["rgb"], "keypoint": ["keypoint"], JOINT: ["keypoint", "rgb"]}
ENDINGS = 2  # what ends a source: `</s>` and its language


@dataclass
class TranslationOutput:
    """logits: float [B, N, V] of the text's tokens. recognition: what the heads say; None where glosses are read."""

    logits: Tensor
    recognition: ContinuousOutput | None


def heads_to_translate(recognizer: ContinuousRecognizer) -> nn.ModuleDict:
    """Copies of the heads on block 4 of a network of continuous recognition, which keeps its own."""
    heads = {name: head for name, head in recognizer.heads.items() if name in STREAMS}
    return nn.ModuleDict(deepcopy(heads))


def heads_of_weights(weights: Mapping[str, Tensor]) -> nn.ModuleDict | None:
    """Heads of the sizes that the weights of a `Translator` have; None if it has no heads."""
    heads = nn.ModuleDict()
    for name, streams in STREAMS.items():
        if (reduce := weights.get(f"heads.{name}.reduce.weight")) is not None:
            glosses = len(weights[f"heads.{name}.classifier.weight"])
            heads[name] = SequenceHead(streams, reduce.shape[1], glosses, reduce.shape[0], dropout=0.0)
    return heads or None


class Translator(nn.Module):
    """The network.

    Args:
        config: what is read, and how it is mapped.
        heads: `rgb`, `keypoint`, `joint` of a trained recognition, as far as it has them; None where glosses are read.
        text: the text model.
        num_glosses: classes with the blank.
        sentencepiece, tokens: the sub-words of its texts, kept with the weights; see `TextVocabulary.tensors`.
        embeddings: float [glosses + 2, width] of the glosses and what ends a source; default: drawn.

    Raises:
        UserError: there is no head of the configured name.
    """

    def __init__(
        self,
        config: TranslationModelConfig,
        heads: nn.ModuleDict | None,
        text: TextModel,
        num_glosses: int,
        sentencepiece: Tensor,
        tokens: Tensor,
        embeddings: Tensor | None = None,
    ):
        super().__init__()
        self.config, self.text = config, text
        self.heads = heads or nn.ModuleDict()
        if embeddings is None:
            embeddings = torch.randn(num_glosses + ENDINGS, text.width) * text.mbart.config.init_std
        self.gloss_embeddings = nn.Embedding.from_pretrained(embeddings, freeze=not config.train_embeddings)
        self.mapper: nn.Module | None = None
        if config.source != "gloss" and config.source not in self.heads:
            raise UserError(
                f"model.source: {config.source}: the recognition has only {', '.join(self.heads)}; name one of these"
            )
        if config.source != "gloss" and config.mapper == "mlp":
            head = cast(SequenceHead, self.heads[config.source])
            self.mapper = MLPMapper(head.classifier.in_features, text.width)
        elif config.source != "gloss":
            self.mapper = EmbeddingMapper(embeddings[:-ENDINGS])
        text.mbart.get_input_embeddings().requires_grad_(config.train_embeddings)
        self.sentencepiece: Tensor
        self.tokens: Tensor
        self.register_buffer("sentencepiece", sentencepiece)
        self.register_buffer("tokens", tokens)

    @property
    def glosses(self) -> Tensor:
        """Embeddings of the glosses alone, float [glosses, width]."""
        return self.gloss_embeddings.weight[:-ENDINGS]

    def source(
        self, features: dict[str, Tensor], steps: Tensor, glosses: Tensor, counts: Tensor
    ) -> tuple[Source, ContinuousOutput | None]:
        """What the text model reads, and what the heads say. Arguments: see `forward`."""
        ending = self.gloss_embeddings.weight[-ENDINGS:]
        if self.mapper is None:
            return source_of(self.gloss_embeddings(glosses), counts, ending), None
        longest = next(iter(features.values())).shape[1]
        mask = torch.arange(longest, device=steps.device) < steps[:, None]
        output, mapped = ContinuousOutput({}, {}), None
        for name, module in self.heads.items():
            head = cast(SequenceHead, module)
            seen = head.representation(torch.cat([features[stream] for stream in head.streams], dim=2), mask)
            output.logits[name], output.steps[name] = head.classifier(seen), steps
            if name == self.config.source:
                probabilities = isinstance(self.mapper, EmbeddingMapper)
                mapped = self.mapper(output.logits[name].softmax(dim=2) if probabilities else seen)
        assert mapped is not None
        return source_of(mapped, steps, ending), output

    def forward(
        self, features: dict[str, Tensor], steps: Tensor, glosses: Tensor, counts: Tensor, labels: Tensor
    ) -> TranslationOutput:
        """The logits of a batch.

        Args:
            features: {stream: float [B, T, C]}, of each sentence the first `steps`, int64 [B].
            glosses: int64 [B, L], of each the first `counts`, int64 [B].
            labels: int64 [B, N], tokens of the texts, padded.
        """
        source, recognition = self.source(features, steps, glosses, counts)
        return TranslationOutput(self.text(source, labels), recognition)
