"""Noticing that the client has gone, while something long runs for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from fastapi import Request


@asynccontextmanager
async def while_connected(request: Request, arrived: anyio.Event | None = None) -> AsyncIterator[None]:
    """Cancels its block when the client hangs up, and then ends quietly.

    Who reads the body inside the block hands in `arrived` and sets it then: two readers of one connection would take
    each other's pieces. Without it the body must have been read before. An error of the block comes out as itself: a
    bare task group would wrap it in an exception group.
    """
    problem: Exception | None = None
    async with anyio.create_task_group() as group:
        group.start_soon(_watch, request, group.cancel_scope, arrived)
        try:
            yield
        except Exception as error:
            problem = error
        group.cancel_scope.cancel()
    if problem is not None:
        raise problem


async def _watch(request: Request, scope: anyio.CancelScope, arrived: anyio.Event | None) -> None:
    if arrived is not None:
        await arrived.wait()
    while (await request.receive())["type"] != "http.disconnect":
        pass
    scope.cancel()
