"""Pages for people: versions at `/`, every field with a form to try it at `/docs`. All self-contained."""

from __future__ import annotations

import json
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse

from noria.core.base.formatting import day, interval, number, plain_name
from noria.core.metrics.task_profile import profile_of
from noria.core.model.signature import Field
from serving.http.app_services import AppServices, services_of
from serving.models.example import example_request
from serving.models.served_model import Origin, ServedModel
from serving.openapi.task_words import how_it_decides, meaning, policies, what_is_at_stake

router = APIRouter(include_in_schema=False)
WithServices = Annotated[AppServices, Depends(services_of)]
_TEMPLATES = Path(__file__).parent / "templates"
_CATEGORIES = 15
_ORIGINS = {
    Origin.REGISTRY: "promoted in the registry",
    Origin.DISK: "last good version, from disk",
    Origin.RULE: "the baseline; no model has beaten it yet, or it was rolled back",
}


@router.get("/")
def landing(services: WithServices) -> HTMLResponse:
    """Every use case, with the version that answers."""
    return _page("landing.html", [_facts(model) for model in services.models])


@router.get("/docs")
def docs(request: Request, services: WithServices) -> HTMLResponse:
    """Every use case with its fields, an example for the shell, and a form."""
    base = str(request.base_url).rstrip("/")
    return _page("docs.html", [_section(model, base) for model in services.models])


@router.get("/docs/swagger")
def swagger() -> HTMLResponse:
    """Swagger UI; a browser needs the internet for its scripts."""
    return get_swagger_ui_html(openapi_url="/openapi.json", title="Noria API")


def _section(model: ServedModel, base: str) -> dict[str, Any]:
    example = example_request(model)
    return {
        **_facts(model),
        "entity": model.use_case.entity,
        "most": f"{model.use_case.serving.max_batch:,}",
        "policies": policies(model),
        "url": f"{base}/v1/{model.name}/predict",
        "one_line": json.dumps(example).replace("'", "'\\''"),
        "example": json.dumps(example, indent=2),
        "fields": [_field(field) for field in model.fields.values()],
    }


def _facts(model: ServedModel) -> dict[str, str]:
    provenance = model.predictor.manifest.provenance
    return {
        "name": model.name,
        "title": model.use_case.title,
        "task": profile_of(model.use_case.task).answer,
        "meaning": meaning(model),
        "how": how_it_decides(model),
        "stake": what_is_at_stake(model),
        "owner": model.use_case.owner,
        "version": model.version,
        "kind": model.predictor.manifest.rule or plain_name(model.predictor.manifest.candidate),
        "origin": _ORIGINS[model.origin],
        "since": f"{model.since:%Y-%m-%d %H:%M:%S} UTC",
        "as_of": day(provenance.as_of) if provenance else "not trained",
    }


def _field(field: Field) -> dict[str, str]:
    more = len(field.categories) - _CATEGORIES
    known = ", ".join(field.categories[:_CATEGORIES]) + (f" and {more} more" if more > 0 else "")
    low, high = field.minimum, field.maximum
    return {
        "name": field.name,
        "kind": "number" if field.kind == "numeric" else "text",
        "required": "yes" if field.required else "no",
        "seen": interval(low, high, partial(number, digits=6)) or known,
        "unit": field.unit,
        "description": field.description,
    }


def _page(template: str, models: list[dict[str, Any]]) -> HTMLResponse:
    return HTMLResponse(_environment().get_template(template).render(models=models))


@cache
def _environment() -> Any:
    from noria.io.templates import environment  # at the first page: a start needs no template

    return environment(_TEMPLATES)
