"""Puts the app together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool

from noria.core.clock import Clock, SystemClock
from noria.settings import Settings
from serving import error_handlers, pages, routes
from serving.observation import Observation
from serving.openapi import describe
from serving.state import Parts, assemble

_DESCRIPTION = (
    "Predictions of every use case, by the version that the model registry calls champion. Version 0 is the rule of the "
    "use case, and answers until a model beats it. Every answered prediction is logged."
)


def create_app(settings: Settings, clock: Clock | None = None) -> FastAPI:
    """The app, with the last good versions loaded; its lifespan starts and stops what runs in the background.

    Raises:
        UseCaseError: a use case is wrong.
    """
    parts = assemble(settings, clock or SystemClock())
    parts.source.restore()
    app = FastAPI(
        title="Noria", version="1", description=_DESCRIPTION, lifespan=_lifespan(parts), docs_url=None, redoc_url=None
    )
    app.state.parts = parts
    app.add_middleware(Observation, metrics=parts.metrics)
    app.include_router(routes.router)
    app.include_router(pages.router)
    error_handlers.install(app)
    _document(app, parts)
    return app


def _lifespan(parts: Parts) -> Callable[[FastAPI], Any]:
    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        parts.log.start()
        try:
            await run_in_threadpool(parts.source.start)
            yield
        finally:
            # requests are done by now: what they left in the journal is all there is
            await run_in_threadpool(parts.source.stop)
            await run_in_threadpool(parts.log.stop)

    return lifespan


def _document(app: FastAPI, parts: Parts) -> None:
    """The document follows the versions that answer: it is made again when one of them has changed."""
    generic: Callable[[], dict[str, Any]] = app.openapi
    made: dict[object, dict[str, Any]] = {}

    def openapi() -> dict[str, Any]:
        answering = tuple((model.name, model.version, model.digest, model.since) for model in parts.models)
        if answering not in made:
            document = describe(generic(), parts.models)
            made.clear()
            made[answering] = document
        return made[answering]

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend the document
