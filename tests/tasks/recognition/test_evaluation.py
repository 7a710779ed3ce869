"""Too many unreadable videos: no score is reported."""

import pickle

import pytest

from side4video.tasks.unread import NoReadableVideosError, UnreadVideo, withheld_scores_reason


@pytest.mark.parametrize(
    ("num_read", "num_unread", "max_unread", "is_refused"),
    [
        (9, 1, 0.1, False),
        (89, 11, 0.1, True),
        (100, 0, 0.0, False),
        (99, 1, 0.0, True),
        (1, 99, 1.0, False),
        (0, 5, 0.99, True),
    ],
)
def test_scores_are_withheld_above_the_limit_and_not_at_it(num_read, num_unread, max_unread, is_refused):
    refused = withheld_scores_reason(num_read=num_read, num_unread=num_unread, max_unread=max_unread)
    assert (refused is not None) == is_refused


def test_the_sentence_has_value_rule_and_remedy():
    refused = withheld_scores_reason(num_read=6, num_unread=2, max_unread=0.1)
    for part in ("2 of 8 videos (25.0%)", "eval.max_unread = 0.1", "check-data", "raise the limit"):
        assert part in refused


def test_the_error_survives_pickling():
    error = NoReadableVideosError([UnreadVideo("a", "empty")], "test.csv")
    again = pickle.loads(pickle.dumps(error))
    assert isinstance(again, ValueError)
    assert (str(again), again.unread) == (str(error), (UnreadVideo("a", "empty"),))
