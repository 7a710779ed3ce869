"""Where the memory of a training step goes: counted on any device, with real tensors or with ones that take no memory."""
