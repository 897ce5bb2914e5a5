"""The task that all trainings share, classifier and segmenter, and their parts."""
