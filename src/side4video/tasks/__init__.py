"""What a model is trained and judged on.

* recognition/: action recognition: data, loss, evaluation, linear probe.
* retrieval/: text-video retrieval: data, loss, scoring, evaluation.
* clip_batches.py: their batches, read or from the cache of tokens.
* clips.py: sets of clips as the settings say.
* subset.py: few training videos per class, or a share of them.
* task.py: what the training loop asks of a task.
* token_cache.py: the frozen model's tokens on disk, for later epochs.
* unread.py: videos that could not be read, and whether scores may be reported without them.
"""
