"""Frozen image models: names, weights, quantisation, fingerprints.

* autocast.py: switches autocast off for modules that compute in their own dtype.
* fingerprint.py: a short hash that identifies a set of weights.
* frozen_backbone.py: a timm model that yields its tokens block by block.
* loading.py: builds a backbone by name and loads its weights.
* names.py: short names of the most common backbones.
* quantisation.py: frozen weights in 8 or 4 bits.
* torchscript.py: reads the tensors of a TorchScript archive without running its code.
* weight_files.py: reads untrusted weight files safely.
* weight_kinds.py: detects what kind of weights a file holds.
"""
