"""Inference with trained adapters.

* clip_features.py: feature vectors of videos from a recognition adapter.
* embedder.py: embeds videos and sentences, and ranks videos.
* embedding_file.py: files of embeddings and feature vectors.
* explanation.py: shows which places and frames of a clip support a class.
* predictor.py: classifies videos.
"""
