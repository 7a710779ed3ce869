"""Adapters: save and load them, convert official checkpoints, use the Hugging Face hub.

* adapter.py: save and load adapter folders, initialise a model from one.
* addresses.py: adapters at addresses such as s3://bucket/run/best.
* convert.py: convert official checkpoints to adapters and back.
* hub.py: the Hugging Face hub: names, downloads, uploads.
* initial_weights.py: start a new model from an adapter.
* stored_settings.py: read the settings in an adapter, also from newer versions.
* trained_backbone.py: restore the frozen model as in training.
* untrusted.py: check the settings of adapters from others.
"""
