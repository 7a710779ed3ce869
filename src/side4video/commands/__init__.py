"""The commands: their arguments, and thin functions that call what does the work.

* check_data.py: look through a data set.
* convert.py: official checkpoints.
* demo.py: the demonstrations.
* embed.py: write embeddings.
* evaluate.py: score an adapter.
* export.py: ONNX and torch.export.
* index.py: make videos searchable.
* inputs.py: what videos a command is given.
* listings.py: recipes and backbones.
* memory.py: will it fit?.
* positional.py: what comes before the flags: adapter, recipe, model.
* predict.py: name classes, or find videos by sentences.
* score_output.py: scores printed, or why there are none.
* search.py: find moments by words.
* serve.py: a page to search on.
* share.py: put an adapter on the hub.
* train.py: train on own clips or a data set.
* zero_shot.py: score CLIP by class names.
"""
