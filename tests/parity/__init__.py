"""Golden comparison: our numbers against those of the published code, quantity by quantity."""
