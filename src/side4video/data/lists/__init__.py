"""Lists of labelled and captioned videos: formats, format detection, checks.

* annotations.py: read and check lists of labelled videos.
* caption_detection.py: detect the format of a caption file.
* caption_files.py: JSON, pickle and text files, detected by content.
* caption_formats.py: captions in CSV, JSON lines and JSON.
* captions.py: read and check lists of captioned videos.
* several_labels.py: lists whose videos have several labels.
* rows.py: what readers get and return.
* class_folders.py: a folder with one sub-folder per class.
* columns.py: which column contains paths, labels, times, splits and groups.
* configured_lists.py: read the list that the settings name.
* groups.py: which clips belong together.
* held_out.py: divide one list into training and evaluation clips.
* labels.py: find the class of each label.
* overlap.py: evaluation videos among the training videos.
* path_traversal.py: refuse paths that leave the root folder.
* list_detection.py: detect the format of a list.
* text_files.py: text files and class names.
* list_formats.py: plain lists, CSV, JSON lines.
* official_captions.py: MSR-VTT, MSVD, VATEX, DiDeMo, ActivityNet Captions, LSMDC.
* official_lists.py: Kinetics, Something-Something, UCF101, HMDB51.
* safe_unpickler.py: read pickles of plain data without running code.
* segments.py: times of segments, overlaps, how many there are.
* video_finder.py: find the file of a list entry.
"""
