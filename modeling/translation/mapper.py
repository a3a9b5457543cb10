"""From what a head says of every step to vectors that the text model reads. Specification section 11."""

import torch
from torch import Tensor, nn


class MLPMapper(nn.Sequential):
    """Two linear maps with a ReLU between, on the gloss representation: [B, T, in_size] -> [B, T, size]."""

    def __init__(self, in_size: int, size: int):
        super().__init__(nn.Linear(in_size, size), nn.ReLU(), nn.Linear(size, size))


class EmbeddingMapper(nn.Linear):
    """The mean of gloss embeddings by the glosses' probabilities: [B, T, glosses] -> [B, T, size].

    Args:
        embeddings: see `start_from`; zero where a gloss has none.
    """

    def __init__(self, embeddings: Tensor):
        glosses, size = embeddings.shape
        super().__init__(glosses, size, bias=False)
        self.start_from(embeddings)

    @torch.no_grad()
    def start_from(self, embeddings: Tensor) -> None:
        """Begin with these, float [glosses, size]."""
        self.weight.copy_(embeddings.T)
