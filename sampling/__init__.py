"""Drawing the next image instead of predicting it: the sampler, its decoder, its measures."""
