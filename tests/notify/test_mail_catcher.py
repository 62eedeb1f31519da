"""The mailbox of the embedded stack, through its doors: SMTP in, web pages out."""

from __future__ import annotations

import signal
import smtplib
import subprocess
import sys
import urllib.error
from email.message import EmailMessage
from pathlib import Path

import pytest

from noria.testing.free_ports import free_port
from tests.notify.catcher import Catcher, mail_catcher

PIXEL = b"\x89PNG\r\n\x1a\n-not-really"


def a_report(subject: str) -> EmailMessage:
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = subject, "noria@example.com", "ops@example.com"
    message.set_content("Plain words: 68 °F.")
    message.add_alternative('<p>Rich words</p><img src="cid:chart@noria"><script>alert(1)</script>', subtype="html")
    message.get_payload()[1].add_related(PIXEL, "image", "png", cid="<chart@noria>")
    message.add_attachment(b"<h1>Report</h1>", "text", "html", filename="drift report.html")
    return message


def send(catcher: Catcher, message: EmailMessage) -> None:
    with smtplib.SMTP("127.0.0.1", catcher.smtp_port, timeout=10) as server:
        server.send_message(message)


def test_a_message_is_listed_newest_first_and_shown(catcher: Catcher) -> None:
    send(catcher, a_report("older <b>"))
    send(catcher, a_report("newer"))
    newest, older = catcher.messages()[:2]
    assert (newest["subject"], older["subject"]) == ("newer", "older <b>")
    (attachment,) = newest["attachments"]
    assert (attachment["name"], attachment["type"], attachment["bytes"]) == ("drift report.html", "text/html", 15)
    page = catcher.get("/")[0].decode()
    assert page.index("newer") < page.index("older &lt;b&gt;")
    assert "Plain words" not in page
    shown = catcher.get(f"/messages/{newest['id']}/")[0].decode()
    assert 'sandbox="allow-popups"' in shown
    assert "drift report.html" in shown


def test_the_html_body_is_walled_off_and_has_its_images(catcher: Catcher) -> None:
    send(catcher, a_report("pictures"))
    newest = catcher.messages()[0]
    body, headers = catcher.get(f"/messages/{newest['id']}/html")
    assert b"Rich words" in body
    assert b"cid:" not in body
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "allow-scripts" not in headers["content-security-policy"]
    path = body.decode().partition('src="')[2].partition('"')[0]
    image, headers = catcher.get(f"/messages/{newest['id']}/{path}")
    assert image == PIXEL
    assert headers["content-type"] == "image/png"
    assert catcher.get(f"/messages/{newest['id']}/text")[0].decode().strip() == "Plain words: 68 °F."


def test_an_attachment_is_opened_in_a_sandbox_or_saved(catcher: Catcher) -> None:
    send(catcher, a_report("attached"))
    newest = catcher.messages()[0]
    path = f"/messages/{newest['id']}/parts/{newest['attachments'][0]['part']}"
    content, headers = catcher.get(path)
    assert content == b"<h1>Report</h1>"
    assert headers["content-disposition"].startswith("inline")
    assert headers["content-security-policy"].startswith("sandbox")
    assert "allow-same-origin" not in headers["content-security-policy"]
    assert catcher.get(f"{path}?save")[1]["content-disposition"] == "attachment; filename*=UTF-8''drift%20report.html"


@pytest.mark.parametrize("path", ["/messages/nothing/", "/messages/..%2f..%2fetc%2fpasswd/", "/messages/{id}/parts/99"])
def test_what_is_not_there_is_404(catcher: Catcher, path: str) -> None:
    send(catcher, a_report("one"))
    with pytest.raises(urllib.error.HTTPError) as caught:
        catcher.get(path.replace("{id}", catcher.messages()[0]["id"]))
    assert caught.value.code == 404
    caught.value.close()


@pytest.mark.slow
def test_mail_survives_a_restart_and_sigterm_ends_it(tmp_path: Path) -> None:
    with mail_catcher(tmp_path) as catcher:
        send(catcher, a_report("kept"))
        catcher.process.send_signal(signal.SIGTERM)
        assert catcher.process.wait(20) in (0, -signal.SIGTERM)
    assert len(list(tmp_path.glob("*.eml"))) == 1
    with mail_catcher(tmp_path) as catcher:
        assert [message["subject"] for message in catcher.messages()] == ["kept"]


def test_a_taken_port_is_named(catcher: Catcher, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "noria.local.mail_catcher", "--folder", str(tmp_path), "--http-port", str(free_port())]
    ended = subprocess.run([*command, "--smtp-port", str(catcher.smtp_port)], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert f"SMTP port {catcher.smtp_port}" in ended.stderr
    assert "Traceback" not in ended.stderr
