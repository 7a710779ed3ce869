"""The responses of the JSON API, which the page also renders."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


def _remove_example(schema: dict[str, Any]) -> None:
    """Leave the Python example out of the description that clients of the API read."""
    schema["description"] = schema["description"].partition("\n\n>>> ")[0]


class _Response(BaseModel):
    model_config = ConfigDict(json_schema_extra=_remove_example)


class MatchResponse(_Response):
    """The frame that matches a word of the query best; without words, one of the best frames.

    >>> MatchResponse(word="dog", seconds=1.5, similarity=0.31).model_dump_json()
    '{"word":"dog","seconds":1.5,"similarity":0.31}'
    """

    word: str = Field(description="empty if the model compares whole sentences, and in a search by example")
    seconds: float = Field(description="time of the frame in the video")
    similarity: float = Field(description="cosine similarity of both embeddings, -1 to 1")


class CueResponse(_Response):
    """A cue of the subtitles of a video.

    >>> CueResponse(text="A dog barks.", start_seconds=1, end_seconds=2.5, language="en", found=[(2, 5)]).found
    [(2, 5)]
    """

    text: str
    start_seconds: float
    end_seconds: float
    language: str = Field(description="as in the file name or the track; empty: unknown")
    found: list[tuple[int, int]] = Field(
        description="first character of each found word in `text`, and the character after it; empty: none was found"
    )


class VideoResponse(_Response):
    """A search result: a video, and the URLs to show it.

    >>> VideoResponse.model_validate(
    ...     {"id": "0f", "name": "dog.mp4", "path": "/videos/dog.mp4", "score": 0.4, "matches": [], "metadata": {}}
    ...     | {"start_seconds": 5, "end_seconds": 15, "duration_seconds": 30, "video_starts_at": 0}
    ...     | {"poster": None, "video": None, "problem": "This video no longer exists at its indexed path."}
    ... ).end_seconds
    15.0
    """

    id: str
    name: str = Field(description="path below the folder that holds all videos of the index")
    path: str
    content: str = Field(default="", description="hash of the file's bytes, equal for identical copies")
    score: float | None = Field(
        description="similarity from the model, -1 to 1, plus the weighted subtitle_score; null without a query"
    )
    subtitle_score: float = Field(
        default=0, description="share of the query's words in the subtitles of the best window, 0 to 1"
    )
    weak: bool = Field(
        default=False, description="score below halfway between the mean and the best score of the windows compared"
    )
    start_seconds: float = Field(description="start of the best window")
    end_seconds: float = Field(description="end of the best window")
    duration_seconds: float = Field(description="duration of the whole video")
    matches: list[MatchResponse]
    subtitles: list[CueResponse] = Field(default=[], description="the cues with the most words of the query")
    metadata: dict[str, str | float | bool]
    poster: str | None = Field(description="URL of the frame that matches best; null if the file cannot be shown")
    video: str | None = Field(description="URL that a browser can play; null if the file cannot be shown")
    video_starts_at: float = Field(description="time in the whole video at which `video` starts")
    link: str | None = Field(default=None, description="URL of a page with the player at the best moment")
    download: str | None = Field(
        default=None, description="URL of the part from start to end as a file; null if it is too long"
    )
    problem: str | None = Field(description="reason why the file cannot be shown; null if it can")


class SearchResponse(_Response):
    """Search results, best first.

    >>> SearchResponse(results=[], seconds=0.05).model_dump()
    {'results': [], 'seconds': 0.05, 'warning': None, 'computed': None}
    """

    results: list[VideoResponse]
    seconds: float = Field(description="duration of the search, with the time in the queue")
    warning: str | None = Field(default=None, description="which part of a long query the model reads")
    computed: str | None = Field(default=None, description="how the scores of a combined query are computed")


class ClassResponse(_Response):
    """A class and its softmax score.

    >>> ClassResponse(name="run", score=0.9).score
    0.9
    """

    name: str
    score: float = Field(ge=0, le=1)


class ClassesResponse(_Response):
    """The best classes of a clip, best first.

    >>> ClassesResponse(classes=[ClassResponse(name="run", score=0.9)]).classes[0].name
    'run'
    """

    classes: list[ClassResponse]


class MomentResponse(_Response):
    """A part of a video that shows a class.

    >>> MomentResponse(name="run", score=0.9, start_seconds=1, end_seconds=2.5).name
    'run'
    """

    name: str
    score: float = Field(ge=0, le=1)
    start_seconds: float
    end_seconds: float


class TimelineResponse(_Response):
    """The classes of a video over time.

    >>> TimelineResponse(duration_seconds=30, window_seconds=4, stride_seconds=1, min_score=0.3, moments=[]).min_score
    0.3
    """

    duration_seconds: float
    window_seconds: float = Field(description="length of the windows that were classified")
    stride_seconds: float = Field(description="from one window to the next")
    min_score: float | None = Field(
        description="below it, a class counts as background; null: each class has a threshold"
    )
    moments: list[MomentResponse] = Field(
        description="in order; they overlap only if the model names several classes at a time"
    )


class ColumnResponse(_Response):
    """A metadata column that searches can filter by.

    >>> ColumnResponse(name="year", kind="number", choices=[], lowest=2019, highest=2024).highest
    2024.0
    """

    name: str
    kind: str = Field(description="number, date, truth or text")
    choices: list[str] = Field(description="all values if there are few, else empty")
    lowest: float | None = Field(description="smallest value of a column of numbers")
    highest: float | None = Field(description="largest value of a column of numbers")
    first: str | None = Field(default=None, description="earliest day of a column of dates")
    last: str | None = Field(default=None, description="latest day of a column of dates")


class InfoResponse(_Response):
    """The index, and the limits of this server.

    >>> InfoResponse.model_validate(
    ...     {"videos": 3, "model": "clip-b16", "similarity": "mean-pool", "columns": [], "classifies": False}
    ...     | {"max_upload_bytes": 2**20, "max_clip_seconds": 60, "max_query_letters": 500, "max_results": 100}
    ...     | {"package_version": "0.1.0", "questions_per_pass": {"1": 7}}
    ... ).questions_per_pass
    {1: 7}
    """

    videos: int
    model: str
    similarity: str
    columns: list[ColumnResponse]
    classifies: bool = Field(description="whether uploaded clips and the videos of the index are classified")
    has_subtitles: bool = Field(default=False, description="whether any video has subtitles")
    max_upload_bytes: int
    max_clip_seconds: float
    max_query_letters: int
    max_results: int
    package_version: str
    questions_per_pass: dict[int, int] = Field(
        description="number of queries in a forward pass -> number of such passes"
    )
