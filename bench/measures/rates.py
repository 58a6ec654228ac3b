"""Whether as many lines come as were asked for, and how late: from the program's own metrics.

All rates run in one program at once, on one event loop, each into a file of its own.
"""

from __future__ import annotations

import math
import time

from .report import Section, seconds
from .settings import Settings
from .visor import Metrics, access, document, running, stream

RATES = [1, 100, 10_000, 100_000]
SHARES = [0.5, 0.99, 0.999]


def measure(settings: Settings) -> Section:
    text = document(
        [
            access(
                f"at-{rate}",
                [stream("lines", {"rate": {"linesPerSecond": rate}})],
                {"file": {"path": f"at-{rate}.log"}},
            )
            for rate in RATES
        ]
    )
    with running(settings, "rates", text) as visor:
        before = visor.metrics()
        time.sleep(settings.effort.rate_seconds)
        after = visor.metrics()
    section = Section(
        name="rates",
        title="Wanted and achieved rates",
        columns=[
            "Lines/s wanted",
            "lines",
            "achieved",
            "skipped",
            *(f"lag p{share * 100:g}" for share in SHARES),
        ],
        data=[],
        notes=[
            f"Over {after.at - before.at:.1f} s, all rates at once on one event loop. At 1 "
            "line/s a line more or less is the border of the time. The lag is from when the "
            "oldest line of a write was due to when it was written; a percentile is the bound "
            "of the histogram's bucket that it lies in."
        ],
    )
    for rate in RATES:
        add_row(section, rate, before, after)
    return section


def add_row(section: Section, rate: int, before: Metrics, after: Metrics) -> None:
    generator = f"at-{rate}"

    def grown(name: str, **labels: str) -> float:
        return after.sum(name, generator=generator, **labels) - before.sum(
            name, generator=generator, **labels
        )

    lines, skipped = grown("visor_lines_total"), grown("visor_lines_skipped_total")
    achieved = lines / (after.at - before.at) / rate
    bounds = [
        sample.labels["le"]
        for sample in after.each("visor_schedule_lag_seconds_bucket", generator=generator)
    ]
    buckets = [
        (float(bound), grown("visor_schedule_lag_seconds_bucket", le=bound)) for bound in bounds
    ]
    lags = {share: bound_of(share, buckets) for share in SHARES}
    section.data.append(
        {
            "wanted": rate,
            "lines": lines,
            "achieved": achieved,
            "skipped": skipped,
            "lag_seconds_at_most": {
                str(share): lag if lag is not None and math.isfinite(lag) else None
                for share, lag in lags.items()
            },
        }
    )
    section.rows.append(
        [
            f"{rate:,}",
            f"{lines:,.0f}",
            f"{achieved:.2%}",
            f"{skipped:,.0f}",
            *map(at_most, lags.values()),
        ]
    )


def bound_of(share: float, buckets: list[tuple[float, float]]) -> float | None:
    """The upper bound of the bucket in which this share of all lies, in seconds; buckets are
    cumulative."""
    total = max((count for _, count in buckets), default=0)
    return next((bound for bound, count in sorted(buckets) if count >= share * total > 0), None)


def at_most(lag: float | None) -> str:
    if lag is None:
        return "-"
    return f"≤ {seconds(lag)}" if math.isfinite(lag) else "beyond the last bucket"
