"""Text towers, and classifiers built from class names.

* class_names.py: prompts for class names, and their text embeddings.
* text_classifier.py: compares image embeddings with class embeddings, as CLIP's zero-shot classifier does.
* text_tower.py: CLIP's text tower and tokeniser.
"""
