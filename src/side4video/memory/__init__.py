"""Memory of a training step: measured on a device, or planned without a GPU and without allocating anything.

* advice.py: which settings fit a card, and what to change.
* cards.py: memory sizes of GPUs by name.
* command.py: the `memory` command, and the error message when memory runs out.
* measuring.py: memory of real steps, in a separate process.
* planning.py: memory of a step for any model and batch, from fake tensors.
* random_clips.py: random clips for a training step.
* repeated_blocks.py: runs identical blocks once and counts them all.
* step_history.py: bytes at every moment of a step, for any number of clips.
* tracking.py: counts bytes as they are allocated.
* training_step.py: one training step on random clips whose bytes are counted.
"""
