"""Adapters in use: classes and embeddings of videos.

* embedder.py: embeddings of videos and sentences from an adapter.
* predictor.py: classes of videos from an adapter.
"""
