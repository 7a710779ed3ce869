"""Adapters in use: classes and embeddings of videos.

* embedder.py: embeddings of videos and sentences from an adapter.
* explanation.py: where and when a model looked in a clip.
* predictor.py: classes of videos from an adapter.
"""
