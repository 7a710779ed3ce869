"""Frozen image models: names, weights, quantisation, fingerprints.

* autocast.py: switches autocast off for modules that compute in their own dtype, and gradients for frozen ones.
* block_tokens.py: the tokens after one block.
* building_from_files.py: builds a timm model with the weights of a file, and prints what was chosen.
* catalogue.py: which backbones exist, by which names, and where their weights come from.
* fingerprint.py: a hash that identifies a set of weights.
* frame_checks.py: checks clips before a model computes anything.
* frozen_backbone.py: a timm model that yields its tokens block by block.
* hugging_face.py: renames tensors from Hugging Face's layouts to timm's and open_clip's.
* image_weights.py: reads the weights of an image tower and fits them to a timm model.
* loading.py: builds a backbone by name and loads its weights.
* names.py: short names of the most common backbones and image-text models.
* open_clip_towers.py: the image towers of open_clip's models as timm models.
* pooling.py: pooling and projection of image-text models.
* position_tables.py: grids of position tables, and their resampling.
* preprocessing.py: how pictures are prepared for a model.
* quantisation.py: frozen weights in 8 or 4 bits.
* sharding.py: distributes the weights of the blocks over all processes.
* stated_settings.py: what config files next to a weight file state.
* supported_models.py: the timm classes that are supported, and building them.
* text_weights.py: reads the weights of a text tower, under open_clip's names.
* token_identity.py: what tokens depend on, for the keys of caches.
* torchscript.py: reads the tensors of a TorchScript archive without running its code.
* weight_files.py: reads untrusted weight files and folders safely.
* weight_folders.py: finds the files of a folder or a sharded model.
* weight_formats.py: detects what a file is by its first bytes.
* weight_kinds.py: detects what kind of weights a file holds.
* weight_layouts.py: finds the tower in a state dict under any prefix.
"""
