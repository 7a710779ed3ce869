"""Share adapters on the Hugging Face hub and export models.

* export.py: an adapter and its backbone as one ONNX or torch.export file.
* model_card.py: the card of an adapter and its metadata.
* share.py: adapters checked, freed of private paths, given to others.
"""
