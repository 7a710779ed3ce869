"""The side network and its memory modes.

* batch_norm.py: BatchNorm3d for channels-last tokens.
* initial_values.py: initial values of the paper's CLIP retrieval models.
* int8_tokens.py: stores tokens in 8 bits.
* motion.py: options of the side block that detect motion.
* recompute.py: recomputes blocks in the backward pass.
* side_block.py: the side block.
* side_network.py: stem and side blocks.
* taps.py: how a side block reads frozen tokens.
* token_grid.py: averages tokens over the cells of a coarser grid.
"""
