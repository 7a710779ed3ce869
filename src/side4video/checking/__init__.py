"""Data sets looked through before training: every file opened, what is wrong with it said, a clean list written.

* clean_list.py: the list of those that are well.
* command.py: the whole of it, and what it writes and prints.
* content.py: hash of a file, and what it is by its content.
* entries.py: what the lists say of each video.
* findings.py: the kinds of what can be wrong.
* judging.py: what is wrong with the entries of the sets.
* page.py: one self-contained HTML page.
* probe.py: one video opened, three frames decoded.
* workers.py: processes of which each file gets so long.
"""
