"""From slices on disk to batches on the device."""
