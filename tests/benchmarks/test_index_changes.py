"""The benchmark of index changes: each change and size once, on few videos."""

import json

import index_changes


def test_every_change_is_measured(tmp_path, capsys):
    index_changes.main(["--out", str(tmp_path / "changes.json"), "--videos", "60", "--changed", "1", "9"])
    written = json.loads((tmp_path / "changes.json").read_text())
    assert [(row["change"], row["videos"]) for row in written["results"]] == [
        (name, count) for name in ("move", "set_metadata", "replace_windows", "replace_by_others") for count in (1, 9)
    ]
    assert all(row["seconds"] > 0 and row["optimise_seconds"] >= 0 for row in written["results"])
    assert written["videos"] == 60
