"""The commands of the command line: their arguments, and thin functions that call the library.

* backbones.py: list the frozen image models.
* check_data.py: check a data set.
* convert.py: convert official checkpoints.
* demo.py: run a demonstration.
* embed.py: write embeddings.
* engine.py: this process or a Ray cluster, for bulk commands.
* evaluate.py: score an adapter.
* export.py: export to ONNX or torch.export.
* index.py: make videos searchable.
* inputs.py: the videos that a command is given.
* live.py: `predict` of live streams.
* local_outputs.py: outputs that cannot be at addresses.
* memory.py: plan the memory of a training step.
* moment_output.py: files of moments, for `predict --timeline` and `search`.
* positional.py: the argument before the flags: adapter, recipe or model.
* predict.py: classify videos, or rank them by sentences.
* recipes.py: list the recipes, or print one.
* remote_cache_flag.py: the flag of all commands for the cache of remote videos.
* score_output.py: print scores, or why there are none.
* search.py: search an index by words.
* serve.py: serve the search page.
* share.py: upload an adapter to the hub.
* timelines.py: print and write the timelines of `predict --timeline`.
* train.py: train on your clips or a data set.
* write_shards.py: write WebDataset shards.
* zero_shot.py: score CLIP without training, by class names.
"""
