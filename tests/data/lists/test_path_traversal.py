"""Lists cannot name videos outside of the root, by `..`, absolute paths or links, unless this is allowed."""

import json

import pytest

from side4video.cli import main
from side4video.data.lists.annotations import DataError, check_video_list, read_video_list
from side4video.data.lists.captions import read_caption_list


@pytest.fixture
def place(tmp_path):
    """A root with videos, and videos outside of it."""
    for name in ("root/a.mp4", "root/deep/b.mp4", "root-2/c.mp4", "secret/d.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def read(place, *names, **options):
    source = place / "list.csv"
    source.write_text("\n".join(["video,label", *(f"{name},x" for name in names)]) + "\n")
    return read_video_list(source, **{"root": place / "root"} | options)


def refused(place, *names, **options):
    with pytest.raises(DataError) as caught:
        read(place, *names, **options)
    return str(caught.value)


@pytest.mark.parametrize(
    "name",
    ["../secret/d.mp4", "../../../../../etc/passwd", "deep/../../secret/d", "..", "../root-2/c.mp4", "deep/../.."],
)
def test_dots(place, name):
    said = refused(place, "a.mp4", name)
    assert f"list.csv names videos outside of the root {place / 'root'}: line 3, '{name}' (resolves to /" in said
    assert "--data.outside-root allow" in said


def test_absolute_paths(place):
    said = refused(place, "/etc/passwd", place / "root/a.mp4")
    assert "line 2, '/etc/passwd' (resolves to /etc/passwd)" in said
    assert "a.mp4" not in said


def test_links(place):
    (place / "root/link.mp4").symlink_to(place / "secret/d.mp4")
    (place / "root/links").symlink_to(place / "secret")
    assert f"'link.mp4' (resolves to {place / 'secret/d.mp4'})" in refused(place, "link.mp4")
    assert f"'links/d.mp4' (resolves to {place / 'secret/d.mp4'})" in refused(place, "links/d.mp4")
    assert "'links' (resolves to" in refused(place, "links")


def test_allowed_on_request(place):
    (place / "root/link.mp4").symlink_to(place / "secret/d.mp4")
    found = read(place, "link.mp4", place / "secret/d.mp4", "../root-2/c.mp4", outside_root="allow")
    assert check_video_list(found).num_found == 3


def test_without_a_root_all_paths_are_allowed(place):
    (place / "lists").mkdir()
    (place / "lists/list.csv").write_text(f"video,label\n../secret/d.mp4,x\n{place / 'root/a.mp4'},x\n")
    assert check_video_list(read_video_list(place / "lists/list.csv")).num_found == 2


def test_videos_inside_the_root_are_read(place):
    (place / "root/link.mp4").symlink_to("deep/b.mp4")
    (place / "to-root").symlink_to("root")
    names = ("a.mp4", "deep/b.mp4", "deep/../a.mp4", "./deep/./b.mp4", place / "root/a.mp4", "link.mp4")
    assert len(read(place, *names).videos) == 6
    assert len(read(place, *names, root=place / "to-root").videos) == 6
    assert len(read(place, "etc/hosts", root="/").videos) == 1


def test_errors_name_at_most_ten_paths(place):
    said = refused(place, *(f"../x{number}.mp4" for number in range(30)))
    assert "line 11, '../x9.mp4'" in said
    assert "'../x10.mp4'" not in said
    assert "(30 in all)" in said


def test_impossible_file_names_count_as_missing(place):
    found = read(place, "a.mp4", "x\0/../../secret/d.mp4")
    assert check_video_list(found, allow_missing=True).num_found == 1


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("c.csv", "video,caption\n../secret/d.mp4,a dog\n"),
        ("c.jsonl", '{"video": "a.mp4", "caption": "a dog"}\n{"video": "../secret/d.mp4", "caption": "a dog"}\n'),
        ("c.json", json.dumps({"../secret/d.mp4": ["a dog"]})),
        ("vatex.json", json.dumps([{"videoID": "../secret/d", "enCap": ["a dog"]}])),
    ],
)
def test_captions(place, name, content):
    (place / name).write_text(content)
    with pytest.raises(DataError, match=r"line \d, '\.\./secret/d"):
        read_caption_list(place / name, root=place / "root")
    found = read_caption_list(place / name, root=place / "root", outside_root="allow")
    assert found.videos[-1].path.samefile(place / "secret/d.mp4")


def test_the_commands_refuse_them_unless_allowed(place, capsys):
    (place / "list.csv").write_text("video,label\n../secret/d.mp4,x\n")
    command = ["check-data", "--data.train", str(place / "list.csv"), "--data.root", str(place / "root")]
    assert main([*command, "--out", str(place / "out")]) == 2
    assert "outside of the root" in capsys.readouterr().err
    main([*command, "--out", str(place / "out"), "--data.outside-root", "allow"])
    assert "outside of the root" not in capsys.readouterr().err
