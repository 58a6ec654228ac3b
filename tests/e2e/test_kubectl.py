"""What kubectl shows of sources: names, columns, and what the fields mean."""

from __future__ import annotations

from support.kubernetes import Kubernetes
from support.sources import apply, shop


def rows(printed: str) -> list[list[str]]:
    return [line.split() for line in printed.splitlines()]


def test_a_source_has_short_names_and_columns(namespace: Kubernetes) -> None:
    source = apply(namespace, shop())
    source.is_ready()
    namespace.wait_for("lines", lambda: source.status.get("lines", 0) > 0)
    namespace.wait_for("a rate", lambda: source.status.get("rate"))
    for word in ("fls", "fakelogsources", "visor"):
        header, row = rows(namespace.run("get", word))
        assert header == ["NAME", "READY", "REPLICAS", "RATE", "LINES", "AGE"]
        assert row[0].split("/")[-1] == "shop" and row[1:3] == ["True", "1"]
        assert row[3].endswith("/s") and int(row[4]) > 0
    header, row = rows(namespace.run("get", "fls", "-o", "wide"))
    assert header[-5:] == ["REASON", "CONFIGURED", "EXACT", "BYTES", "WORKLOAD"]
    ready, configured, exact, size, workload = row[-5:]
    assert (ready, configured, exact, workload) == ("Ready", "50.0/s", "True", "Deployment")
    assert int(size) > 0


def test_kubectl_waits_for_a_source(namespace: Kubernetes) -> None:
    source = apply(namespace, shop())
    namespace.run("wait", "fls/shop", "--for=condition=Ready", "--timeout=60s")
    assert source.pod().is_ready


def test_what_happens_is_recorded_as_events(namespace: Kubernetes) -> None:
    source = apply(namespace, shop())
    source.is_ready()
    source.suspend()

    def reported() -> bool:
        described = namespace.run("describe", "fls", "shop")
        return all(reason in described for reason in ("Ready", "Suspended", "visor-operator"))

    namespace.wait_for("events", reported)
    for event in namespace.list("events"):
        if event["involvedObject"]["kind"] == "FakeLogSource":
            assert event["type"] == "Normal" and event["message"]


def test_kubectl_explains_the_fields(namespace: Kubernetes) -> None:
    for path, output_text in (
        ("fls", "FakeLogSource"),
        ("fls.spec.generators", "concurrently"),
        ("fls.spec.generators.streams.interval", "distribution"),
        ("fls.status.lines", "lines"),
    ):
        explained = namespace.run("explain", path)
        assert output_text.lower() in explained.lower(), explained
