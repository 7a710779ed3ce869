"""Text-video retrieval: data, loss, scoring, evaluation.

* contrastive.py: contrastive loss over the batch of all processes, with gradient caching.
* data.py: reads and checks the captioned videos of a run.
* dual_softmax.py: optional re-ranking that needs all queries at once.
* embeddings.py: embeds videos and captions.
* evaluate.py: evaluation: scores every caption with every video.
* metrics.py: recall and ranks, text to video and video to text.
* prefix_trie.py: computes common prefixes of captions once.
* score_matrix.py: similarity of all captions and all videos in bounded memory.
* score_storage.py: stores a score matrix in memory or in a temporary file.
* scores.py: the result of an evaluation, printed and saved.
* task.py: the retrieval task for the training loop.
"""
