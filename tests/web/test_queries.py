"""Combined queries of clients, and what they say about their scores."""

import pytest
from fastapi import HTTPException

from side4video.search.metadata import column_types, column_values
from side4video.web.columns import describe_columns
from side4video.web.page_content import PageContent, fold_copies
from side4video.web.queries import ClientQuery, read_query
from side4video.web.request_parameters import form_conditions, form_number
from side4video.web.responses import VideoResponse


def read(*texts, unwanted=(), **options):
    query = read_query(texts, unwanted, max_letters=20, **options)
    return query.texts, query.unwanted


def test_texts_are_split_and_stripped():
    assert read(" a  dog ", "", 'a ball -"a red cat"', unwanted=["snow", " "]) == (
        ("a dog", "a ball"),
        ("a red cat", "snow"),
    )
    assert read(unwanted=["snow"], has_example=True) == ((), ("snow",))


@pytest.mark.parametrize(
    ("texts", "unwanted", "reason"),
    [
        ([], [], "The query is empty"),
        (["  "], [], "The query is empty"),
        (["\u200b\0"], [], "The query is empty"),
        (["-\u201ca dog\u201d"], [], "only what is unwanted"),
        (['-"a dog"'], [], "only what is unwanted"),
        ([], ["a dog"], "only what is unwanted"),
        (["x" * 21], [], "21 characters"),
        (["a"], ["x" * 21], "21 characters"),
        (list("abcdefghi"), [], "more than 8 texts"),
    ],
)
def test_wrong_queries_are_refused(texts, unwanted, reason):
    with pytest.raises(HTTPException, match=reason):
        read(*texts, unwanted=unwanted)


@pytest.mark.parametrize(
    ("query", "title", "computed"),
    [
        (ClientQuery(texts=("a",)), "“a”", None),
        (ClientQuery(example="x", example_name="x.mp4"), "Similar to x.mp4", None),
        (
            ClientQuery(texts=("a", "b"), example="x", example_name="x.mp4"),
            "“a” + “b” + like x.mp4",
            "the mean of the scores of 2 texts and the example.",
        ),
        (
            ClientQuery(texts=("a",), unwanted=("b", "c")),
            "“a” \u2212 “b” \u2212 “c”",
            "the score of the text, minus the mean of the scores of 2 unwanted texts.",
        ),
    ],
)
def test_titles_and_explanations(query, title, computed):
    assert query.title == title
    assert (query.computed is None) == (computed is None)
    assert computed is None or computed in query.computed


def test_conditions_and_numbers_of_the_form():
    fields = [("min:year", "2020"), ("where", "a=b"), ("has:title", "dog"), ("q", "x"), ("max:", "1"), ("where", " ")]
    assert form_conditions(fields) == ["a=b", "year>=2020", "title~dog"]
    assert form_number("0,5".replace(",", "."), "subtitles", 0.2, maximum=10) == 0.5
    for text in ("-1", "much", "nan", "inf", "10.5"):
        with pytest.raises(HTTPException, match="subtitles="):
            form_number(text, "subtitles", 0.2, maximum=10)


def test_choices_of_a_column_are_what_conditions_compare():
    metadata = [
        {"camera": value, "views": 1234560.0 + number} for number, value in enumerate((7.0, "7", "north", False))
    ]
    camera, views = describe_columns(column_types(metadata), column_values(metadata))
    assert (camera.kind, camera.choices) == ("text", ["7", "false", "north"])
    assert (views.kind, views.lowest, views.highest) == ("number", 1234560, 1234563)


def video(name, content, *, weak=False, start=0.0):
    return VideoResponse.model_validate(
        {"id": name, "name": name, "path": name, "score": 0.4, "matches": [], "metadata": {}, "content": content}
        | {"start_seconds": start, "end_seconds": start + 5, "duration_seconds": 30, "video_starts_at": 0}
        | {"poster": None, "video": None, "problem": None, "weak": weak}
    )


def test_copies_are_folded_and_weak_results_are_apart():
    results = [video("a", "1"), video("b", "2"), video("c", "1"), video("d", "1", start=5), video("e", "3", weak=True)]
    folded = fold_copies(results)
    assert [(card.video.id, [copy.id for copy in card.copies]) for card in folded] == [
        ("a", ["c"]),
        ("b", []),
        ("d", []),
        ("e", []),
    ]
    groups = PageContent(title="", results=results).groups
    assert [(weak, [card.video.id for card in cards]) for weak, cards in groups] == [
        (False, ["a", "b", "d"]),
        (True, ["e"]),
    ]
