"""Continuous recognition: the gloss sequence of a sentence (specification sections 1 to 9)."""
