"""The responses of the JSON API, which the page also renders."""

from pydantic import BaseModel, Field


class MatchResponse(BaseModel):
    """The frame that matches a word of the query best; without words, one of the best frames."""

    word: str = Field(description="empty if the model compares whole sentences, and in a search by example")
    seconds: float = Field(description="time of the frame in the video")
    similarity: float = Field(description="cosine similarity of both embeddings, -1 to 1")


class VideoResponse(BaseModel):
    """A search result: a video, and the URLs to show it."""

    id: str
    name: str = Field(description="path below the folder that holds all videos of the index")
    path: str
    score: float | None = Field(description="similarity from the model, -1 to 1; null without a query")
    start_seconds: float = Field(description="start of the best window")
    end_seconds: float = Field(description="end of the best window")
    duration_seconds: float = Field(description="duration of the whole video")
    matches: list[MatchResponse]
    metadata: dict[str, str | float | bool]
    poster: str | None = Field(description="URL of the frame that matches best; null if the file cannot be shown")
    video: str | None = Field(description="URL that a browser can play; null if the file cannot be shown")
    video_starts_at: float = Field(description="time in the whole video at which `video` starts")
    problem: str | None = Field(description="reason why the file cannot be shown; null if it can")


class SearchResponse(BaseModel):
    """Search results, best first."""

    results: list[VideoResponse]
    seconds: float = Field(description="duration of the search, with the time in the queue")


class ClassResponse(BaseModel):
    """A class and its softmax score."""

    name: str
    score: float = Field(ge=0, le=1)


class ClassesResponse(BaseModel):
    """The best classes of a clip, best first."""

    classes: list[ClassResponse]


class ColumnResponse(BaseModel):
    """A metadata column that searches can filter by."""

    name: str
    kind: str = Field(description="number, truth or text")
    choices: list[str] = Field(description="all values if there are few, else empty")
    lowest: float | None = Field(description="smallest value of a column of numbers")
    highest: float | None = Field(description="largest value of a column of numbers")


class InfoResponse(BaseModel):
    """The index, and the limits of this server."""

    videos: int
    model: str
    similarity: str
    columns: list[ColumnResponse]
    classifies: bool = Field(description="whether uploaded clips are classified")
    max_upload_bytes: int
    max_clip_seconds: float
    max_query_letters: int
    max_results: int
    package_version: str
    questions_per_pass: dict[int, int] = Field(
        description="number of queries in a forward pass -> number of such passes"
    )
