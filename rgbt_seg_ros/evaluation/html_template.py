"""The page of the HTML report: one file, no script, nothing fetched from anywhere."""

from __future__ import annotations

TEMPLATE = """\
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
{% if not trained %}<p class="untrained">UNTRAINED weights: these figures mean nothing.</p>{% endif %}
<div class="headline">
{% for name, value in headline %}<div>{{ name }}<b>{{ value }}</b></div>
{% endfor %}</div>
{% for table in tables %}
<h2>{{ table.title }}</h2>
{# Made by us of numbers alone. -#}
{% if table.kind == "reliability" %}{{ plot | safe }}{% endif %}
<div class="scroll"><table{% if table.kind in ("text", "frames") %} class="text"{% endif %}>
{% if table.header | select | list %}<thead><tr>{% for cell in table.header %}<th>{{ cell }}</th>{% endfor %}</tr></thead>
{% endif %}<tbody>
{% for row in table.rows %}{% set shades = table.shades[loop.index0] if table.shades else () -%}
<tr>{% for cell in row %}<td{% if shades and loop.index0 %} style="background: rgba(43, 108, 176, {{
"%.3f" | format(0.75 * shades[loop.index0 - 1]) }})"{% endif %}>{{ cell }}</td>{% endfor %}</tr>
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
