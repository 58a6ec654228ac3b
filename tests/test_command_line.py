"""What the command line takes, and what it answers to a slip."""

from __future__ import annotations

import json
import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from support.documents import access, file, save, source, stream, text_of
from support.files import whole_lines
from support.program import visor

AT = ["--start", "2026-01-01T00:00:00Z", "-n", "2", "--rate", "1"]


def emitted(*arguments: str, **more: object) -> list[str]:
    done = visor("emit", *arguments, **more)
    assert done.returncode == 0, done.stderr
    return [line.decode() for line in whole_lines(done.stdout)]


def rejection(*arguments: str) -> str:
    done = visor("emit", *arguments)
    assert done.returncode in (1, 2) and done.stdout == b""
    return done.stderr


@pytest.mark.parametrize("option", [["--level", "warn"], ["--mpm", "Event"]], ids=" ".join)
def test_what_is_for_an_error_log_is_rejected_for_an_access_log(option: list[str]) -> None:
    assert "of an error log" in rejection("access", *option)
    assert "of an access log" in rejection("error", "--set", "%{A}i=b")


@pytest.mark.parametrize(
    ("log", "names"),
    [
        ("access", ["Common", "common", "COMMON"]),
        ("access", ["Combined", "combined", "COMBINED", "cOmBiNeD"]),
        ("access", ["CombinedIo", "combinedio", "COMBINEDIO", "combined_io"]),
        ("access", ["VhostCombined", "vhost_combined", "VHOST_COMBINED"]),
        ("error", ["Httpd24", "httpd24", "HTTPD24"]),
        ("error", ["Httpd22", "httpd22"]),
    ],
    ids=str,
)
def test_a_format_has_its_name_in_any_case(log: str, names: list[str]) -> None:
    lines = {tuple(emitted(log, "--seed", "1", "--format", name, *AT)) for name in names}
    assert len(lines) == 1


def test_diagnostics_are_json_where_that_is_asked_for() -> None:
    done = visor("--logging-format", "json", "validate", "-f", "/nowhere")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert json.loads(line)["level"] == "ERROR"


def test_a_dash_is_standard_output(tmp_path: Path) -> None:
    assert len(emitted("access", "-n", "3", "-o", "-", cwd=tmp_path)) == 3
    assert not list(tmp_path.iterdir())


def test_directives_have_the_values_that_are_set() -> None:
    log_format = "%{X-Tenant}i|%{SESSION}C|%{A=B}n"
    settings = ["%{X-Tenant}i=acme", "%{x-tenant}i=a, b=c", "%{SESSION}C=", "%{A=B}n=x"]
    arguments = [argument for setting in settings for argument in ("--set", setting)]
    lines = emitted("access", "-n", "40", "--format", log_format, *arguments[2:], *arguments[:2])
    assert set(lines) <= {"acme||x", "a, b=c||x"} and lines


@pytest.mark.parametrize(
    ("log_format", "setting", "words"),
    [
        ("Combined", "%{X-Tenant}i=a", "only a custom format has directives"),
        ("%{X-Tenant}i", "%{X-Tennant}i=a", "did you mean the name `X-Tenant`"),
        ("%{X-Tenant}i", "%{X-Tenant}o=a", "has no `%{X-Tenant}o`"),
        ("%h", "%{Referer}i=a", "the format doesn't show it"),
        ("%h", "%{User-Agent}i=a", "the format doesn't show it"),
        ("%h", "X-Tenant=a", "expected a directive of the format"),
        ("%{A}i", "%{A}i", "expected a directive of the format"),
    ],
    ids=str,
)
def test_a_value_for_no_directive_is_rejected(log_format: str, setting: str, words: str) -> None:
    assert words in rejection("access", "--format", log_format, "--set", setting)


def test_a_slip_in_the_directives_of_a_document_has_its_path(tmp_path: Path) -> None:
    values = [{"directive": "%{X-Tennant}i", "values": [{"value": "a"}]}]
    formats = {"format": "Custom", "logFormat": "%{X-Tenant}i"}
    of_the_log = access("web", **formats, directives=values)
    of_a_stream = access("web", stream("a", "Access", access={"directives": values}), **formats)
    named = access("web", format="Combined", directives=values)
    for generator, place in (
        (of_the_log, "access.directives[0].directive"),
        (of_a_stream, "streams[0].access.directives[0].directive"),
        (named, "access.directives"),
    ):
        done = visor("validate", "-f", save(tmp_path / "shop.yaml", source("shop", generator)))
        assert done.returncode == 1
        assert re.search(rf"shop.yaml:\d+: spec.generators\[0\].{re.escape(place)}: ", done.stderr)


@pytest.mark.parametrize(
    ("directive", "pattern"),
    [
        (
            "%{X-Request-Id}i",
            r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
        ),
        ("%{UNIQUE_ID}e", r"[A-Za-z0-9_-]{27}"),
    ],
)
def test_requests_have_names_of_their_own(directive: str, pattern: str) -> None:
    lines = emitted("access", "-n", "5000", "--format", directive)
    assert len(set(lines)) == 5000
    assert all(re.fullmatch(pattern, line) for line in lines)


def test_what_people_log_most_has_sensible_values() -> None:
    log_format = (
        "%a|%{X-Forwarded-For}i|%v|%{Host}i|%{SSL_PROTOCOL}x|%{version}c|%{SSL_CIPHER}x|"
        "%{Content-Type}o|%>s|%U|%b"
    )
    ciphers: dict[str, set[str]] = {}
    types: dict[str, set[str]] = {}
    for line in emitted("access", "-n", "5000", "--format", log_format):
        client, forwarded, name, host, tls, version, cipher, kind, status, path, size = line.split(
            "|"
        )
        assert client == forwarded and name == host and tls == version
        ciphers.setdefault(tls, set()).add(cipher)
        assert (kind == "-") == (size == "-"), line
        if kind != "-" and status == "200":
            types.setdefault(os.path.splitext(path)[1], set()).add(kind)
    assert ciphers.keys() == {"TLSv1.3", "TLSv1.2"}
    assert all(cipher.startswith("TLS_") for cipher in ciphers["TLSv1.3"])
    assert types[".css"] == {"text/css"} and types[".jpg"] == {"image/jpeg"}


def test_a_path_is_decoded_where_httpd_decodes_it() -> None:
    rows = [line.split("|") for line in emitted("access", "-n", "9000", "--format", "%r|%U|%f")]
    escaped = [row for row in rows if "%" in row[0].split("?")[0]]
    assert escaped
    assert all("%" not in path and name.endswith(path) for _, path, name in escaped)
    assert any(r"\xc3\xa9" in path for _, path, _ in escaped)


def first_stamp(*arguments: str, **more: object) -> datetime:
    line = emitted("error", "-n", "1", "--initial-delay", "0s", *arguments, **more)[0]
    return datetime.strptime(re.match(r"\[(.*?)\]", line)[1], "%a %b %d %H:%M:%S.%f %Y")


def test_simulated_time_begins_as_people_write_it() -> None:
    options = ["--rate", "1", "--start"]
    assert first_stamp(*options, "2026-01-31") == datetime(2026, 1, 31)
    assert first_stamp(*options, "2026-01-31T12:30") == datetime(2026, 1, 31, 12, 30)
    zoned = ["--time-zone", "Asia/Tokyo"]
    assert first_stamp(*zoned, *options, "2026-01-31") == datetime(2026, 1, 31)
    assert first_stamp(*zoned, *options, "2026-01-31T00:00:00Z") == datetime(2026, 1, 31, 9)
    day = timedelta(days=1)
    before = datetime.now(UTC).replace(tzinfo=None)
    yesterday, ago = first_stamp(*options, "yesterday"), first_stamp(*options, "-24h")
    after = datetime.now(UTC).replace(tzinfo=None)
    assert yesterday.time() == datetime.min.time()
    assert before.date() - day <= yesterday.date() <= after.date() - day
    assert before - day <= ago <= after - day
    simulated = ["--simulate", "--for", "2s", "--listen", "none", "-f", "-", "--start", "-48h"]
    document = text_of(source("shop", access("web", output={"stdout": {}})))
    assert visor("run", *simulated, stdin=document).returncode == 0


@pytest.mark.parametrize("start", ["1500-01-01T00:00:00Z", "1677-09-21", "2263-01-01"])
def test_a_time_that_cannot_be_formatted_is_rejected_with_the_bounds(start: str) -> None:
    output_text = rejection("access", "-n", "1", "--rate", "1", "--start", start)
    assert "1677-09-21" in output_text and "2262-04-11" in output_text
    late = ["--rate", "1", "--start", "2262-01-01", "--for", "9000h"]
    assert "2262-04-11" in rejection("access", *late)


def test_local_is_the_machine_s_time_zone() -> None:
    arguments = ["--start", "2026-01-31T00:00:00Z", "--rate", "1", "--time-zone", "local"]
    environment = {**os.environ, "TZ": "Asia/Kathmandu"}
    assert first_stamp(*arguments, env=environment) == datetime(2026, 1, 31, 5, 45)


def test_objects_of_other_kinds_are_skipped_and_that_is_reported(tmp_path: Path) -> None:
    """As `kustomize build` writes them."""
    others = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "collector"}},
    ]
    generator = access("web", stream("a", "Access"), output=file("a.log"))
    ours = source("shop", generator, stopAfter={"lines": 3})
    text = text_of(others[0], ours, others[1])
    done = visor("validate", "-f", "-", stdin=text)
    assert done.returncode == 0 and done.stdout == b"valid: shop\n"
    assert "skipped: Namespace `shop`" in done.stderr
    assert "skipped: Deployment `collector`" in done.stderr
    quick = json.loads(json.dumps(ours))
    quick["spec"]["generators"][0]["streams"][0]["interval"] = {"unlimited": {}}
    run = visor(
        *("run", "-f", "-", "--listen", "none"), stdin=text_of(others[0], quick), cwd=tmp_path
    )
    assert run.returncode == 0 and "skipped: Namespace `shop`" in run.stderr
    alone = visor("validate", "-f", "-", stdin=text_of(others[0]))
    assert alone.returncode == 1 and "must be FakeLogSource; found `Namespace`" in alone.stderr


@pytest.mark.parametrize(
    ("path", "words"), [("a.%Y-%m-%d.log", "`%Y` is literal"), ("~/a.log", "`~` is literal")]
)
def test_a_path_that_looks_like_more_than_it_is_has_a_warning(path: str, words: str) -> None:
    document = text_of(source("shop", access("web", output=file(path))))
    done = visor("validate", "-f", "-", stdin=document)
    assert done.returncode == 0 and words in done.stderr
    assert "output.file.path" in done.stderr


@pytest.mark.parametrize("interval", ["fixed", "uniform", "exponential", "rate"])
def test_a_interval_without_a_value_has_a_hint_that_holds(interval: str) -> None:
    generator = access("web", stream("a", "Access", {interval: None}))
    done = visor("validate", "-f", "-", stdin=text_of(source("shop", generator)))
    hint = re.search(rf"`{interval}` has no value, write `({interval}: [^`]*)`", done.stderr)[1]
    document = text_of(source("shop", access("web", stream("a", "Access", {interval: "HINT"}))))
    assert (
        visor("validate", "-f", "-", stdin=document.replace('"HINT"', value(hint))).returncode == 0
    )


def value(hint: str) -> str:
    return hint.split(": ", 1)[1]
