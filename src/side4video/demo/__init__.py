"""An offline demonstration on synthetic videos of moving shapes.

* arguments.py: the arguments of both demonstrations.
* captioned_stills.py: draws still pictures with captions.
* captioned_videos.py: writes captioned videos and their CSV files.
* demo_index.py: builds a search index of the test videos.
* film.py: the film of test clips, and its timeline.
* moving_captions.py: captioned motions that only the order of the frames reveals.
* moving_shapes.py: eight motions that differ only in the order of the frames.
* pretrain.py: pre-trains the small ViT on still pictures.
* pretrain_captions.py: pre-trains the small CLIP on captioned still pictures.
* previous_run.py: checks and removes the run of a previous demonstration.
* recognition.py: the recognition demonstration, from videos to the report.
* results_page.py: search results before and after training.
* retrieval.py: the retrieval demonstration, from videos to the results page.
* still_clip.py: configuration of the small CLIP, and its weights as a full CLIP file.
* still_shapes.py: draws still pictures of one shape.
* videos.py: writes mp4 files of moving shapes.
"""
