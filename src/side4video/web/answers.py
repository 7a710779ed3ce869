"""The responses of the JSON API, which the page renders too."""

from pydantic import BaseModel, Field


class MatchAnswer(BaseModel):
    """The frame that matches a word of the query best; without words, one of the best frames."""

    word: str = Field(description="empty where whole sentences are compared, or in a search by an example")
    seconds: float = Field(description="when in the video the frame is shown")
    similarity: float = Field(description="cosine of both embeddings, -1 to 1")


class FoundAnswer(BaseModel):
    """A video that was found, with the URLs to show it."""

    id: str
    name: str = Field(description="path below the folder that holds all videos of the index")
    path: str
    score: float | None = Field(description="the model's own similarity, -1 to 1; null where nothing was asked")
    start_seconds: float = Field(description="of the best window")
    end_seconds: float
    duration_seconds: float = Field(description="of the whole video")
    matches: list[MatchAnswer]
    metadata: dict[str, str | float | bool]
    poster: str | None = Field(description="address of the best matched frame")
    video: str | None = Field(description="address of what a browser plays; null where the file cannot be shown")
    video_starts_at: float = Field(description="second of the whole video with which it begins")
    problem: str | None = Field(description="why the file cannot be shown")


class SearchAnswer(BaseModel):
    """Search results, best first."""

    results: list[FoundAnswer]
    seconds: float = Field(description="taken, waiting for others included")


class ClassAnswer(BaseModel):
    """A class and its softmax score."""

    name: str
    score: float = Field(ge=0, le=1)


class ClassesAnswer(BaseModel):
    """The best classes of a clip, best first."""

    classes: list[ClassAnswer]


class ColumnAnswer(BaseModel):
    """A metadata column that searches can filter by."""

    name: str
    kind: str = Field(description="number, truth or text")
    choices: list[str] = Field(description="all values of a column of few; else empty")
    lowest: float | None = Field(description="of a column of numbers")
    highest: float | None


class InfoAnswer(BaseModel):
    """The index, and the limits of this server."""

    videos: int
    model: str
    similarity: str
    columns: list[ColumnAnswer]
    classifies: bool = Field(description="whether uploaded clips are classified")
    max_upload_bytes: int
    max_clip_seconds: float
    max_query_letters: int
    max_results: int
    package_version: str
    questions_per_pass: dict[int, int] = Field(
        description="number of questions that went through the model together -> how often"
    )
