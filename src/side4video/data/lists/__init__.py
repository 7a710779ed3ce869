"""Lists of labelled and captioned videos: formats, detection, checks.

* annotations.py: lists of labelled videos, read and checked.
* caption_detection.py: which format a file of captions has.
* caption_files.py: JSON, pickles and text, told apart by content.
* caption_formats.py: CSV, JSON lines, JSON.
* captions.py: videos with captions, read and checked.
* groups.py: which clips belong together.
* inside_root.py: no list leaves the root that was given.
* list_detection.py: which format a list has.
* list_files.py: text files and class names as users have them.
* list_formats.py: folders, plain lists, CSV.
* official_captions.py: MSR-VTT, MSVD, VATEX, DiDeMo, ActivityNet Captions, LSMDC.
* official_lists.py: Kinetics, Something-Something, UCF101, HMDB51.
* safe_unpickler.py: pickles of plain data, without running anything.
* video_finder.py: which file a list means.
"""
