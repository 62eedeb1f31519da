"""The FastAPI app: services, routes, middleware, documentation."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool

from noria.core.base.clock import Clock
from noria.io.clock import SystemClock
from noria.settings import Settings
from serving.http import error_handlers, routes
from serving.http.app_services import AppServices, assemble
from serving.http.fast_path import FastPath
from serving.http.predict_middleware import PredictMiddleware
from serving.http.predict_response import PredictResponder
from serving.http.security_headers import SecurityHeaders
from serving.observability.observation import Observation
from serving.openapi import pages
from serving.openapi.openapi import describe
from serving.protocols import open_inference
from serving.protocols.invocations import router_for

_DESCRIPTION = (
    "Predictions of every use case, by the version that the model registry calls champion. Version 0 is the baseline of the "
    "use case, and answers until a model beats it. Every answered prediction is logged."
)


def create_app(settings: Settings, clock: Clock | None = None) -> FastAPI:
    """The app, with the last good versions loaded; its lifespan starts and stops background threads.

    Raises:
        UseCaseError: no use case can be read.
        SettingsError: settings that contradict each other.
    """
    services = assemble(settings, clock or SystemClock())
    services.source.restore()
    responder = PredictResponder(services)
    app = FastAPI(
        title="Noria", version="1", description=_DESCRIPTION, lifespan=_lifespan(services), docs_url=None, redoc_url=None
    )
    app.state.services = services
    app.state.lifecycle = services.lifecycle
    app.state.fast_path = FastPath(services, responder)  # for `serving.http.fast_protocol`
    app.state.tls = settings.serving_tls
    app.add_middleware(Observation, metrics=services.metrics)
    app.add_middleware(PredictMiddleware, services=services, responder=responder)
    app.add_middleware(SecurityHeaders, tls=settings.serving_tls)  # the last one added is the outermost
    for router in (routes.router, pages.router, open_inference.router, router_for(settings.serving_only)):
        app.include_router(router)
    error_handlers.install(app)
    _document(app, services)
    return app


def _lifespan(services: AppServices) -> Callable[[FastAPI], Any]:
    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        try:
            await run_in_threadpool(services.start)
            yield
        finally:
            # requests are done: the journals are complete
            await services.online_store.close()
            await run_in_threadpool(services.stop)

    return lifespan


def _document(app: FastAPI, services: AppServices) -> None:
    """Make the OpenAPI document again whenever a version that answers has changed."""
    generic: Callable[[], dict[str, Any]] = app.openapi
    cached: dict[object, dict[str, Any]] = {}

    def openapi() -> dict[str, Any]:
        answering = tuple((model.name, model.version, model.digest, model.since) for model in services.models)
        if answering not in cached:
            document = describe(generic(), services.models)
            cached.clear()
            cached[answering] = document
        return cached[answering]

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend the document
