"""Requests of many clients at once."""

from __future__ import annotations

import asyncio
import re
from collections import Counter

import httpx

from tests.serving.bundles import INSTANCE


async def ask(port, request, seen, fresh):
    """One client that sends requests while connections are accepted; a request without a response is lost."""
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            seen["refused"] += 1
            return
        try:
            while True:
                writer.write(request)
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(re.search(rb"content-length: (\d+)", head, re.IGNORECASE)[1])
                await reader.readexactly(length)
                seen[head[9:12].decode()] += 1
                if fresh or b"connection: close" in head:
                    break
        except (OSError, asyncio.IncompleteReadError) as error:
            seen[f"lost: {error!r}"] += 1
        finally:
            writer.close()


def hammer_until_gone(port, request, stop, clients=24):
    """Many clients, half of them with a new connection for each request; `stop` is called in the midst."""
    seen = Counter()

    async def work():
        tasks = [asyncio.create_task(ask(port, request, seen, number % 2 == 0)) for number in range(clients)]
        while seen["200"] < 200:
            await asyncio.sleep(0.01)
            assert not [key for key in seen if key.startswith("lost")], seen
        stop()
        await asyncio.wait_for(asyncio.gather(*tasks), 120)

    asyncio.run(work())
    return seen


def predict_request(use_case):
    body = httpx.Request("POST", "http://here/", json={"instances": [INSTANCE]}).content
    head = f"POST /v1/{use_case}/predict HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
