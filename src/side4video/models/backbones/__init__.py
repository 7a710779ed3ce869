"""Frozen image models: names, weights, quantisation, fingerprints.

* autocast.py: parts that compute in their own number type.
* fingerprint.py: tells one set of weights from another.
* frozen_backbone.py: a timm model that hands over its tokens block by block.
* loading.py: image models by name, and their weights.
* names.py: short names of those that are used most.
* quantisation.py: frozen weights in 8 or 4 bits.
* torchscript.py: tensors of an archive whose code is not run.
* weight_files.py: what strangers saved, read safely.
* weight_kinds.py: what kind of weights a file holds.
"""
