"""Pages for people: versions at `/`, every field with a form to try it at `/docs`. All self-contained."""

from __future__ import annotations

import json
from functools import cache
from html import escape
from pathlib import Path
from string import Template
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse

from noria.core.model.signature import Field
from serving.http.app_services import AppServices, services_of
from serving.models.example import example_request
from serving.models.served_model import Origin, ServedModel
from serving.openapi.task_words import TASKS, how_it_decides, meaning, policies, what_is_at_stake


class _Html(str):
    """Our own HTML, which goes into a template as it is."""


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
    rows = [_fill("landing_row", **_facts(model)) for model in services.models]
    return _page("Noria serving", _fill("landing", rows=_Html("\n".join(rows))))


@router.get("/docs")
def docs(request: Request, services: WithServices) -> HTMLResponse:
    """Every use case with its fields, an example for the shell, and a form."""
    base = str(request.base_url).rstrip("/")
    sections = [_section(model, base) for model in services.models]
    return _page("Noria API", _fill("docs", sections=_Html("\n".join(sections))))


@router.get("/docs/swagger")
def swagger() -> HTMLResponse:
    """Swagger UI; a browser needs the internet for its scripts."""
    return get_swagger_ui_html(openapi_url="/openapi.json", title="Noria API")


def _section(model: ServedModel, base: str) -> str:
    rows = [_fill("docs_field", **_field(field)) for field in model.fields.values()]
    example = example_request(model)
    return _fill(
        "docs_use_case",
        **_facts(model),
        entity=model.use_case.entity,
        most=f"{model.use_case.serving.max_batch:,}",
        policies=policies(model),
        url=f"{base}/v1/{model.name}/predict",
        one_line=json.dumps(example).replace("'", "'\\''"),
        example=json.dumps(example, indent=2),
        fields=_Html("\n".join(rows)),
    )


def _facts(model: ServedModel) -> dict[str, str]:
    provenance = model.predictor.manifest.provenance
    return {
        "name": model.name,
        "title": model.use_case.title,
        "task": TASKS[model.use_case.task],
        "meaning": meaning(model),
        "how": how_it_decides(model),
        "stake": what_is_at_stake(model),
        "owner": model.use_case.owner,
        "version": model.version,
        "kind": model.predictor.manifest.rule or model.predictor.manifest.candidate.replace("_", " "),
        "origin": _ORIGINS[model.origin],
        "since": f"{model.since:%Y-%m-%d %H:%M:%S} UTC",
        "as_of": f"{provenance.as_of:%Y-%m-%d}" if provenance else "not trained",
    }


def _field(field: Field) -> dict[str, str]:
    more = len(field.categories) - _CATEGORIES
    known = ", ".join(field.categories[:_CATEGORIES]) + (f" and {more} more" if more > 0 else "")
    low, high = field.minimum, field.maximum
    return {
        "name": field.name,
        "kind": "number" if field.kind == "numeric" else "text",
        "required": "yes" if field.required else "no",
        "values": f"{low:g} to {high:g}" if low is not None and high is not None else known,
        "unit": field.unit,
        "description": field.description,
    }


def _page(title: str, body: _Html) -> HTMLResponse:
    return HTMLResponse(_fill("page", title=title, body=body))


def _fill(template: str, **values: str) -> _Html:
    """Fill a template; every value is escaped but those that are HTML of our own."""
    escaped = {name: value if isinstance(value, _Html) else escape(value) for name, value in values.items()}
    return _Html(_template(template).substitute(escaped))


@cache
def _template(name: str) -> Template:
    return Template((_TEMPLATES / f"{name}.html").read_text(encoding="utf-8"))
