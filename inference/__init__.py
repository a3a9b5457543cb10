"""What is done with a trained model: evaluation of a split, recognition of a video, a timeline of a long one."""
