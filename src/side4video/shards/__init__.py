"""Write the videos of a list into WebDataset shards.

* sample.py: the members of one video: its class, captions and name.
* sizes.py: sizes such as 1GB.
* plan.py: which video goes into which shard.
* checked_list.py: read the list and open every video before anything is written.
* writing.py: write the shards, each whole or not at all.
"""
