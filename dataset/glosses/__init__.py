"""Glosses and their meaning: word embeddings, how alike two glosses are, and where the vectors come from."""
