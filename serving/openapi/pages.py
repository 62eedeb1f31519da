"""Pages for people: what serves at `/`, and at `/docs` every field with a form to try it. All self-contained."""

from __future__ import annotations

import json
from functools import cache, partial
from html import escape
from pathlib import Path
from string import Template
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse

from noria.core.base.formatting import day, interval, number, plain_name
from noria.core.metrics.task_profile import profile_of
from noria.core.model.signature import Field
from serving.http.app_services import AppServices, parts_of
from serving.models.example import example_request
from serving.models.served_model import Origin, ServedModel
from serving.openapi.task_words import how_it_decides, meaning, treatment, what_is_at_stake


class _Html(str):
    """Our own HTML, which goes into a template as it is."""


router = APIRouter(include_in_schema=False)
WithParts = Annotated[AppServices, Depends(parts_of)]
_TEMPLATES = Path(__file__).parent / "templates"
_CATEGORIES = 15
_ORIGINS = {
    Origin.REGISTRY: "promoted in the registry",
    Origin.DISK: "last good version, from disk",
    Origin.RULE: "the rule; no model has beaten it yet, or it was rolled back",
}


@router.get("/")
def landing(parts: WithParts) -> HTMLResponse:
    """Which use cases there are, and which version answers."""
    rows = [_fill("landing_row", **_facts(model)) for model in parts.models]
    return _page("Noria serving", _fill("landing", rows=_Html("\n".join(rows))))


@router.get("/docs")
def docs(request: Request, parts: WithParts) -> HTMLResponse:
    """Every use case with its fields, an example for the shell, and a form."""
    base = str(request.base_url).rstrip("/")
    sections = [_section(model, base) for model in parts.models]
    return _page("Noria API", _fill("docs", sections=_Html("\n".join(sections))))


@router.get("/docs/swagger")
def swagger() -> HTMLResponse:
    """Swagger UI, for those who are online: its scripts come from a content delivery network."""
    return get_swagger_ui_html(openapi_url="/openapi.json", title="Noria API")


def _section(model: ServedModel, base: str) -> str:
    rows = [_fill("docs_field", **_field(field)) for field in model.fields.values()]
    example = example_request(model)
    return _fill(
        "docs_use_case",
        **_facts(model),
        entity=model.use_case.entity,
        most=f"{model.use_case.serving.max_batch:,}",
        treatment=treatment(model),
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
        "values": interval(low, high, partial(number, digits=6)) or known,
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
