"""The text of /metrics as numbers, and counters that may only go forward."""

from __future__ import annotations

import re
import urllib.request
from dataclasses import dataclass, field

SAMPLE = re.compile(r"([a-z_:]+)(?:\{(.*)\})? (\S+)")
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')

Series = tuple[str, frozenset[tuple[str, str]]]


@dataclass(frozen=True)
class Metrics:
    """The samples of one scrape."""

    samples: dict[Series, float]

    def select(self, name: str, **labels: str) -> dict[Series, float]:
        """The series of that name that have these labels."""
        wanted = set(labels.items())
        return {s: v for s, v in self.samples.items() if s[0] == name and wanted <= s[1]}

    def sum(self, name: str, **labels: str) -> float:
        """The sum of the series of that name that have these labels; 0 if there is none."""
        return sum(self.select(name, **labels).values())

    def lines(self, **labels: str) -> int:
        """The lines that count as written."""
        return int(self.sum("visor_lines_total", **labels))


def parse(text: str) -> Metrics:
    """Reads the exposition format, strictly: each line is a comment or a sample."""
    samples: dict[Series, float] = {}
    for line in text.splitlines():
        if line.startswith("#") or not line:
            continue
        found = SAMPLE.fullmatch(line)
        assert found, line
        series = (found[1], frozenset(LABEL.findall(found[2] or "")))
        assert series not in samples, f"twice: {line}"
        samples[series] = float(found[3])
    return Metrics(samples)


def get(address: str, path: str = "/metrics") -> str:
    """The body of a page of the program's own server; fails unless it is there."""
    with urllib.request.urlopen(f"http://{address}{path}", timeout=60) as answer:
        return answer.read().decode()


@dataclass
class Watch:
    """Scrapes again and again, and fails as soon as a counter goes back or is gone."""

    address: str
    last: dict[Series, float] = field(default_factory=dict)

    def scrape(self) -> Metrics:
        metrics = parse(get(self.address))
        for series, before in self.last.items():
            now = metrics.samples.get(series)
            assert now is not None, f"{series} is gone"
            assert now >= before, f"{series} went back from {before} to {now}"
        self.last = {s: v for s, v in metrics.samples.items() if s[0].endswith("_total")}
        return metrics
