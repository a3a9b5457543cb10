"""From what is seen of a sentence to its text: mapper, text model, loss, and one beam search for several models."""
