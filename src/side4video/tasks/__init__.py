"""Tasks: their data, losses and evaluation.

* recognition/: action recognition: data, loss, evaluation, linear probe.
* retrieval/: text-video retrieval: data, loss, scoring, evaluation.
* clip_batches.py: batches of clips, from the videos or from the token cache.
* clip_length.py: the length of training clips.
* clips.py: builds training and evaluation sets from the settings.
* data_identity.py: recognise a data set whose files have moved.
* subset.py: selects a subset of the training videos.
* task.py: the interface between the training loop and a task.
* token_cache.py: caches the frozen model's tokens on disk for later epochs.
* trained_videos.py: warn about evaluation videos that an adapter was trained on.
* unread.py: unreadable videos, and whether scores are reported without them.
"""
