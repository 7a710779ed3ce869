"""Models that turn a batch of clips into logits or embeddings: frozen backbone, side network, head.

* backbones/: frozen image models: names, weights, quantisation, fingerprints.
* side/: the side network and its memory modes.
* text/: text towers, and classifiers built from class names.
* build.py: builds the model of a run from its settings.
* heads.py: classification head.
* official.py: tensor names in the official code's checkpoints.
* optical_flow.py: motion of pixels between neighbouring frames, and histograms of it.
* probe_model.py: backbone and a probe, without a side network.
* probes.py: small classifiers on the frozen tokens or on optical flow.
* retrieval_model.py: backbone, side network and text tower.
* side_tuned_model.py: base class of all trained models.
* similarity.py: similarity of captions and videos.
* stored_clips.py: clips with cached frozen tokens.
* video_model.py: backbone, side network and classification head.
"""
