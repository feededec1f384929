"""What the pages of all HTML reports share: one file each, no script, nothing fetched from anywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import jinja2

from rgbt_seg_ros.evaluation.examples import Example
from rgbt_seg_ros.evaluation.tables import Table, show
from rgbt_seg_ros.network import ClassInfo

PAGE = "page"
"""Name of the page in templates that extend it; they may fill the block ``lead``, between headline and tables."""

_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<style>
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 108rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; } h3 { font-size: 1rem; margin-bottom: .3rem; }
svg { max-width: 100%; height: auto; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .6rem; border-bottom: 1px solid #8884; text-align: right; white-space: nowrap; }
th:first-child, td:first-child, .text td, .text th { text-align: left; }
.text td { white-space: normal; overflow-wrap: anywhere; }
.note { color: #777; margin: .3rem 0; }
.headline { display: flex; flex-wrap: wrap; gap: 1rem; }
.headline div { border: 1px solid #8886; border-radius: .5rem; padding: .5rem 1rem; }
.headline b { display: block; font-size: 1.5rem; }
.frame { display: flex; flex-wrap: wrap; gap: .4rem; }
figure { margin: 0; } figure img { display: block; max-width: 100%; } figcaption { color: #777; font-size: .85rem; }
.key span { display: inline-block; margin-right: .8rem; }
.key i { display: inline-block; width: .9em; height: .9em; border: 1px solid #888; vertical-align: -1px; }
.untrained { color: #c53030; font-weight: bold; }
</style>
</head>
<body>
<h1>{{ title }}</h1>
{% if not trained %}<p class="untrained">UNTRAINED weights: these metrics mean nothing.</p>{% endif %}
<div class="headline">
{% for name, value in headline %}<div>{{ name }}<b>{{ value }}</b></div>
{% endfor %}</div>
{% block lead %}{% endblock %}
{% for table in tables %}
<h2>{{ table.title }}</h2>
{# Made by us: numbers, and names that were escaped there. -#}
{% if table.kind in plots %}{{ plots[table.kind] | safe }}{% endif %}
<div class="scroll"><table{% if table.kind in ("text", "frames") %} class="text"{% endif %}>
{% if table.header | select | list %}<thead><tr>{% for cell in table.header %}<th>{{ cell }}</th>{% endfor %}</tr></thead>
{% endif %}<tbody>
{% for row in table.rows %}{% set shades = table.shades[loop.index0] if table.shades else () -%}
{% set link = table.links[loop.index0] if table.links else "" -%}
<tr>{% for cell in row %}<td{% if shades and loop.index0 %} style="background: rgba(43, 108, 176, {{
"%.3f" | format(0.75 * shades[loop.index0 - 1]) }})"{% endif %}>{% if link and loop.first
%}<a href="{{ address(link) }}">{{ cell }}</a>{% else %}{{ cell }}{% endif %}</td>{% endfor %}</tr>
{% endfor %}</tbody></table></div>
{% if table.note %}<p class="note">{{ table.note }}</p>{% endif %}
{% if table.kind == "frames" and examples %}
<p class="key">{% for entry in classes %}
<span><i style="background: rgb({{ entry.color | join(", ") }})"></i> {{ entry.name }}</span>{% endfor %}</p>
{% for frame in examples %}
<h3>{{ frame.kind }}: {{ frame.name }}{% if frame.group %} ({{ frame.group }}){% endif %}, score {{ show(frame.score) }}</h3>
<div class="frame">
{% for picture in frame.pictures %}<figure><img src="{{ picture.uri }}" alt="{{ picture.caption }} of {{ frame.name }}">
<figcaption>{{ picture.caption }}</figcaption></figure>
{% endfor %}</div>
{% endfor %}
{% endif %}
{% endfor %}
</body>
</html>
"""


def address(path: str) -> str:
    """Return the URL of a relative path; characters that are special in a URL are escaped."""
    return quote(path.encode("utf-8", "surrogateescape"), safe="/")


def render_page(
    title: str,
    trained: bool,
    headline: Sequence[tuple[str, str]],
    tables: Sequence[Table],
    classes: Sequence[ClassInfo],
    examples: Sequence[Example],
    plots: Mapping[str, str],
    template: str = f'{{% extends "{PAGE}" %}}',
    **more: Any,
) -> str:
    """Return a report as one HTML page that fetches nothing and runs no script.

    Args:
        title: What was evaluated on what.
        trained: Whether the metrics mean anything.
        headline: Names and values of the metrics to show large.
        tables: In reading order.
        classes: The model's, for the key of the colours.
        examples: The frames to show below the table of kind ``frames``; those without pictures are left to the table.
        plots: SVG elements to put before the tables of these kinds.
        template: A jinja2 template that extends ``PAGE``.
        more: What that template wants besides.
    """
    loader = jinja2.DictLoader({PAGE: _PAGE, "report": template})
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, loader=loader)
    return environment.get_template("report").render(
        title=title,
        trained=trained,
        headline=headline,
        tables=tables,
        classes=classes,
        examples=[example for example in examples if example.pictures],
        plots=plots,
        show=show,
        address=address,
        **more,
    )
