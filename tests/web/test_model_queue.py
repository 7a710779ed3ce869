"""The queue of the model: queries are answered together, and each gets its own results."""

import asyncio

import pytest

from side4video.search.stores.filters import Filter
from side4video.web.model_queue import ModelQueue


class Echo:
    """Answers a question with its own words, `top_k` times; fails on one of them."""

    def search_many(self, texts, *, top_k, filter, subtitle_weight):
        if "bad" in texts:
            raise ValueError("bad")
        return [[(text, filter.path, place) for place in range(top_k)] for text in texts]


def ask(*questions, max_batch=64):
    async def ask_all():
        queue = ModelQueue(Echo(), max_batch=max_batch)
        answers = await asyncio.gather(
            *(queue.search(text, top_k=top_k, filter=Filter(path=path)) for text, top_k, path in questions),
            return_exceptions=True,
        )
        queue.close()
        return answers, dict(queue.batch_sizes)

    return asyncio.run(ask_all())


def test_each_query_gets_its_own_results():
    questions = [("a", 1, None), ("b", 3, None), ("a", 2, None), ("b", 1, "x"), ("c", 2, "x")]
    answers, sizes = ask(*questions)
    assert answers == [[(text, path, place) for place in range(top_k)] for text, top_k, path in questions]
    assert sizes == {3: 1, 2: 1}  # a pass for each filter


def test_failing_query_does_not_affect_others():
    answers, _ = ask(("a", 1, None), ("bad", 1, None), ("b", 1, None))
    assert answers[0] == [("a", None, 0)]
    assert isinstance(answers[1], ValueError)
    assert answers[2] == [("b", None, 0)]


def test_batches_are_limited():
    answers, sizes = ask(*[(str(number), 1, None) for number in range(10)], max_batch=4)
    assert [answer[0][0] for answer in answers] == [str(number) for number in range(10)]
    assert sizes == {4: 2, 2: 1}


def test_cancelled_query_does_not_affect_others():
    async def go_away():
        queue = ModelQueue(Echo())
        gone = asyncio.create_task(queue.search("a", top_k=1, filter=Filter()))
        stays = asyncio.create_task(queue.search("b", top_k=1, filter=Filter()))
        await asyncio.sleep(0)
        gone.cancel()
        answer = await stays
        with pytest.raises(asyncio.CancelledError):
            await gone
        later = await queue.search("c", top_k=1, filter=Filter())
        queue.close()
        return answer, later

    assert asyncio.run(go_away()) == ([("b", None, 0)], [("c", None, 0)])
