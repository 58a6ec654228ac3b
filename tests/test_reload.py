"""A changed document takes effect while the program runs: nothing is lost, doubled or set back."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

from support.delivery import assert_emitted
from support.documents import Object, access, error, file, rate, save, source, stream, text_of
from support.files import every_line
from support.program import Running, by_generator
from support.waiting import wait_for

Run = Callable[..., Running]

RELOADS = "visor_config_reloads_total"

BREWED = re.compile(rb'[^"]* "BREW (?:[^"\\]|\\.)*" \d+ (?:\d+|-)')
"""A line of the format Common; a request may have quotation marks, which are escaped."""


def shop(*streams: Object, extra: tuple[Object, ...] = (), **spec: object) -> Object:
    """A source with one access log of these streams, and more generators."""
    web = access("web", *streams, output=file("access.log"))
    return source("shop", web, *extra, tokens=True, **spec)


READERS = stream("readers", "Access", rate(200))
WRITERS = stream("writers", "Access", rate(200))
DAEMON = error("daemon", stream("failures", "Error", rate(200)), output=file("error.log"))


def change(program: Running, tmp_path: Path, document: Object, result: str = "success") -> None:
    """Changes the document and waits until the program has read it."""
    before = program.metrics().sum(RELOADS, result=result)
    save(tmp_path / "source.yaml", document)
    wait_for("a reload", lambda: program.metrics().sum(RELOADS, result=result) > before)


def check(program: Running, **paths: str) -> None:
    """Ends the program; its counts are those of the generators' files, and its report has the
    number of each line."""
    written = by_generator(program.stop())
    lines = {name: every_line(program.logs / path) for name, path in paths.items()}
    assert written == {name: len(of_generator) for name, of_generator in lines.items()}
    assert_emitted(program.report, [line for some in lines.values() for line in some])


def target(program: Running, name: str) -> float:
    return program.metrics().sum("visor_configured_lines_per_second", stream=name)


def test_streams_come_and_go(run: Run, tmp_path: Path) -> None:
    program = run(shop(READERS))
    program.wait_for_lines(100, stream="readers")
    change(program, tmp_path, shop(READERS, WRITERS))
    program.wait_for_lines(100, stream="writers")
    program.wait_for_lines(100, stream="readers")
    change(program, tmp_path, shop(WRITERS))
    program.wait_for_lines(100, stream="writers")
    gone = program.metrics().lines(stream="readers")
    program.wait_for_lines(100, stream="writers")
    assert program.metrics().lines(stream="readers") == gone
    assert target(program, "readers") == 0
    change(program, tmp_path, shop(READERS, WRITERS))
    program.wait_for_lines(100, stream="readers")
    check(program, web="access.log")


def test_a_new_rate_leaves_the_other_streams_alone(run: Run, tmp_path: Path) -> None:
    slow = stream("writers", "Access", {"fixed": "1000h"})
    program = run(shop(READERS, slow))
    program.wait_for_lines(100, stream="readers")
    assert program.metrics().lines(stream="writers") == 0
    change(program, tmp_path, shop(READERS, WRITERS))
    assert target(program, "writers") == 200 and target(program, "readers") == 200
    program.wait_for_lines(100, stream="writers")
    change(program, tmp_path, shop(READERS, slow))
    silent = program.metrics().lines(stream="writers")
    program.wait_for_lines(200, stream="readers")
    assert program.metrics().lines(stream="writers") <= silent + 1
    check(program, web="access.log")


def test_generators_and_sources_come_and_go(run: Run, tmp_path: Path) -> None:
    program = run(shop(READERS))
    program.wait_for_lines(100, generator="web")
    change(program, tmp_path, shop(READERS, extra=(DAEMON,)))
    program.wait_for_lines(100, generator="daemon")
    blog = access("blog", stream("all", "Access", rate(200)), output=file("blog.log"))
    more = source("blog", blog, tokens=True)
    before = program.metrics().sum(RELOADS, result="success")
    (tmp_path / "source.yaml").write_text(text_of(shop(READERS), more))
    wait_for("a reload", lambda: program.metrics().sum(RELOADS, result="success") > before)
    program.wait_for_lines(100, source="blog")
    gone = program.metrics().lines(generator="daemon")
    program.wait_for_lines(100, generator="web")
    assert program.metrics().lines(generator="daemon") == gone
    check(program, web="access.log", daemon="error.log", blog="blog.log")


def test_contents_format_and_rotation_change(run: Run, tmp_path: Path) -> None:
    program = run(shop(READERS))
    program.wait_for_lines(100)
    rotation = file("access.log", maxSize="4Ki", keep=1000)
    changed = access("web", READERS, output=rotation, format="Common", methods=[{"value": "BREW"}])
    change(program, tmp_path, source("shop", changed, tokens=True))
    wait_for("a rotation", lambda: program.metrics().sum("visor_rotations_total") >= 3)
    check(program, web="access.log")
    lines = every_line(tmp_path / "logs" / "access.log")
    brewed = [BREWED.fullmatch(line) is not None for line in lines]
    assert brewed[-1] and not brewed[0] and brewed == sorted(brewed), "first all old, then all new"


def test_an_output_moves_to_another_file(run: Run, tmp_path: Path) -> None:
    program = run(shop(READERS))
    program.wait_for_lines(200)
    moved = access("web", READERS, output=file("moved.log"))
    change(program, tmp_path, source("shop", moved, tokens=True))
    program.wait_for_lines(200)
    written = by_generator(program.stop())["web"]
    lines = [every_line(program.logs / name) for name in ("access.log", "moved.log")]
    assert all(lines) and sum(map(len, lines)) == written
    assert_emitted(program.report, sum(lines, []))


def test_a_suspended_source_keeps_its_metrics_and_continues_later(run: Run, tmp_path: Path) -> None:
    program = run(shop(READERS, WRITERS))
    program.wait_for_lines(200)
    change(program, tmp_path, shop(READERS, WRITERS, suspend=True))
    log = tmp_path / "logs" / "access.log"
    wait_for("counters that agree", lambda: program.metrics().lines() == len(every_line(log)))
    still = program.metrics().lines()
    assert still >= 200
    change(program, tmp_path, shop(READERS, WRITERS, suspend=False))
    program.wait_for_lines(200)
    assert program.metrics().lines() >= still + 200
    check(program, web="access.log")


def test_a_broken_document_is_rejected_and_the_old_one_continues(run: Run, tmp_path: Path) -> None:
    program = run(shop(READERS))
    program.wait_for_lines(100)
    change(program, tmp_path, shop(stream("readers", "Access", {"fixed": "-3s"})), "failure")
    program.wait_for_lines(100, stream="readers")
    output_text = " ".join(map(str, program.events()))
    assert "source.yaml:" in output_text and "spec.generators[0].streams[0].interval" in output_text
    assert program.metrics().sum(RELOADS, result="success") == 0
    (tmp_path / "source.yaml").unlink()
    program.wait_for_lines(100, stream="readers")
    change(program, tmp_path, shop(READERS, WRITERS))
    program.wait_for_lines(100, stream="writers")
    check(program, web="access.log")


def test_two_generators_on_one_file_are_rejected_after_the_start_too(
    run: Run, tmp_path: Path
) -> None:
    program = run(shop(READERS))
    program.wait_for_lines(100)
    twin = access("twin", WRITERS, output=file("access.log"))
    change(program, tmp_path, shop(READERS, extra=(twin,)), "failure")
    program.wait_for_lines(100)
    check(program, web="access.log")


def test_a_hangup_reloads_the_document(run: Run, tmp_path: Path) -> None:
    program = run(shop(READERS))
    program.wait_for_lines(100)
    save(tmp_path / "source.yaml", shop(READERS, WRITERS))
    program.signal(signal.SIGHUP)
    program.wait_for_lines(100, stream="writers")
    check(program, web="access.log")


def test_a_config_map_volume_is_followed(run: Run, tmp_path: Path) -> None:
    """The kubelet writes a new directory and swaps the symlink `..data` to it; the file itself is
    a symlink through it that never changes."""
    volume = tmp_path / "volume"
    publish(volume, "..2026_01", shop(READERS))
    (volume / "shop.yaml").symlink_to("..data/shop.yaml")
    program = run(volume / "shop.yaml")
    program.wait_for_lines(100, stream="readers")
    publish(volume, "..2026_02", shop(READERS, WRITERS))
    program.wait_for_lines(100, stream="writers")
    publish(volume, "..2026_03", shop(WRITERS))
    wait_for("the stream to end", lambda: target(program, "readers") == 0)
    program.wait_for_lines(100, stream="writers")
    check(program, web="access.log")


def publish(volume: Path, version: str, document: Object) -> None:
    """Writes a version of a ConfigMap as the kubelet does."""
    (volume / version).mkdir(parents=True)
    save(volume / version / "shop.yaml", document)
    (volume / "..data_tmp").symlink_to(version)
    old = os.readlink(volume / "..data") if (volume / "..data").is_symlink() else None
    os.replace(volume / "..data_tmp", volume / "..data")
    if old:
        (volume / old / "shop.yaml").unlink()
        (volume / old).rmdir()


def test_many_changes_in_a_row_lose_nothing(run: Run, tmp_path: Path) -> None:
    program = run(shop(READERS, extra=(DAEMON,)), "--threads", "2")
    program.wait_for_lines(50)
    for number in range(10):
        streams = [READERS, WRITERS, stream(f"more-{number}", "Access", rate(500))]
        extra = (DAEMON,) if number % 3 else ()
        save(tmp_path / "source.yaml", shop(*streams[: 1 + number % 3], extra=extra))
        program.signal(signal.SIGHUP)
        program.wait_for_lines(50, stream="readers")
    check(program, web="access.log", daemon="error.log")
