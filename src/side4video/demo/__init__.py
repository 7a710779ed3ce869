"""An offline demonstration on moving shapes that the package makes itself.

* captioned_stills.py: captions of stills, and the pictures.
* captioned_videos.py: videos of them, and their lists.
* previous_run.py: what a new run of it replaces.
* moving_captions.py: captions whose motion only the order of the frames tells.
* moving_shapes.py: eight motions that only their order tells apart.
* pretrain.py: pre-trains the small ViT on stills.
* pretrain_captions.py: pre-trains the small CLIP on them.
* retrieval.py: the retrieval demonstration, from videos to page.
* run.py: from videos to report.
* search_page.py: what was found before and after.
* demo_index.py: its test videos as an index.
* still_clip.py: its shape, and its weights as a full CLIP file.
* still_shapes.py: the pictures.
* videos.py: real mp4 files of them.
"""
