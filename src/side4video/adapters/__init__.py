"""Adapters: saving, loading, conversion from and to official checkpoints, the Hugging Face hub.

* adapter.py: adapter folders: save, load, start from.
* convert.py: official checkpoints and adapters into each other.
* hub.py: the Hugging Face hub: names, downloads, uploads.
* untrusted.py: settings of adapters that others made.
"""
