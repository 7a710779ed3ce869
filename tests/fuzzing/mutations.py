"""Damaged variants of a file: bytes, text, JSON, safetensors headers and ZIP archives changed at random."""

import io
import json
import struct
import zipfile
import zlib

ODD_TEXTS = (
    *("", " ", "\t", ",", ";", "::", "\n", "\r\n", "\r", '"', "'", "\\", "\0", "\x1b[2J", "\u2028", "\x85", "\ufeff"),
    *("-1", "0", "1e999", "-0", "nan", "Infinity", "9" * 25, "9" * 5000, "1_0", "\u0664\u0662", "0x10", "1e-400"),
    *("null", "true", "~", "[]", "{}", '""', "!!python/object/apply:os.system [id]", "&a [*a]", "*b", "<<: 1", "? "),
    *("2001-99-99", "12:99:99", "../../etc/passwd", "/", "//", ".", "C:\\x", "\U0001f600", "\u202e", "<script>", "{}"),
    *("---\n", "%YAML 9.9\n", "a" * 300, "b" * 100_000, '"\\ud800"', "a.mp4", "video,label", "video,caption"),
)
ODD_VALUES = (
    *(None, True, False, 0, -1, 1.5, 1e308, 10**30, -(10**30), "", "x", "\0", "\ud800", "9" * 5000, [], {}, [[]]),
    *([None], {"": None}, {"x": [1, {"y": "z"}]}, ["a", 1], float("nan"), float("inf"), "a" * 50_000, list(range(500))),
)
NESTED = (
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b"- " * 5_000,
    b"(" * 50_000,
    b"]" * 1000,
    b"a: [" * 2_000,
    b"[" * 300 + b"]" * 300,
)
LAUGHS = b"a: &a [x, x, x, x, x, x, x, x, x]\n" + b"".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n".encode() for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
ENCODINGS = ("utf-16", "utf-16-be", "utf-32", "latin-1", "cp1252", "utf-8-sig", "utf-7")


def mutate(data, random):
    """`data` after one to three random changes; a change that does not suit it is replaced by one of bytes."""
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        change = random.choice((*BYTES, *BYTES, *TEXTS, *STRUCTURES, *STRUCTURES))
        try:
            data = change(data, random)
        except (ValueError, LookupError, RecursionError, OverflowError, struct.error, zipfile.BadZipFile, zlib.error):
            data = random.choice(BYTES)(data, random)
    return data


# --- bytes ----------------------------------------------------------------------------------------------------------


def cut_off(data, random):
    return data[: random.randrange(len(data) + 1)]


def flip_bits(data, random):
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 4, 32)) if data else 0):
        changed[random.randrange(len(data))] ^= 1 << random.randrange(8)
    return bytes(changed)


def insert_bytes(data, random):
    place = random.randrange(len(data) + 1)
    return data[:place] + random.randbytes(random.choice((1, 2, 8, 100))) + data[place:]


def delete_bytes(data, random):
    start = random.randrange(len(data) + 1)
    return data[:start] + data[start + random.choice((1, 2, 10, 1000)) :]


def repeat_bytes(data, random):
    start = random.randrange(len(data) + 1)
    end = start + random.choice((1, 5, 50, 500))
    return data[:end] + data[start:end] * random.choice((1, 2, 100)) + data[end:]


def empty(data, random):
    return random.choice((b"", b"\n", b"  \n\n ", b"\0", b"\0" * 1000, b"\xef\xbb\xbf"))


def nest(data, random):
    place = random.choice((0, 0, len(data), random.randrange(len(data) + 1)))
    return data[:place] + random.choice((*NESTED, LAUGHS)) + random.choice((b"", data[place:]))


BYTES = (cut_off, flip_bits, flip_bits, insert_bytes, delete_bytes, repeat_bytes, empty, nest)


# --- text -----------------------------------------------------------------------------------------------------------


def insert_odd_text(data, random):
    text = data.decode()
    place = random.randrange(len(text) + 1)
    return (text[:place] + random.choice(ODD_TEXTS) + text[place:]).encode(errors="surrogatepass")


def replace_field(data, random):
    """Replace a field between two delimiters."""
    text = data.decode()
    delimiters = [place for place, letter in enumerate(text) if letter in ',;\t \n:"']
    start = random.choice(delimiters)
    end = next((place for place in delimiters if place > start), len(text))
    return (text[: start + 1] + random.choice(ODD_TEXTS) + text[end:]).encode(errors="surrogatepass")


def move_line(data, random):
    lines = data.decode().split("\n")
    line = lines.pop(random.randrange(len(lines)))
    lines.insert(random.randrange(len(lines) + 1), line)
    return "\n".join(lines + random.choice(([], [line], [line] * 50))).encode()


def other_encoding(data, random):
    return data.decode().encode(random.choice(ENCODINGS), "replace")


TEXTS = (insert_odd_text, replace_field, replace_field, move_line, other_encoding)


# --- structures -----------------------------------------------------------------------------------------------------


def change_json(data, random):
    """One value or name anywhere in it becomes another; of JSON lines, in one line."""
    text = data.decode()
    lines = text.split("\n")
    try:
        return json.dumps(_change(json.loads(text), random)).encode()
    except ValueError:
        place = random.randrange(len(lines))
        lines[place] = json.dumps(_change(json.loads(lines[place]), random))
        return "\n".join(lines).encode()


def _change(content, random):
    if not isinstance(content, (dict, list)) or not content or random.random() < 0.15:
        return random.choice(ODD_VALUES)
    key = random.choice(list(content) if isinstance(content, dict) else range(len(content)))
    if random.random() < 0.2:
        del content[key]
    elif isinstance(content, dict) and random.random() < 0.2:
        content[random.choice(ODD_TEXTS)] = content.pop(key)
    else:
        content[key] = _change(content[key], random)
    return content


def change_safetensors_header(data, random):
    (length,) = struct.unpack("<Q", data[:8])
    header = change_json(data[8 : 8 + length], random)
    length = random.choice((len(header),) * 8 + (0, len(header) + 1, 2**40, 2**64 - 1))
    return struct.pack("<Q", length) + header + data[8 + len(header) :]


def change_archive_member(data, random):
    """One file of a ZIP archive, whose checksum is then right."""
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(changed, "w", zipfile.ZIP_STORED) as new:
        names = old.namelist()
        chosen = random.choice([name for name in names if name.endswith(".pkl")] * len(names) + names)
        for name in names:
            content = old.read(name)
            new.writestr(name, random.choice(BYTES[:6])(content, random) if name == chosen else content)
    return changed.getvalue()


STRUCTURES = (change_json, change_json, change_safetensors_header, change_archive_member)
