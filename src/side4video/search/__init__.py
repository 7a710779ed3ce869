"""Finding moments in one's own videos: an index of what a retrieval model sees in them, and questions to it."""
