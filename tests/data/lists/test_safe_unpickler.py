"""Pickles of Python 2 and 3 are read, and no code in them is executed."""

import copyreg
import os
import pickle
import pickletools
import random
from pathlib import Path

import pytest

from side4video.data.lists.safe_unpickler import PLAIN_OPCODES, is_pickle, load_plain_pickle
from side4video.data.lists.text_files import DataError

CAPTIONS = {
    "-4wsuPCjDBc_5_15": [["a", "squirrel", "is", "eating"], ["café", "日本"]],
    "numbers": [0, -1, 300, 70_000, 2**40, -(10**30), 1.5, True, None],
    "rest": ([], {}, (), ("a",), (1, 2), (1, 2, 3), (1, 2, 3, 4), {"x": {"1": "y"}}, "x" * 300),
}


class Attack:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def load(data: bytes) -> object:
    return load_plain_pickle(data, Path("captions.pkl"))


def refused(data: bytes) -> str:
    with pytest.raises(DataError) as caught:
        load(data)
    assert str(caught.value).startswith("captions.pkl is a ")
    return str(caught.value)


class TestPlainData:
    @pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
    def test_all_protocols(self, protocol):
        data = pickle.dumps(CAPTIONS, protocol)
        assert is_pickle(data)
        assert load(data) == CAPTIONS

    @pytest.mark.parametrize("text", [b"caf\xc3\xa9", b"caf\xe9"], ids=["utf-8", "latin-1"])
    def test_text_of_python_2(self, text):
        """The bytes that `pickle.dump({"id": [["cafe"]]})` of Python 2.7 writes in protocols 0, 1 and 2."""
        escaped = repr(text)[1:].encode()
        for data in (
            b"(dp0\nS'id'\np1\n(lp2\n(lp3\nS" + escaped + b"\np4\naas.",
            b"}q\x00U\x02idq\x01]q\x02]q\x03U" + bytes([len(text)]) + text + b"q\x04aas.",
            b"\x80\x02}q\x00U\x02idq\x01]q\x02]q\x03U" + bytes([len(text)]) + text + b"q\x04aas.",
        ):
            assert is_pickle(data)
            assert load(data) == {"id": [["café"]]}

    def test_shared_and_circular_lists(self):
        circular: list = []
        circular.append(circular)
        shared = ["a"]
        one, two = load(pickle.dumps([shared, shared]))
        assert one is two
        again = load(pickle.dumps(circular))
        assert again[0] is again

    def test_a_large_memo_index_takes_no_memory(self):
        assert load(b"\x80\x02]r\xff\xff\xff\xff.") == []

    @pytest.mark.parametrize("data", [b'{"a": []}', b"[1]", b"video0\n", b"(dark) scene.mp4\n", b"", b"}\n"])
    def test_other_files_are_not_pickles(self, data):
        assert not is_pickle(data)


class TestNothingIsRun:
    @pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
    def test_an_attack_is_refused(self, tmp_path, protocol):
        data = pickle.dumps({"id": [["a"], Attack(tmp_path / "harmed")]}, protocol)
        message = refused(data)
        assert "could execute code" in message
        assert "Save the captions as JSON" in message
        assert not (tmp_path / "harmed").exists()
        pickle.loads(data)
        assert (tmp_path / "harmed").exists(), "the attack is none"

    @pytest.mark.parametrize(
        ("data", "instruction"),
        [
            (b"cos\nsystem\n(S'touch %s'\ntR.", "GLOBAL"),
            (b"(S'touch %s'\nios\nsystem\n.", "INST"),
            (b"(cos\nsystem\nS'touch %s'\no.", "GLOBAL"),
            (b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x09touch %s\x85R.", "STACK_GLOBAL"),
            (b"\x80\x02\x82\x01.", "EXT1"),
            (b"P%s\n.", "PERSID"),
            (b"\x80\x02K\x01Q.", "BINPERSID"),
            (b"\x80\x02}}b.", "BUILD"),
            (b"\x80\x02])R.", "REDUCE"),
            (b"\x80\x02])\x81.", "NEWOBJ"),
            (b"\x80\x05\x97.", "NEXT_BUFFER"),
        ],
    )
    def test_handwritten_attacks_are_refused(self, tmp_path, monkeypatch, data, instruction):
        monkeypatch.chdir(tmp_path)
        assert f"(instruction {instruction})" in refused(data.replace(b"%s", b"harmed"))
        assert not list(tmp_path.iterdir())

    def test_extension_codes_are_refused(self, tmp_path):
        """After it was unpickled once in this process, such a class is loaded without a call of `find_class`."""
        copyreg.add_extension("os", "system", 240)
        try:
            assert pickle.loads(b"\x80\x02\x82\xf0.") is os.system
            assert "EXT1" in refused(b"\x80\x02\x82\xf0.")
        finally:
            copyreg.remove_extension("os", "system", 240)

    @pytest.mark.parametrize("opcode", pickletools.opcodes, ids=lambda opcode: opcode.name)
    def test_only_listed_instructions_are_supported(self, opcode):
        message = f"instruction {opcode.name})"
        code = opcode.code.encode("latin-1")
        if opcode.name in PLAIN_OPCODES:
            assert opcode.name == "STOP" or message not in refused(b"\x80\x05" + code)
        else:
            assert message in refused(b"\x80\x05" + code)

    @pytest.mark.parametrize("value", [{1}, frozenset({1}), bytearray(b"a"), 1j, Path("a"), range(3), len])
    def test_other_types(self, value):
        assert "contains more than text" in refused(pickle.dumps({"a": value}, 5))


class TestBroken:
    @pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
    def test_truncation_anywhere_is_a_data_error(self, protocol):
        data = pickle.dumps({"id": [["a", "b"], ["c"]]}, protocol)
        for length in range(len(data)):
            assert "corrupt pickle" in refused(data[:length])

    def test_corruption_anywhere_is_a_data_error(self):
        """Any corrupt pickle raises a `DataError`."""
        generator = random.Random(0)
        outcomes = set()
        for protocol in range(6):
            data = pickle.dumps(CAPTIONS, protocol)
            for _ in range(500):
                damaged = bytearray(data)
                for _ in range(generator.choice([1, 1, 3])):
                    damaged[generator.randrange(len(data))] = generator.randrange(256)
                try:
                    load(bytes(damaged))
                    outcomes.add("read")
                except DataError as error:
                    outcomes.add(str(error).split("(")[0])
        assert len(outcomes) == 3

    def test_deep_nesting(self):
        depth = 50_000
        value = load(b"\x80\x02" + b"]" * depth + b"a" * (depth - 1) + b".")
        for _ in range(depth - 1):
            (value,) = value
        assert value == []

    @pytest.mark.parametrize("put", [b"K\x01s", b"K\x01", b""], ids=["SETITEM", "SETITEMS", "DICT"])
    def test_deeply_nested_keys_are_refused(self, put):
        """Hashing three million nested tuples crashes the process."""
        key = b")" + b"\x85" * 1000
        data = {b"K\x01s": b"}" + key + b"K\x01s", b"K\x01": b"}(" + key + b"K\x01u", b"": b"(" + key + b"K\x01d"}[put]
        assert "dictionary key that is not text" in refused(b"\x80\x02" + data + b".")
