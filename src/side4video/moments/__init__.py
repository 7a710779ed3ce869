"""Moments of videos, and the forms in which they leave the program.

* clips.py: moments cut out of their videos.
* edit_list.py: an edit list for editing programs, through OpenTimelineIO.
* moment.py: a named part of a video.
* subtitles.py: WebVTT and SubRip files, which video players show.
* tables.py: CSV.
"""
