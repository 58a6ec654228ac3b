"""The access log in JSON: valid JSON by a reader of its own, fields by the Elastic Common Schema,
and the same fields that Apache's directives write of the same requests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from support.documents import access, fixed, save, source, stream
from support.program import visor

# The fields that a line may have, with what they are, as ECS 8.11 defines them.
ECS = {
    "@timestamp": str,
    "ecs.version": str,
    "event.category": list,
    "event.dataset": str,
    "event.duration": int,
    "event.kind": str,
    "event.module": str,
    "event.outcome": str,
    "event.type": list,
    "http.request.bytes": int,
    "http.request.id": str,
    "http.request.method": str,
    "http.request.referrer": str,
    "http.response.body.bytes": int,
    "http.response.bytes": int,
    "http.response.status_code": int,
    "http.version": str,
    "message": str,
    "process.pid": int,
    "process.thread.id": int,
    "source.address": str,
    "source.ip": str,
    "source.port": int,
    "url.domain": str,
    "url.original": str,
    "url.path": str,
    "url.query": str,
    "user.name": str,
    "user_agent.original": str,
}

# The same fields by Apache's directives. Both draw the same, for both write the same fields.
DIRECTIVES = (
    r"%h\t%{remote}p\t%u\t%{%Y-%m-%dT%H:%M:%S}t.%{usec_frac}tZ\t%D\t%r\t%>s\t%B\t%I\t%O"
    r"\t%{Referer}i\t%{User-Agent}i\t%v\t%P\t%{tid}P"
)


def flat(record: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """The fields of a record by their full names."""
    fields: dict[str, Any] = {}
    for name, value in record.items():
        if isinstance(value, dict):
            fields |= flat(value, f"{prefix}{name}.")
        else:
            fields[prefix + name] = value
    return fields


def records(lines: bytes) -> list[dict[str, Any]]:
    """A record of each line, no key twice."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len({name for name, _ in pairs}) == len(pairs), pairs
        return dict(pairs)

    text = lines.decode("utf-8")
    assert text.endswith("\n")
    return [flat(json.loads(line, object_pairs_hook=once)) for line in text[:-1].split("\n")]


def written(directory: Path, **log: Any) -> bytes:
    requests = stream("requests", "Access", fixed("1s"))
    document = source("web", access("web", requests, **log), seed=8, stopAfter={"lines": 3000})
    done = visor(
        *("run", "-f", save(directory / "web.yaml", document), "--listen", "none", "--simulate"),
        *("--start", "2026-02-27T23:30:00Z", "--for", "2h"),
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_field_is_one_of_the_schema(tmp_path: Path) -> None:
    lines = records(written(tmp_path, format="Json"))
    seen = {name for line in lines for name in line}
    assert seen == ECS.keys()
    for line in lines:
        assert all(type(value) is ECS[name] for name, value in line.items()), line
    # A malformed request has no URL.
    malformed = [line for line in lines if "url.original" not in line]
    assert 0 < len(malformed) < 60
    assert {line["http.response.status_code"] for line in malformed} >= {400, 408}
    assert all(
        ("message" in line) == ("url.original" not in line)
        for line in lines
        if line not in malformed
    )
    assert any("message" in line for line in malformed)


def test_the_fields_are_those_of_the_directives(tmp_path: Path) -> None:
    lines = records(written(tmp_path, format="Json", malformedRequests=False))
    custom = {"format": "Custom", "logFormat": DIRECTIVES}
    by_directives = written(tmp_path, **custom).decode("ascii").splitlines()
    assert len(lines) == len(by_directives) == 3000
    for line, plain in zip(lines, by_directives, strict=True):
        target, query = line["url.original"], line.get("url.query")
        assert target == line["url.path"] + ("" if query is None else f"?{query}")
        request = f"{line['http.request.method']} {target} HTTP/{line['http.version']}"
        status = line["http.response.status_code"]
        assert line["event.outcome"] == ("success" if status < 400 else "failure")
        fields = [
            *(line["source.address"], line["source.port"], line.get("user.name", "-")),
            *(line["@timestamp"], line["event.duration"] // 1000, request, status),
            *(line["http.response.body.bytes"], line["http.request.bytes"]),
            *(line["http.response.bytes"], line.get("http.request.referrer", "-")),
            *(line.get("user_agent.original", "-"), line.get("url.domain", "-")),
            *(line["process.pid"], line["process.thread.id"]),
        ]
        wanted = [log_item(field) if isinstance(field, str) else field for field in fields]
        assert "\t".join(map(str, wanted)) == plain


def log_item(text: str) -> str:
    """A field as httpd escapes it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').encode()
    return "".join(chr(byte) if byte < 127 else f"\\x{byte:02x}" for byte in escaped)


def test_what_an_author_writes_comes_out_as_it_was(tmp_path: Path) -> None:
    texts = [
        'a "quote"',
        "back\\slash",
        "tab\there",
        "Überstürzt ☃ 🦀",
        "\u007f\u0001",
        "</script>",
    ]
    choices = [{"value": text} for text in texts]
    document = source(
        "web",
        access(
            "web",
            stream("requests", "Access", fixed("1s")),
            stream("beat", "Heartbeat", fixed("1s"), messages=choices),
            format="Json",
            users=choices,
            referers=choices,
            userAgents=choices,
            targets=[{"value": f"/{text}?{text}"} for text in texts],
        ),
        seed=1,
        timeZone="Asia/Kathmandu",
    )
    done = visor(
        *("run", "-f", save(tmp_path / "web.yaml", document), "--listen", "none", "--simulate"),
        *("--start", "2026-02-27T23:30:00Z", "--for", "3m"),
    )
    assert done.returncode == 0, done.stderr
    lines = records(done.stdout)
    assert len(lines) == 360
    for name in ("user.name", "http.request.referrer", "user_agent.original", "message"):
        assert {line[name] for line in lines if name in line} == set(texts), name
    assert {line["url.path"] for line in lines if "url.path" in line} == {f"/{t}" for t in texts}
    assert {line["url.query"] for line in lines if "url.query" in line} == set(texts)
    # Times are in UTC, whatever the zone of the source.
    times = [line["@timestamp"] for line in lines]
    assert min(times) >= "2026-02-27T23:29" and max(times) < "2026-02-27T23:34"
