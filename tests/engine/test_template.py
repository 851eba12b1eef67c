"""Chat templates run as transformers runs them, and a hostile one can do nothing."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.engine.errors import CheckpointError
from app.engine.template import ChatTemplate, TemplateRefusal


def template(folder: Path, source: str) -> ChatTemplate:
    (folder / "chat_template.jinja").write_text(source, encoding="utf-8")
    return ChatTemplate(folder)


def render(folder: Path, source: str, messages: list[dict[str, Any]] | None = None) -> str:
    return template(folder, source).render(messages or [], thinking=True, answer_next=True)


def test_blocks_are_trimmed_and_json_is_not_escaped(tmp_path: Path) -> None:
    source = """
{% for m in messages %}
    {% if loop.first %}
{{ m | tojson }}
    {% endif %}
{% break %}
{% endfor %}
""".lstrip()
    assert render(tmp_path, source, [{"role": "user", "content": "<é>"}]) == '{"role": "user", "content": "<é>"}\n'


def test_switches_reach_the_template(tmp_path: Path) -> None:
    made = template(tmp_path, "{{ add_generation_prompt }} {{ enable_thinking is false }}")
    assert made.render([], thinking=False, answer_next=False) == "False True"


@pytest.mark.parametrize("name", ["string", "named"])
def test_the_tokenizer_configuration_may_hold_it(tmp_path: Path, name: str) -> None:
    several = [{"name": "tool_use", "template": ""}, {"name": "default", "template": "it"}]
    held: Any = "it" if name == "string" else several
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": held}))
    assert ChatTemplate(tmp_path).render([], thinking=True, answer_next=True) == "it"


@pytest.mark.parametrize("source", [None, "{% if %}", "{{ unclosed"])
def test_a_missing_or_broken_one_is_the_checkpoints_mistake(tmp_path: Path, source: str | None) -> None:
    if source is not None:
        (tmp_path / "chat_template.jinja").write_text(source)
    with pytest.raises(CheckpointError):
        ChatTemplate(tmp_path)


@pytest.mark.parametrize(
    "source",
    [
        "{{ raise_exception('no') }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ messages.append(1) }}",
        "{{ cycler.__init__.__globals__.os.system('true') }}",
        "{% for a in range(100000) %}{{ 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' }}{% endfor %}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{{ 1 // 0 }}",
        "{{ messages[0].content + 1 }}",
        "{% include '/etc/passwd' %}",
    ],
)
def test_a_hostile_one_is_refused(tmp_path: Path, source: str) -> None:
    with pytest.raises(TemplateRefusal):
        render(tmp_path, source)
