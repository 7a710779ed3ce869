"""Text-video retrieval: data, loss, scoring, evaluation.

* contrastive.py: the loss over the batch of all processes.
* data.py: the captioned videos of a run, read and checked.
* dual_softmax.py: re-ranking that needs all queries, on request.
* embeddings.py: embeddings of videos and captions.
* evaluate.py: every caption compared with every video.
* metrics.py: recall and ranks, from text to video and back.
* prefix_trie.py: captions with the same first words share their work.
* score_matrix.py: scores of all captions and all videos.
* score_storage.py: a matrix of scores, in memory or in a file.
* scores.py: the scores of an evaluation.
* task.py: what the training loop needs of retrieval.
"""
