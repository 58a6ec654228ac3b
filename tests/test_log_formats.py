"""Formats of public configurations: httpd with every module of Debian's decides which are
formats, and what lines look like."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.httpd import MODULES, Httpd
from support.program import visor
from support.tools import tool

CORPUS = [
    line
    for line in (Path(__file__).parent / "corpus" / "log_formats.txt").read_text().splitlines()
    if line and not line.startswith("# ")
]

# Modules that can't be loaded beside others or want a configuration of their own.
ALONE = {
    *("mpm_event", "mpm_prefork", "mpm_worker", "lbmethod_heartbeat", "heartbeat", "heartmonitor"),
    *("cgi", "md", "dav_lock"),
}
LETTERS = [chr(letter) for letter in range(ord("!"), ord("~") + 1)]


def every_module() -> list[str]:
    """The lines that load all modules of Debian's httpd, each after those it needs."""
    names = {path.stem.removeprefix("mod_") for path in MODULES.glob("mod_*.so")} - ALONE
    first = ["mpm_event", "proxy", "dav", "session", "slotmem_shm", "cache", "ldap", "dbd"]
    names = [*first, *sorted(names - set(first))]
    return [f"LoadModule {name}_module {MODULES}/mod_{name}.so" for name in names]


def escaped(log_format: str) -> str:
    return log_format.replace("\\", "\\\\").replace('"', '\\"')


def httpd_takes(directory: Path, *log_formats: str) -> tuple[bool, str]:
    """The result of `apache2 -t` with every module, and its output."""
    lines = [
        f'ServerRoot "{directory}"',
        "ServerName httpd.example",
        f'DefaultRuntimeDir "{directory}"',
        f'ErrorLog "{directory}/error.log"',
        *every_module(),
        *(f'LogFormat "{escaped(text)}" nickname{n}' for n, text in enumerate(log_formats)),
    ]
    configuration = directory / "httpd.conf"
    configuration.write_text("\n".join(lines) + "\n")
    done = subprocess.run(
        [tool("apache2"), "-t", "-f", configuration], capture_output=True, text=True
    )
    return done.returncode == 0, done.stderr


def visor_takes(log_format: str) -> tuple[bool, bytes]:
    """Whether `visor emit` takes a format, and what it writes."""
    done = visor("emit", "access", "-n", "30", "--format", log_format)
    return done.returncode == 0, done.stdout if done.returncode == 0 else done.stderr.encode()


def test_httpd_rejects_unknown_directives(tmp_path: Path) -> None:
    taken, output_text = httpd_takes(tmp_path, "%h")
    assert taken, output_text
    assert not httpd_takes(tmp_path, "%J")[0]


def test_the_corpus_has_the_same_verdict(tmp_path: Path) -> None:
    ours = {text: visor_takes(text)[0] for text in CORPUS}
    # All accepted strings together, and each rejected one separately.
    taken, output_text = httpd_takes(tmp_path, *(text for text, good in ours.items() if good))
    assert taken, output_text
    rejected = [text for text, good in ours.items() if not good]
    assert [text for text in rejected if httpd_takes(tmp_path, text)[0]] == []
    assert len(rejected) >= 6 and len(ours) - len(rejected) >= 70


@pytest.mark.parametrize("form", ["%{}", "%{{x}}{}", "%^{}B", "%^t{}"])
def test_every_letter_has_the_same_verdict(tmp_path: Path, form: str) -> None:
    texts = [form.format(letter) for letter in LETTERS]
    ours = {text: visor_takes(text)[0] for text in texts}
    taken, output_text = httpd_takes(tmp_path, *(text for text, good in ours.items() if good))
    assert taken, output_text
    # Both reject an incomplete directive.
    rejected = [text for text, good in ours.items() if not good]
    assert [text for text in rejected if httpd_takes(tmp_path, text)[0]] == []


@pytest.fixture(scope="module")
def lines_of_httpd() -> Iterator[dict[str, list[bytes]]]:
    """What httpd writes in each format of the corpus about a few requests."""
    formats = {f"corpus{n}": text for n, text in enumerate(CORPUS) if visor_takes(text)[0]}
    logs = "\n".join(
        f'CustomLog "{{root}}/{name}.log" "{escaped(text).replace("{", "{{").replace("}", "}}")}"'
        for name, text in formats.items()
    )
    modules = [f"LoadModule {name}_module {MODULES}/mod_{name}.so" for name in ("unique_id", "ssl")]
    with Httpd(extra="\n".join([*modules, "LogIOTrackTTFB ON", logs])) as httpd:
        (httpd.documents / "page.html").write_text("<p>A page.</p>")
        headers = (
            b"Host: shop.example\r\nReferer: https://shop.example/\r\nUser-Agent: curl/8.0\r\n"
        )
        for target in (b"/page.html?a=b", b"/not%20here", b"/"):
            head = b"GET " + target + b" HTTP/1.1\r\n" + headers + b"Connection: close\r\n\r\n"
            httpd.exchange("127.0.0.1", head)
        httpd.stop()
        yield {text: httpd.lines(name) for name, text in formats.items()}


# What a directive may be replaced by, from httpd's documentation; anything else is a text.
SHAPES = {
    **dict.fromkeys("bBIODTSkPps", r"(?:\d+|-)"),
    **dict.fromkeys(["^FB"], r"(?:\d+|-)"),
    "H": r"HTTP/\d\.\d",
    "X": r"[X+-]",
    "m": r"[A-Z]+",
    "U": r"/[^?]*|\*",
    "q": r"(?:\?.*)?",
    "a": r"[0-9a-f.:]+",
    "A": r"[0-9a-f.:]+",
    "l": r"-",
}
DIRECTIVE = re.compile(r"%%|%[!<>\d,]*(?:\{(?P<argument>[^}]*)\})?[!<>\d,]*(?P<name>\^..|.)")
TIMES = {
    "": r"\[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\]",
    **dict.fromkeys(["sec", "msec", "usec"], r"\d{10,16}"),
    "msec_frac": r"\d{3}",
    "usec_frac": r"\d{6}",
    "end": r"\[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\]",
}
CONVERSIONS = {
    **dict.fromkeys("dHMSmyIjU", r"\d+"),
    **{"Y": r"\d{4}", "b": "[A-Z][a-z]{2}", "a": "[A-Z][a-z]{2}", "T": r"\d\d:\d\d:\d\d"},
    **{"z": r"[+-]\d{4}", "Z": r"[A-Z]+", "s": r"\d{10}"},
}


def shape(log_format: str) -> re.Pattern[bytes]:
    """A pattern of the lines of a format."""
    parts, at = [], 0
    text = log_format.replace("\\t", "\t")
    for found in DIRECTIVE.finditer(text):
        parts.append(re.escape(text[at : found.start()]))
        at = found.end()
        name, argument = found["name"], found["argument"] or ""
        if found[0] == "%%":
            parts.append("%")
        elif name == "t":
            parts.append(shape_of_time(argument.removeprefix("begin:").removeprefix("end:")))
        elif name == "e" and argument == "UNIQUE_ID":
            parts.append(r"[A-Za-z0-9_-]{27}")
        elif re.search(r"\d", found[0].split("{")[0]) or argument in ("x", "tid", "hextid"):
            parts.append(".*")
        else:
            parts.append(f"(?:{SHAPES.get(name, '.*')})")
    return re.compile("".join([*parts, re.escape(text[at:])]).encode(), re.DOTALL)


def shape_of_time(argument: str) -> str:
    if argument in TIMES:
        return TIMES[argument]
    return re.sub(
        r"%(.)|(.)",
        lambda found: (
            CONVERSIONS.get(found[1], re.escape(found[0])) if found[1] else re.escape(found[2])
        ),
        argument,
        flags=re.DOTALL,
    )


def test_the_lines_of_the_corpus_have_the_same_shape(
    lines_of_httpd: dict[str, list[bytes]],
) -> None:
    wrong = []
    for text, theirs in lines_of_httpd.items():
        pattern = shape(text)
        ours = visor_takes(text)[1].split(b"\n")[:-1]
        assert len(theirs) == 3 and len(ours) == 30
        wrong += [(text, "httpd", line) for line in theirs if not pattern.fullmatch(line)]
        wrong += [(text, "visor", line) for line in ours if not pattern.fullmatch(line)]
    assert not wrong, wrong[:5]
