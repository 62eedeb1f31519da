"""Puts the app together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool

from noria.core.base.clock import Clock, SystemClock
from noria.settings import Settings
from serving.http import error_handlers, routes
from serving.http.app_services import AppServices, assemble
from serving.http.fast_path import FastPath
from serving.http.security_headers import SecurityHeaders
from serving.observability.observation import Observation
from serving.openapi import pages
from serving.openapi.openapi import describe
from serving.protocols import open_inference
from serving.protocols.invocations import router_for

_DESCRIPTION = (
    "Predictions of every use case, by the version that the model registry calls champion. Version 0 is the rule of the "
    "use case, and answers until a model beats it. Every answered prediction is logged."
)


def create_app(settings: Settings, clock: Clock | None = None) -> FastAPI:
    """The app, with the last good versions loaded; its lifespan starts and stops what runs in the background.

    Raises:
        UseCaseError: no use case can be read.
        SettingsError: settings that contradict each other.
    """
    parts = assemble(settings, clock or SystemClock())
    parts.source.restore()
    app = FastAPI(
        title="Noria", version="1", description=_DESCRIPTION, lifespan=_lifespan(parts), docs_url=None, redoc_url=None
    )
    app.state.parts = parts
    app.state.lifecycle = parts.lifecycle
    app.state.lane = FastPath(app, parts)  # for `serving.http.fast_protocol`, which needs no middleware around it
    app.state.tls = settings.serving_tls
    app.add_middleware(Observation, metrics=parts.metrics)
    app.add_middleware(FastPath, parts=parts)
    app.add_middleware(SecurityHeaders, tls=settings.serving_tls)  # the last one added is the outermost
    for router in (routes.router, pages.router, open_inference.router, router_for(settings.serving_only)):
        app.include_router(router)
    error_handlers.install(app)
    _document(app, parts)
    return app


def _lifespan(parts: AppServices) -> Callable[[FastAPI], Any]:
    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        try:
            await run_in_threadpool(parts.start)
            yield
        finally:
            # requests are done by now: what they left in the journals is all there is
            await parts.online.close()
            await run_in_threadpool(parts.stop)

    return lifespan


def _document(app: FastAPI, parts: AppServices) -> None:
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
