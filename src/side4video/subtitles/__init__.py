"""Subtitles of videos: files next to a video and text tracks inside it.

* cues.py: the parts of subtitles, with their text and time.
* parsing.py: the text of SubRip and WebVTT files.
* sidecars.py: subtitle files next to a video, and their encodings.
* tracks.py: text tracks inside a video file.
* words.py: words of a text, compared across spellings.
"""
