"""Shares adapters on the Hugging Face hub and exports models.

* card_sections.py: the facts in the sections of a model card.
* export.py: exports an adapter with its backbone as one ONNX or torch.export file.
* model_card.py: writes the model card of an adapter with its metadata.
* share.py: checks an adapter, removes private paths, and uploads it.
"""
