"""One thread answers requests in their order; what waits is bounded, and can be cancelled."""

import asyncio
import threading

import pytest

from charrnn.server.completion import Piece
from charrnn.server.request_queue import QueueFullError, RequestQueue


async def collected(ticket):
    return [piece.text async for pieces in ticket.pieces() for piece in pieces]


def letters(request, check):
    """Write the letters of a request."""
    for letter in request:
        check()
        yield Piece(index=0, text=letter)


class Gate:
    """Writes the letters of requests when it is opened; notes what it was asked for."""

    def __init__(self):
        self.opened, self.asked, self.ended = threading.Event(), [], threading.Event()

    def write(self, request, check):
        self.asked.append(request)
        yield Piece(index=0, text=request)
        self.opened.wait(10)
        try:
            check()
        except BaseException:
            self.ended.set()
            raise
        yield Piece(index=0, text="!")


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.opened.set()


def test_requests_are_answered_in_their_order_and_not_mixed_up():
    async def main():
        queue = RequestQueue(letters)
        tickets = [queue.submit(f"request {i}") for i in range(50)]
        found = await asyncio.gather(*map(collected, tickets))
        queue.close()
        return ["".join(each) for each in found]

    assert asyncio.run(main()) == [f"request {i}" for i in range(50)]


def test_only_so_many_may_wait(gate):
    async def main():
        queue = RequestQueue(gate.write, most_waiting=2)
        first = queue.submit("a")
        assert [piece.text for piece in await anext(first.pieces())] == ["a"]  # it is answered now
        others = [queue.submit("b"), queue.submit("c")]
        with pytest.raises(QueueFullError):
            queue.submit("d")
        queue.cancel(others[0])
        others.append(queue.submit("e"))
        gate.opened.set()
        found = [await collected(each) for each in others[1:]]
        queue.close()
        return found

    assert asyncio.run(main()) == [["c", "!"], ["e", "!"]]
    assert gate.asked == ["a", "c", "e"]


def test_a_request_that_is_cancelled_ends_at_its_next_check(gate):
    async def main():
        queue = RequestQueue(gate.write)
        ticket = queue.submit("a")
        await anext(ticket.pieces())
        queue.cancel(ticket)
        gate.opened.set()
        assert await asyncio.to_thread(gate.ended.wait, 10)
        after = await collected(queue.submit("b"))
        queue.close()
        return after

    assert asyncio.run(main()) == ["b", "!"]


def test_an_error_is_raised_where_the_pieces_are_awaited_and_the_next_request_is_answered():
    def write(request, check):
        if request == "bad":
            raise ValueError("no")
        return letters(request, check)

    async def main():
        queue = RequestQueue(write)
        bad, good = queue.submit("bad"), queue.submit("ab")
        with pytest.raises(ValueError, match="no"):
            await collected(bad)
        found = await collected(good)
        queue.close()
        return found

    assert asyncio.run(main()) == ["a", "b"]


def test_closing_ends_the_thread_and_all_requests(gate):
    async def main():
        queue = RequestQueue(gate.write)
        first = queue.submit("a")
        await anext(first.pieces())
        queue.submit("b")
        queue.close()
        gate.opened.set()
        await asyncio.to_thread(queue._thread.join, 10)
        return queue._thread.is_alive()

    assert asyncio.run(main()) is False
    assert gate.asked == ["a"]
    assert gate.ended.is_set()


def test_a_piece_after_the_event_loop_has_ended_is_dropped(gate):
    async def main():
        queue = RequestQueue(gate.write)
        await anext(queue.submit("a").pieces())
        return queue

    queue = asyncio.run(main())
    gate.opened.set()
    queue.close()
    queue._thread.join(10)
    assert not queue._thread.is_alive()
