"""Whether as many lines come as were asked for, and how late: from the program's own metrics.

The modest rates run in one program at once, on one event loop; the others have one to themselves.
"""

from __future__ import annotations

import math
import time

from .report import Section, Target, seconds
from .settings import Settings
from .visor import Metrics, access, document, running, stream

TOGETHER = [1, 100, 10_000]
ALONE = [100_000, 1_000_000]
SHARES = [0.5, 0.99, 0.999, 1]
OFF = 0.002
"""By how much the lines of a minute may differ from what was asked for."""
LAG_RATE, LAG = 10_000, 0.005
"""The rate at which 99.9 % of the writes are target within this lag, in seconds."""


def measure(settings: Settings) -> Section:
    section = Section(
        name="rates",
        title="Configured and actual rates",
        columns=[
            "Configured lines/s",
            "lines",
            "actual",
            "skipped",
            *(f"lag p{share * 100:g}" for share in SHARES),
        ],
        data=[],
    )
    for rates in [TOGETHER, *([rate] for rate in ALONE)]:
        before, after = watch(settings, rates)
        for rate in rates:
            add_row(section, rate, before, after)
    section.notes = [
        f"Over {settings.effort.rate_seconds:g} s into `/dev/null`, the first {len(TOGETHER)} at "
        "once on one event loop. *Actual* is by the lines that were due in the time between two "
        "looks at the metrics: one line more or less is the border of it. The lag is from when the "
        "oldest line of a write was due to when it was written; a percentile is the bound of the "
        "histogram's bucket that it lies in, and p100 is the worst."
    ]
    return section


def watch(settings: Settings, rates: list[int]) -> tuple[Metrics, Metrics]:
    text = document(
        [
            access(
                f"at-{rate}",
                [stream("lines", {"rate": {"linesPerSecond": rate}})],
                {"file": {"path": f"at-{rate}.log"}},
            )
            for rate in rates
        ]
    )
    nothing = [f"at-{rate}.log" for rate in rates]
    with running(settings, f"rates-{rates[0]}", text, into_nothing=nothing) as visor:
        before = visor.metrics()
        time.sleep(settings.effort.rate_seconds)
        return before, visor.metrics()


def add_row(section: Section, rate: int, before: Metrics, after: Metrics) -> None:
    generator = f"at-{rate}"

    def grown(name: str, **labels: str) -> float:
        return after.sum(name, generator=generator, **labels) - before.sum(
            name, generator=generator, **labels
        )

    lines, skipped = grown("visor_lines_total"), grown("visor_lines_skipped_total")
    target = (after.at - before.at) * rate
    bounds = [
        sample.labels["le"]
        for sample in after.each(
            "visor_schedule_lag_seconds_bucket", generator=generator
        )
    ]
    buckets = [
        (float(bound), grown("visor_schedule_lag_seconds_bucket", le=bound))
        for bound in bounds
    ]
    lags = {share: bound_of(share, buckets) for share in SHARES}
    section.data.append(
        {
            "target": rate,
            "lines": lines,
            "actual": lines / target,
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
            f"{lines / target:.2%}",
            f"{skipped:,.0f}",
            *map(at_most, lags.values()),
        ]
    )
    # Where the time begins and ends between two lines is a line's worth, and the metrics are asked
    # for within some milliseconds: what one write holds.
    border = 1 + rate * 0.02
    section.targets.append(
        Target(
            f"{rate:,} lines/s over {after.at - before.at:.0f} s",
            f"within {OFF:.1%}",
            f"{lines / target:.2%}",
            abs(lines - target) <= OFF * target + border,
        )
    )
    if rate == LAG_RATE:
        lag = lags[0.999]
        section.targets.append(
            Target(
                f"{rate:,} lines/s, p99.9 of the lag",
                f"under {seconds(LAG)}",
                at_most(lag),
                lag is not None and lag <= LAG,
            )
        )


def bound_of(share: float, buckets: list[tuple[float, float]]) -> float | None:
    """The upper bound of the bucket in which this share of all lies, in seconds; buckets are
    cumulative."""
    total = max((count for _, count in buckets), default=0)
    return next(
        (bound for bound, count in sorted(buckets) if count >= share * total > 0), None
    )


def at_most(lag: float | None) -> str:
    if lag is None:
        return "-"
    return f"≤ {seconds(lag)}" if math.isfinite(lag) else "beyond the last bucket"
