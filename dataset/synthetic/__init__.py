"""The embedded sign set: signers who are rendered, signs that are invented, and true keypoints."""
