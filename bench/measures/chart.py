"""Bar charts as SVG, for a page that is read in light and in dark."""

from __future__ import annotations

from html import escape

from .report import Chart

WIDTH, LABELS, NUMBERS = 720, 230, 70
ROW, BAR, TOP = 26, 16, 40
INK, FILL = "#6b7280", "#2563eb"


def svg(chart: Chart) -> str:
    """Horizontal bars, the longest as long as there is room."""
    longest = max((bar.value for bar in chart.bars), default=0) or 1
    room = WIDTH - LABELS - NUMBERS
    height = TOP + ROW * len(chart.bars) + 8
    title = escape(chart.title)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'font-family="sans-serif" font-size="13" fill="{INK}">',
        f"<title>{title}</title>",
        f'<text x="0" y="20" font-size="15" font-weight="bold">{title}</text>',
    ]
    for number, bar in enumerate(chart.bars):
        y = TOP + ROW * number
        middle, length = y + BAR - 3, max(room * bar.value / longest, 1)
        parts += [
            f'<text x="{LABELS - 8}" y="{middle}" text-anchor="end">{escape(bar.name)}</text>',
            f'<rect x="{LABELS}" y="{y}" width="{length:.1f}" height="{BAR}" fill="{FILL}"/>',
            f'<text x="{LABELS + length + 6:.1f}" y="{middle}">{number_text(bar.value)}</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])


def number_text(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
