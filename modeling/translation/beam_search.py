"""One beam search over any number of text models: every token is scored by the mean of their distributions.

With one model it finds what `generate` of the package transformers finds. Specification section 11.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from modeling.translation.config import GenerationConfig
from modeling.translation.text_model import END, PAD, Source, TextModel
from utils.packages import translation_package

IMPOSSIBLE = -1e9


@torch.inference_mode()
def generate(
    models: Sequence[TextModel],
    sources: Sequence[Source],
    config: GenerationConfig,
    beam: int | None = None,
) -> list[list[int]]:
    """The tokens of every text, from the language it starts with to `</s>`.

    Args:
        models: with the same tokens, in evaluation mode.
        sources: what each of them reads, of the same B sentences.
        beam: texts that are kept; default: as configured.

    Raises:
        UserError: a source is longer than its model has positions for.
    """
    for model, source in zip(models, sources, strict=True):
        model.refuse_long(source, 0)
    batch, beam, first = len(sources[0].mask), beam or config.beam, models[0]
    device = sources[0].mask.device
    members = [_Member(model, source, beam) for model, source in zip(models, sources, strict=True)]
    most = min(config.max_tokens, *(model.most_tokens for model in models))
    # [B, beam, most]: of texts that go on, and of those that are complete
    running = torch.full((batch, beam, most), PAD, device=device)
    running[..., 0] = first.language
    complete = running.clone()
    scores = torch.full((batch, beam), IMPOSSIBLE, device=device, dtype=sources[0].vectors.dtype)
    scores[:, 0] = 0  # at first all texts are the same
    complete_scores = torch.full_like(scores, IMPOSSIBLE)
    is_complete = torch.zeros_like(scores, dtype=torch.bool)
    searching = torch.ones(
        batch, 1, device=device, dtype=torch.bool
    )  # sentences of which a better text may be found
    for length in range(1, most):
        mean = torch.stack([m.probabilities(running[..., length - 1]) for m in members]).mean(dim=0)
        log_probabilities = mean.log().view(batch, beam, -1)
        tokens = log_probabilities.shape[-1]
        if length == most - 1:  # the last token can only be the end
            log_probabilities = torch.full_like(log_probabilities, -torch.inf)
            log_probabilities[..., END] = 0
        # twice as many as are kept: as many can be complete
        found, places = (scores[..., None] + log_probabilities).flatten(1).topk(2 * beam)
        extended = running.gather(1, (places // tokens)[..., None].expand(-1, -1, most)).clone()
        extended[..., length] = places % tokens
        ends = extended[..., length] == END
        # Those that are complete, among the best `beam`, beside the earlier ones.
        final = (found / length**config.length_penalty).masked_fill(~(ends & searching), IMPOSSIBLE)
        final[:, beam:] = IMPOSSIBLE
        complete_scores, best = torch.cat([complete_scores, final], dim=1).topk(beam)
        is_complete = torch.cat([is_complete, ends & (final > IMPOSSIBLE)], dim=1).gather(1, best)
        complete = torch.cat([complete, extended], dim=1).gather(1, best[..., None].expand(-1, -1, most))
        # Those that go on.
        scores, best = found.masked_fill(ends, IMPOSSIBLE).topk(beam)
        running = extended.gather(1, best[..., None].expand(-1, -1, most))
        origins = (places // tokens).gather(1, best)
        for member in members:
            member.follow(origins)
        worst = torch.where(is_complete, complete_scores, IMPOSSIBLE).amin(dim=1)
        searching &= (scores[:, 0] / length**config.length_penalty > worst)[:, None]
        if beam == 1:  # the search is greedy
            searching &= ~is_complete
        if not searching.any():
            break
    return [_until_end(row) for row in complete[:, 0].tolist()]


def _until_end(tokens: list[int]) -> list[int]:
    return tokens[: tokens.index(END) + 1] if END in tokens else tokens


class _Member:
    """One of the models, with what it has computed of the texts so far."""

    def __init__(self, model: TextModel, source: Source, beam: int):
        transformers = translation_package("transformers")
        self.model, self.beam = model, beam
        self.mask = source.mask.repeat_interleave(beam, dim=0)
        self.encoded = model.encode(source)
        self.encoded.last_hidden_state = self.encoded.last_hidden_state.repeat_interleave(beam, dim=0)
        self.cache = transformers.EncoderDecoderCache(
            transformers.DynamicCache(), transformers.DynamicCache()
        )

    def probabilities(self, last: Tensor) -> Tensor:
        """Of the next token of every text, [B beam, V]; `last` is the token before it, int64 [B, beam]."""
        return self.model.step(self.encoded, self.mask, last.reshape(-1, 1), self.cache).softmax(dim=-1)

    def follow(self, origins: Tensor) -> None:
        """From here on the texts are those at `origins`, int64 [B, beam], among the ones before."""
        first = torch.arange(len(origins), device=origins.device)[:, None] * self.beam
        self.cache.reorder_cache((first + origins).flatten())
