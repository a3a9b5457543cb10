"""What is wrong with a data set, found before a training run finds it."""
