"""From a batch of clips to logits: frozen backbone, side network, head.

* backbones/: frozen image models: names, weights, quantisation, fingerprints.
* side/: the side network and its memory modes.
* text/: text towers and classifiers made from class names.
* build.py: the model that the settings ask for.
* heads.py: classifier.
* official.py: names in the official code's checkpoints.
* retrieval_model.py: backbone, side network and text tower together.
* side_tuned_model.py: what all trained models have in common.
* similarity.py: how alike a caption and a video are.
* stored_clips.py: clips whose frozen tokens were computed before.
* video_model.py: backbone, side network and classifier together.
"""
