"""Files of list entries in other Unicode forms, with backslashes, and with paths of another machine."""

import unicodedata

import pytest

from side4video.data.lists.annotations import DataError, check_video_list, read_video_list
from side4video.data.lists.captions import read_caption_list
from side4video.data.lists.video_finder import VideoFinder
from side4video.video.remote import is_address, video_path

NAME = "Schl\u00e4ge"


@pytest.mark.parametrize("on_disk", ["NFC", "NFD"])
@pytest.mark.parametrize("in_list", ["NFC", "NFD"])
def test_unicode_forms(tmp_path, on_disk, in_list):
    path = tmp_path / unicodedata.normalize(on_disk, NAME) / unicodedata.normalize(on_disk, "t\u00fcr.mp4")
    path.parent.mkdir()
    path.touch()
    listed = unicodedata.normalize(in_list, f"{NAME}/t\u00fcr.mp4")
    assert VideoFinder(tmp_path).find_existing([listed]).samefile(path)
    assert VideoFinder(tmp_path).find_existing([listed.removesuffix(".mp4")]).samefile(path)


def test_folder_and_list_in_different_forms_are_one_class(tmp_path):
    folder = tmp_path / unicodedata.normalize("NFD", NAME)
    folder.mkdir()
    (folder / "a.mp4").touch()
    train = read_video_list(tmp_path)
    (tmp_path / "test.csv").write_text(f"video,label\n{NAME}/a.mp4,{NAME}\n", encoding="utf-8")
    test = check_video_list(read_video_list(tmp_path / "test.csv", class_names=train.class_names))
    assert [video.label for video in test.videos.videos] == [0]


def test_backslashes_between_folders(tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "x/a.mp4").touch()
    (tmp_path / "x\\b.mp4").touch()  # a valid name on Linux
    finder = VideoFinder(tmp_path)
    assert finder.find_existing(["x\\a.mp4"]) == tmp_path / "x/a.mp4"
    assert finder.find_existing(["x\\a"]) == tmp_path / "x/a.mp4"
    assert finder.find_existing(["x\\b.mp4"]) == tmp_path / "x\\b.mp4"
    assert finder.find_existing(["y\\a.mp4"]) is None


def test_backslashes_do_not_leave_the_root(tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "secret.mp4").touch()
    (tmp_path / "root/list.csv").write_text("video,label\n..\\secret.mp4,x\n")
    with pytest.raises(DataError, match="outside of the root"):
        read_video_list(tmp_path / "root/list.csv", root=tmp_path / "root")


class TestMoved:
    """Lists with absolute paths of another machine, as most tools write them."""

    @pytest.fixture
    def folder(self, tmp_path):
        for name in ("clips/run/a.mp4", "clips/walk fast/c.mp4"):
            (tmp_path / name).parent.mkdir(parents=True)
            (tmp_path / name).touch()
        return tmp_path

    def read(self, folder, *names, **options):
        lines = [f"{name},class {place}" for place, name in enumerate(names)]
        (folder / "list.csv").write_text("\n".join(["video,label", *lines]))
        return read_video_list(folder / "list.csv", **options)

    @pytest.mark.parametrize("start", ["/nowhere/other", "D:\\data", "//server/share"])
    @pytest.mark.parametrize("root", [True, False])
    def test_files_are_found_below_the_root(self, folder, start, root):
        end = "\\clips\\walk fast\\c.mp4" if "\\" in start else "/clips/walk fast/c.mp4"
        names = [f"{start}/clips/run/a.mp4", f"{start}{end}"]
        found = self.read(folder, *names, **({"root": folder} if root else {}))
        assert [video.path for video in found.videos] == [
            folder / "clips/run/a.mp4",
            folder / "clips/walk fast/c.mp4",
        ]
        shown = start.replace("\\", "/")
        assert f"2 paths below {shown!r} are read below {folder}." in found.notes
        check_video_list(found)

    def test_a_file_that_is_missing_in_both_places_is_reported(self, folder):
        found = self.read(folder, "/nowhere/clips/run/missing.mp4", "/nowhere/clips/run/a.mp4")
        with pytest.raises(DataError, match=r"1 of 2 videos are missing: '/nowhere/clips/run/missing\.mp4'"):
            check_video_list(found)

    def test_all_have_moved_from_one_folder(self, folder):
        """The end `a.mp4` alone would also be found."""
        (folder / "a.mp4").touch()
        found = self.read(folder, "/nowhere/walk/b.mp4", "/nowhere/clips/run/a.mp4", "/nowhere/run/a.mp4")
        assert found.videos[1].path == folder / "clips/run/a.mp4"
        with pytest.raises(DataError, match="2 of 3 videos are missing"):
            check_video_list(found)

    def test_a_folder_that_exists_here_has_not_moved(self, folder, tmp_path_factory):
        """A deleted file is not replaced by one of the same name elsewhere."""
        own = tmp_path_factory.mktemp("own")
        (own / "b.mp4").touch()
        (folder / "a.mp4").touch()
        found = self.read(folder, f"{own}/a.mp4", f"{own}/b.mp4")
        with pytest.raises(DataError, match="1 of 2 videos are missing"):
            check_video_list(found)

    def test_captions(self, folder):
        (folder / "captions.csv").write_text("video,caption\n/nowhere/clips/run/a.mp4,a run\n")
        found = read_caption_list(folder / "captions.csv")
        assert [video.path for video in found.videos] == [folder / "clips/run/a.mp4"]
        assert found.notes == (f"1 paths below '/nowhere' are read below {folder}.",)


class TestSubFolders:
    """Lists of bare names, whose files are in sub-folders."""

    @pytest.fixture(params=["folder", "memory://sub-folders"])
    def root(self, request, tmp_path):
        root = tmp_path if request.param == "folder" else video_path(request.param)
        for name in ("run/a.mp4", "walk/fast/b.mp4", "walk/b.webm", ".trash/a.mp4", "@eaDir/a.mp4"):
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"...")
        yield root
        if is_address(root):
            root.fs.rm(root.path, recursive=True)

    def read(self, folder, root, *names):
        (folder / "list.csv").write_text("\n".join(["video,label", *(f"{name},{name[0]}" for name in names)]))
        return read_video_list(folder / "list.csv", root=root)

    def test_files_are_found_by_their_names(self, root, tmp_path):
        found = self.read(tmp_path, root, "a.mp4", "b.mp4", "missing.mp4")
        assert [video.path for video in found.videos] == [
            root / "run/a.mp4",
            root / "walk/fast/b.mp4",
            root / "missing.mp4",
        ]
        assert f"2 names without a folder are found in the folders below {root}." in found.notes
        with pytest.raises(DataError, match=r"1 of 3 videos are missing: 'missing\.mp4'"):
            check_video_list(found)

    def test_a_name_in_two_folders_is_refused(self, root, tmp_path):
        with pytest.raises(DataError, match=r"'b' is .*walk/b\.webm and .*walk/fast/b\.mp4.*Write the folder before"):
            self.read(tmp_path, root, "a", "b")

    def test_a_deleted_file_is_not_replaced_by_one_in_a_sub_folder(self, root, tmp_path):
        (root / "c.mp4").write_bytes(b"...")
        found = self.read(tmp_path, root, "a.mp4", "c.mp4")
        with pytest.raises(DataError, match=r"1 of 2 videos are missing: 'a\.mp4'"):
            check_video_list(found)

    def test_captions(self, root, tmp_path):
        (tmp_path / "captions.csv").write_text("video,caption\na.mp4,a run\n")
        found = read_caption_list(tmp_path / "captions.csv", root=root)
        assert [video.path for video in found.videos] == [root / "run/a.mp4"]
        assert found.notes == (f"1 names without a folder are found in the folders below {root}.",)


def test_file_urls_and_the_home_folder(tmp_path, monkeypatch):
    (tmp_path / "a b.mp4").touch()
    monkeypatch.setenv("HOME", str(tmp_path))
    finder = VideoFinder(tmp_path / "elsewhere")
    for name in (f"file://{tmp_path}/a%20b.mp4", f"file://localhost{tmp_path}/a b.mp4", "~/a b.mp4"):
        assert finder.find_existing([name]) == tmp_path / "a b.mp4", name
