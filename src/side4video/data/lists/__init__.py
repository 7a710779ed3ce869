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
* text_files.py: text files, JSON, XML; comparing names.
* class_name_files.py: files of class names.
* time_columns.py: which columns contain times, and start and end of a row.
* list_formats.py: all formats, how each is recognised and read.
* list_source.py: a file or folder whose format is detected.
* plain_lists.py: lists without a header.
* tables.py: CSV with a header, JSON lines.
* json_lists.py: JSON of paths and labels.
* json_records.py: the objects that describe one video each in JSON.
* elan.py: annotation files of ELAN.
* epic_kitchens.py: EPIC-Kitchens-100.
* charades.py: Charades.
* diving48.py: Diving48.
* activitynet.py: ActivityNet, and other data sets in its form.
* thumos.py: THUMOS14.
* fiftyone.py: exports of FiftyOne.
* label_studio.py: exports of Label Studio.
* cvat.py: exports of CVAT.
* via.py: VGG Image Annotator 3.
* shard_samples.py: samples of WebDataset shards.
* webdataset.py: WebDataset shards: labels and captions.
* described_folders.py: folders with a table of labels (Hugging Face, Roboflow).
* records.py: rows of CSV files by column names.
* split_names.py: names of splits.
* class_numbers.py: labels that are numbers.
* frame_labels.py: lists with a row for each frame or second.
* frame_numbers.py: times of frame numbers.
* labelled_videos.py: labelled videos and lists of them.
* list_checks.py: check a list before training.
* official_captions.py: MSR-VTT, MSVD, VATEX, DiDeMo, ActivityNet Captions, LSMDC.
* official_lists.py: Kinetics, Something-Something, UCF101, HMDB51.
* safe_unpickler.py: read pickles of plain data without running code.
* segments.py: times of segments, overlaps, how many there are.
* video_finder.py: find the file of a list entry.
"""
