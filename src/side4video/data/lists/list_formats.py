"""All formats of lists of labelled videos: how each is recognised and read. Add a format here.

A format is a file with two functions: `is_...(source)` looks at a `ListSource`, `read_...(path, options)` returns a
`Table` of rows with names, labels and times. `annotations.py` finds the videos' files and numbers the classes.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from side4video.data.lists.activitynet import is_activitynet, read_activitynet
from side4video.data.lists.charades import is_charades, read_charades
from side4video.data.lists.class_folders import read_class_folders
from side4video.data.lists.cvat import is_cvat, read_cvat
from side4video.data.lists.described_folders import is_described_folder, read_described_folder
from side4video.data.lists.diving48 import is_diving48, read_diving48
from side4video.data.lists.elan import is_elan, read_elan
from side4video.data.lists.epic_kitchens import is_epic_kitchens, read_epic_kitchens
from side4video.data.lists.fiftyone import (
    is_fiftyone_labels,
    is_fiftyone_samples,
    read_fiftyone_labels,
    read_fiftyone_samples,
)
from side4video.data.lists.json_lists import is_json_list, read_json_list
from side4video.data.lists.label_studio import is_label_studio, read_label_studio
from side4video.data.lists.list_source import ListSource
from side4video.data.lists.official_lists import (
    is_hmdb51,
    is_kinetics,
    is_something_v1,
    is_something_v2,
    is_ucf101,
    read_hmdb51,
    read_kinetics,
    read_something_v1,
    read_something_v2,
    read_ucf101,
)
from side4video.data.lists.plain_lists import read_plain_list
from side4video.data.lists.rows import ReadOptions, Table
from side4video.data.lists.tables import is_csv, read_csv, read_json_lines
from side4video.data.lists.text_files import DataError, describe_json
from side4video.data.lists.thumos import is_thumos, read_thumos
from side4video.data.lists.via import is_via, read_via
from side4video.data.lists.webdataset import is_webdataset, read_webdataset


class Format(NamedTuple):
    """A format: how it is recognised and read.

    >>> FORMATS["jsonl"].spells_loosely
    False
    """

    recognises: Callable[[ListSource], bool]
    read: Callable[[Path, ReadOptions], Table]
    spells_loosely: bool = False
    """Files of this public data set spell class names in several ways, so punctuation is ignored."""
    has_label_fields: bool = False
    """Files have several kinds of labels, among which `ReadOptions.label_field` chooses."""


def _is_json_lines(source: ListSource) -> bool:
    return source.suffix in {".jsonl", ".ndjson"} or bool(source.lines and re.match(r'\{\s*"', source.lines[0]))


FORMATS: dict[str, Format] = {  # in the order in which they are tried
    "webdataset": Format(is_webdataset, read_webdataset, has_label_fields=True),
    "ucf101": Format(is_ucf101, read_ucf101, spells_loosely=True),
    "hmdb51": Format(is_hmdb51, read_hmdb51, spells_loosely=True),
    "thumos": Format(is_thumos, read_thumos),
    "fiftyone-samples": Format(is_fiftyone_samples, read_fiftyone_samples, has_label_fields=True),
    "fiftyone-labels": Format(is_fiftyone_labels, read_fiftyone_labels),
    "cvat": Format(is_cvat, read_cvat, has_label_fields=True),
    "elan": Format(is_elan, read_elan, has_label_fields=True),
    "metadata": Format(is_described_folder, read_described_folder),
    "folder": Format(lambda source: bool(source.sub_folders), read_class_folders),
    "label-studio": Format(is_label_studio, read_label_studio, has_label_fields=True),
    "via": Format(is_via, read_via, has_label_fields=True),
    "diving48": Format(is_diving48, read_diving48),
    "ssv2": Format(is_something_v2, read_something_v2, spells_loosely=True),
    "activitynet": Format(is_activitynet, read_activitynet),
    "json": Format(is_json_list, read_json_list),
    "jsonl": Format(_is_json_lines, read_json_lines),
    "epic-kitchens": Format(is_epic_kitchens, read_epic_kitchens, has_label_fields=True),
    "charades": Format(is_charades, read_charades, has_label_fields=True),
    "kinetics": Format(is_kinetics, read_kinetics, spells_loosely=True),
    "csv": Format(is_csv, read_csv),
    "ssv1": Format(is_something_v1, read_something_v1, spells_loosely=True),
    "list": Format(lambda source: bool(source.lines), read_plain_list),
}


def detect_format(path: Path) -> str:
    """The name of the format of a file or folder. Raises `DataError` if none matches, with what was found."""
    source = ListSource(path)
    found = next((name for name, format in FORMATS.items() if format.recognises(source)), None)
    if found is not None:
        return found
    if source.is_folder:
        raise DataError(
            f"{path} contains neither one sub-folder per class, nor classInd.txt (UCF101), nor files named "
            "<class>_test_split1.txt (HMDB51), <class>_val.txt (THUMOS14), metadata.csv or .jsonl, labels.json, "
            "samples.json or annotations.xml. Give such a folder or a list file."
        )
    if source.suffix == ".json":
        raise DataError(
            f"{path} is {describe_json(source.json)}, not a list of labelled videos. Write {{path: label}} or "
            '[{"video": path, "label": label}], or name the format: --data.format '
            f"{', '.join(FORMATS)}."
        )
    raise DataError(f"{path} is empty. Write one video per line: `path label`.")
