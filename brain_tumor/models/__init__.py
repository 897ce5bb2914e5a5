"""The task that all trainings share, classifier and segmenter, and what they are made of."""
