"""Inference with trained adapters.

* clip_features.py: feature vectors of videos from a recognition adapter.
* embedder.py: embeds videos and sentences, and ranks videos.
* embedding_file.py: files of embeddings and feature vectors.
* explanation.py: shows which places and frames of a clip support a class.
* inputs.py: files, folders and glob patterns as video files.
* prediction.py: the classes of one video.
* predictor.py: classifies videos.
* video_explanation.py: the explanation of a video's middle clip.
"""
