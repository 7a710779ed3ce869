"""Escape parts of names that an output cannot contain: bytes that are not UTF-8, and control characters."""


def escape_surrogates(text: str) -> str:
    """The text with bytes of file names that are not UTF-8 escaped, such as `\\udce9`, so that UTF-8 can encode it.

    >>> escape_surrogates("caf\\udce9.mp4")
    'caf\\\\udce9.mp4'
    """
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def escape_unprintable(text: str) -> str:
    """The text on one line, with control characters for terminals escaped.

    >>> escape_unprintable("a\\tb")
    'a\\\\tb'
    """
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
