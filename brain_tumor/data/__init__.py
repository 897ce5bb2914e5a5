"""From files on disk to batches on the device."""
