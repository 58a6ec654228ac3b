"""docs/collectors.md: the collectors that the tests can't run. Their containers are ones that a
source may have, their files are well-formed, and their expressions take every line apart, into the
values that others find in it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apachelogs
import pytest
import yaml

from support.documents import access, error, file, fixed, save, source, stream
from support.error_lines import HTTPD_22, HTTPD_24, LEVELS
from support.files import every_line
from support.httpd import LOG_FORMATS
from support.program import visor

PAGE = (Path(__file__).parents[1] / "docs" / "collectors.md").read_text()
COLLECTORS = ["Fluent Bit", "Vector", "OpenTelemetry Collector", "Grafana Alloy", "Filebeat"]


def blocks(heading: str, language: str) -> list[str]:
    """The fenced blocks of a language below a heading."""
    (section,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return re.findall(rf"^```{language}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("collector", COLLECTORS)
def test_a_source_may_have_the_container(collector: str, tmp_path: Path) -> None:
    (text,) = blocks("The source", "yaml")
    document = yaml.safe_load(text)
    pod = document["spec"]["podTemplate"]
    pod["containers"] = yaml.safe_load(blocks(collector, "yaml")[0])
    (container,) = pod["containers"]
    mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounted.keys() == {volume["name"] for volume in pod["volumes"]}
    # The file of its arguments is the one that the page shows.
    read = re.findall(rf"{mounted['configuration']}/(\S+?)[],\n]", blocks(collector, "yaml")[0])
    assert f"\n`{read[0]}`:\n" in PAGE
    path = save(tmp_path / "source.yaml", document)
    done = visor("validate", "-f", path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("collector", [name for name in COLLECTORS if name != "Grafana Alloy"])
def test_a_configuration_names_the_logs_of_the_source(collector: str) -> None:
    configuration = yaml.safe_load(blocks(collector, "yaml")[1])
    paths = set(strings(configuration))
    (document,) = blocks("The source", "yaml")
    for generator in yaml.safe_load(document)["spec"]["generators"]:
        path = f"/var/log/visor/{generator['output']['file']['path']}"
        assert {path, f"{path}*"} & paths


def test_the_expressions_of_the_collectors_are_those_of_the_formats() -> None:
    for log, name in (("access", "Combined"), ("error", "Httpd24")):
        for case in expressions(log):
            (expression,) = case.values
            assert re.sub(r"\(\?<(?=[a-z])", "(?P<", expression) == FORMATS[name], case.id


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from strings(inner)


def expressions(log: str) -> Iterator[pytest.param]:
    """The expressions that collectors take a line of this log apart by."""
    fluent_bit = yaml.safe_load(blocks("Fluent Bit", "yaml")[1])
    (parser,) = [each for each in fluent_bit["parsers"] if each["name"] == log]
    yield pytest.param(parser["regex"], id="Fluent Bit")
    otel = yaml.safe_load(blocks("OpenTelemetry Collector", "yaml")[1])
    (operator,) = otel["receivers"][f"filelog/{log}"]["operators"]
    yield pytest.param(operator["regex"], id="OpenTelemetry Collector")
    vector = yaml.safe_load(blocks("Vector", "yaml")[1])
    program = vector["transforms"][f"{log}_fields"]["source"]
    for written in re.findall(r"r'(.*)'\)$", program, re.MULTILINE):
        yield pytest.param(written, id="Vector")
    (alloy,) = blocks("Grafana Alloy", "alloy")
    for written in re.findall(r'expression = (".*")$', alloy, re.MULTILINE) * (log == "access"):
        yield pytest.param(json.loads(written), id="Grafana Alloy")


def compiled(expression: str) -> re.Pattern[str]:
    # Go knows neither look-arounds nor references back.
    assert not re.search(r"\(\?<?[=!]|\\\d|\(\?P=", expression)
    return re.compile(re.sub(r"\(\?<(?=[a-z])", "(?P<", expression))


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "with tokens"])
def logs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two hours of an access log with values that are escaped in it, and of an error log with all
    levels and under both kinds of processes; with tokens or without."""
    directory = tmp_path_factory.mktemp("collectors")
    levels = [stream(level, level.capitalize(), fixed("2s")) for level in LEVELS]
    agents = [{"value": agent} for agent in ('curl "quoted"', "back\\slash", "bell\a", "-", "x y")]
    quoted = {"userAgents": agents, "referers": [{"value": 'https://shop.example/?q="a"'}]}
    generators = [
        access("access", output=file("access.log")),
        access("quoted", **quoted, output=file("access-quoted.log")),
        error("event", *levels, output=file("error.log")),
        error("prefork", *levels, mpm="Prefork", output=file("error-prefork.log")),
    ]
    document = save(directory / "source.yaml", source("collected", *generators, seed=7, tokens=request.param))
    done = visor(
        *("run", "-f", document, "--output-dir", directory, "--listen", "none"),
        *("--simulate", "--start", "2026-10-05T09:00:00Z", "--for", "2h"),
    )
    assert done.returncode == 0, done.stderr
    return directory


def lines_of(logs: Path, log: str) -> list[bytes]:
    return [line for found in sorted(logs.glob(f"{log}*.log")) for line in every_line(found)]


@pytest.mark.parametrize("expression", expressions("access"))
def test_an_access_line_is_taken_apart_as_httpd_meant_it(logs: Path, expression: str) -> None:
    parser = apachelogs.LogParser(LOG_FORMATS["Combined"])
    lines = [line.decode("ascii") for line in lines_of(logs, "access")]
    assert any(r"\"" in line for line in lines) and any(r"\\" in line for line in lines)
    for line in lines:
        found = compiled(expression).match(line)
        assert found, line
        entry = parser.parse(line)
        assert found["host"] == entry.remote_host
        assert found["user"] == (entry.remote_user or "-")
        request = "-" if entry.request_line is None else entry.request_line
        assert unescaped(found["request"]) == request, line
        assert int(found["status"]) == entry.final_status
        assert found["bytes"] == str(entry.bytes_sent or "-")
        assert unescaped(found["referer"]) == (entry.headers_in["Referer"] or "-")
        assert unescaped(found["agent"]) == (entry.headers_in["User-Agent"] or "-")


def unescaped(written: str) -> str:
    letters = {"a": "\a", "b": "\b", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}

    def original(found: re.Match[str]) -> str:
        return chr(int(found[1], 16)) if found[1] else letters.get(found[2], found[2])

    return re.sub(r"\\(?:x([0-9a-f]{2})|(.))", original, written)


@pytest.mark.parametrize("expression", expressions("error"))
def test_an_error_line_is_taken_apart_as_httpd_meant_it(logs: Path, expression: str) -> None:
    seen: set[str] = set()
    same = ["time", "module", "level", "pid", "tid", "errno"]
    for line in lines_of(logs, "error"):
        found = compiled(expression).match(line.decode("ascii"))
        meant = HTTPD_24.fullmatch(line)
        assert found and meant, line
        for name in same:
            assert found[name] == text(meant[name]), (name, line)
        address = meant["client"] and b"%b:%b" % (meant["client"], meant["clientPort"])
        assert found["client"] == text(address)
        in_source = meant["sourceFile"] and b"%b(%b)" % (meant["sourceFile"], meant["sourceLine"])
        assert found["file"] == text(in_source), line
        assert found["strerror"] == text(meant["errnoText"])
        assert found["message"] == text(meant["rest"])
        seen.update(name for name, value in found.groupdict().items() if value)
    assert seen == set(compiled(expression).groupindex), "each was there at least once"


FORMATS = yaml.safe_load(blocks("Formats", "yaml")[0])


@pytest.fixture(scope="module")
def formats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An hour of a log in each format of that page."""
    directory = tmp_path_factory.mktemp("formats")
    levels = [stream(level, level.capitalize(), fixed("2s")) for level in LEVELS]
    levels_of = {"Httpd24": levels, "Httpd22": levels[:8]}
    generators = [
        error(name.lower(), *levels_of[name], format=name, output=file(f"{name}.log"))
        if name in levels_of
        else access(name.lower(), format=name, output=file(f"{name}.log"))
        for name in FORMATS
    ]
    document = save(directory / "source.yaml", source("formats", *generators, seed=7))
    done = visor(
        *("run", "-f", document, "--output-dir", directory, "--listen", "none"),
        *("--simulate", "--start", "2026-10-05T09:00:00Z", "--for", "1h"),
    )
    assert done.returncode == 0, done.stderr
    return directory


# The fields of an expression, and the same ones by another reader of LogFormats.
MEANT = {
    "host": lambda entry: entry.remote_host,
    "user": lambda entry: entry.remote_user,
    "request": lambda entry: entry.request_line,
    "status": lambda entry: entry.final_status,
    "bytes": lambda entry: entry.bytes_sent,
    "referer": lambda entry: entry.headers_in["Referer"],
    "agent": lambda entry: entry.headers_in["User-Agent"],
    "received": lambda entry: entry.bytes_in,
    "sent": lambda entry: entry.bytes_out,
    "vhost": lambda entry: entry.virtual_host,
    "port": lambda entry: entry.server_port,
}


@pytest.mark.parametrize("name", [name for name in FORMATS if name in LOG_FORMATS])
def test_a_line_of_each_access_format_is_taken_apart(formats: Path, name: str) -> None:
    parser = apachelogs.LogParser(LOG_FORMATS[name])
    expression = compiled(FORMATS[name])
    lines = every_line(formats / f"{name}.log")
    assert len(lines) > 2000
    for line in lines:
        found = expression.fullmatch(line.decode("ascii"))
        assert found, line
        entry = parser.parse(line.decode("ascii"))
        for field, value in found.groupdict().items():
            if field in MEANT:
                meant = MEANT[field](entry)
                assert unescaped(value) == ("-" if meant is None else str(meant)), (field, line)


@pytest.mark.parametrize(("name", "pattern"), [("Httpd24", HTTPD_24), ("Httpd22", HTTPD_22)])
def test_a_line_of_each_error_format_is_taken_apart(
    formats: Path, name: str, pattern: re.Pattern[bytes]
) -> None:
    expression = compiled(FORMATS[name])
    same = ["time", "level", "errno"] + (["module", "pid", "tid"] if name == "Httpd24" else [])
    seen: set[str] = set()
    for line in every_line(formats / f"{name}.log"):
        found = expression.fullmatch(line.decode("ascii"))
        # httpd 2.2 writes the source before the client.
        meant = pattern.fullmatch(re.sub(rb"(\[debug\] )\w+\.c\(\d+\): ", rb"\1", line))
        assert found and meant, line
        for field in same:
            assert found[field] == text(meant[field]), (field, line)
        assert found["message"] == text(
            meant["rest"] if name == "Httpd22" else found["message"].encode()
        )
        seen.update(field for field, value in found.groupdict().items() if value)
    assert seen == set(expression.groupindex), "each was there at least once"


def test_every_format_is_on_the_page() -> None:
    (schema,) = Path(__file__).parents[1].glob("crates/visor-api/src/structure/schema.json")
    known = set(
        re.findall(r"\b(?:Common|Combined(?:Io)?|VhostCombined|Httpd2[24])\b", schema.read_text())
    )
    assert known == FORMATS.keys()
    assert "The format Json needs no expression" in PAGE


def text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("ascii")
