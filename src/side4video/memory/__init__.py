"""Where the memory of a training step goes: counted on any device, or without one and without memory."""
