"""Inference with trained adapters.

* embedder.py: embeds videos and sentences, and ranks videos.
* explanation.py: where and when a model looked in a clip.
* predictor.py: classifies videos.
"""
