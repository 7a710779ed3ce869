"""From a video file to a batch of clips."""
