"""Check a data set before training: open every file, report errors, write a clean list.

* arguments.py: the arguments of `check-data`.
* clean_list.py: a list of the entries without errors.
* command.py: the complete check, and what it writes and prints.
* content.py: hash of a file, and its kind by content.
* entries.py: what the lists state about each video.
* escaping.py: escape parts of names that an output cannot contain.
* findings.py: the kinds of findings.
* page.py: one self-contained HTML page.
* probe.py: open a video and decode three frames.
* set_checker.py: findings for the entries of the data sets.
* workers.py: worker processes with a timeout per file.
"""
