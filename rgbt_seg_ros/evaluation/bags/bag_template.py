"""What the page of a bag's report has besides what all reports have: the timeline."""

from __future__ import annotations

from rgbt_seg_ros.evaluation.html_template import PAGE

TEMPLATE = f"""\
{{% extends "{PAGE}" %}}
{{% block lead %}}{{% if timeline %}}
<h2>Timeline</h2>
<div class="scroll">{{{{ timeline | safe }}}}</div>
<p class="note">{{{{ note }}}}</p>
{{% endif %}}{{% endblock %}}
"""
