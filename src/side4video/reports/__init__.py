"""HTML reports of runs.

* explanation_page.py: a page and a JSON file about one video.
* heatmaps.py: draws evidence for a class as heatmaps over frames.
* multi_label_report.py: the parts that differ for videos with several labels.
* report.py: one self-contained HTML page.
* report_pictures.py: its curves, confusion matrix and film strips.
* retrieval_report.py: one page that compares the search results of several models.
* run_report.py: the report of a run folder.
"""
