"""Text-video retrieval: data, loss, scoring, evaluation.

* contrastive.py: the loss over the batch of all processes.
* dual_softmax.py: re-ranking that knows all queries, on request.
* prefix_trie.py: what captions that begin alike share.
* retrieval.py: captions and videos read, embedded, scored.
* retrieval_evaluation.py: what an evaluation of retrieval found.
* retrieval_metrics.py: recall and ranks, from text to video and back.
* retrieval_task.py: training of retrieval.
* score_storage.py: a matrix of scores, in memory or in a file.
* scoring.py: scores of all captions and all videos.
"""
