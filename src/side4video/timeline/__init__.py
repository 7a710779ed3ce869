"""Classes over time in long videos: windows on one grid of frames, scores, moments, their evaluation and their files.

* detection.py: average precision of moments against labelled segments.
* encoding.py: frozen tokens of single frames, and the scores of windows from them.
* evaluate.py: score an adapter's timelines against labelled segments.
* files.py: writes a timeline as JSON, CSV, subtitles and a page.
* find.py: the timeline of a video.
* grid.py: the frame grid that all windows share.
* live.py: what a live stream shows now.
* page.py: one HTML page with the player and a bar per class.
* segments.py: smoothed scores, cut into moments.
* timeline.py: the settings and the result.
"""
