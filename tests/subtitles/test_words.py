"""Words of texts in several scripts."""

import unicodedata

import pytest

from side4video.subtitles.words import find_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The DOG, the cat!", ["the", "dog", "the", "cat"]),
        ("Café straße naïve", ["cafe", "strasse", "naive"]),
        ("don\u2019t don't", ["don", "t", "don", "t"]),
        ("l'homme L\u02bcHomme l\u2019homme", ["l", "homme"] * 3),
        ("Łódź Smørrebrød Cœur Đà \u0131s\u0131", ["lodz", "smorrebrod", "coeur", "da", "isi"]),
        ("co\u00adop \u0645\u062d\u0640\u0640\u0645\u062f", ["coop", "\u0645\u062d\u0645\u062f"]),
        ("كتابي کتابی", ["کتابی", "کتابی"]),
        ("か が か\u3099 は ぱ", ["か", "が", "が", "は", "ぱ"]),
        ("ﾄﾞｯｸﾞ ドッグ", ["ド", "ッ", "グ"] * 2),
        ("x_y 3.5", ["x", "y", "3", "5"]),
        ("狗在叫", ["狗", "在", "叫"]),
        ("собака лает", ["собака", "лает"]),
        ("हिन्दी में", ["हिनदी", "में"]),
        ("...", []),
    ],
)
def test_words(text, words):
    assert [word for word, _, _ in find_words(text)] == words


def test_places_of_words_are_those_of_the_text():
    text = unicodedata.normalize("NFD", "Le café \u2013 noir")
    assert [text[start:end] for _, start, end in find_words(text)] == [
        "Le",
        unicodedata.normalize("NFD", "café"),
        "noir",
    ]
