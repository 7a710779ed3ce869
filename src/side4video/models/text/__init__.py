"""Text towers and classifiers made from class names.

* class_names.py: class names put into sentences.
* text_classifier.py: classes compared with image embeddings, as CLIP does without training.
* text_tower.py: CLIP's text tower and tokeniser.
"""
