from datetime import UTC, datetime

import pytest
from jinja2 import TemplateNotFound, UndefinedError

from noria.io.templates import environment


@pytest.fixture
def room(tmp_path):
    """A function that writes a template of a room and renders it."""

    def render(name: str, template: str, /, **values: object) -> str:
        (tmp_path / name).write_text(template, encoding="utf-8")
        return environment(tmp_path).get_template(name).render(**values)

    return render


def test_html_is_escaped_and_text_is_not(room):
    assert room("page.html", "{{ reason }}", reason="a <b> & c") == "a &lt;b&gt; &amp; c"
    assert room("mail.txt", "{{ reason }}", reason="a <b> & c") == "a <b> & c"


def test_an_unknown_name_is_an_error(room):
    with pytest.raises(UndefinedError, match="reason"):
        room("mail.txt", "{{ reason }}")


def test_an_unknown_template_is_an_error(tmp_path):
    with pytest.raises(TemplateNotFound):
        environment(tmp_path).get_template("missing.html")


def test_a_page_stands_on_the_frame(room):
    page = room(
        "one.html", '{% extends "page.html" %}{% block title %}One{% endblock %}{% block body %}<p>1</p>{% endblock %}'
    )
    assert page.startswith('<!doctype html>\n<html lang="en">\n')
    assert "<title>One</title>\n<style>:root" in page
    assert page.endswith("<body>\n<p>1</p></body>\n</html>\n")


def test_lines_of_statements_leave_nothing(room):
    assert room("mail.txt", "{% for x in (1, 2) %}\n  {% if x %}\n{{ x }}\n  {% endif %}\n{% endfor %}\n") == "1\n2\n"


def test_filters(room):
    when = datetime(2013, 5, 1, 6, 7, 8, tzinfo=UTC)
    assert room("a.txt", "{{ when | day }}, {{ when.isoformat() | day }}, {{ when | moment }}", when=when) == (
        "2013-05-01, 2013-05-01, 2013-05-01 06:07 UTC"
    )
    assert room("a.txt", "{{ 'arrived_late' | name }}, {{ 12345 | thousands }}") == "arrived late, 12,345"
    assert room("a.txt", "{{ 'roc_auc' | metric }}") == "ROC AUC"
    assert room("a.txt", "{{ 1300 | money('EUR') }}, {{ -0.2 | decimal }}") == "EUR 1,300, −0.200"
    assert room("a.txt", "{{ 0.314 | percent }}") == "31 %"


def test_a_command_is_code_and_what_is_in_it_is_escaped(room):
    text = "run `noria roll-back <name>`, <b>now</b>"
    assert room("a.html", "{{ text | code }}", text=text) == (
        "run <code>noria roll-back &lt;name&gt;</code>, &lt;b&gt;now&lt;/b&gt;"
    )
    assert room("a.html", "{{ '`x`' | code('font-size:14px') }}") == '<code style="font-size:14px">x</code>'
