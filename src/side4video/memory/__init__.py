"""Where the memory of a training step goes: counted on any device, or without one and without memory.

* advice.py: what fits a card, and what to change.
* command.py: the plan in print, and what is said when memory runs out.
* measuring.py: real steps in a process of their own.
* planning.py: the same without memory, for any model and batch.
* repeated_blocks.py: blocks that are alike are run once.
* step_history.py: the bytes at every moment of a step, for any number of clips.
* tracking.py: counts bytes as they are allocated and saved.
* training_step.py: one step on made-up clips, counted.
"""
