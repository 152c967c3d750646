"""Renders a chat template as transformers does; runs in a process of its own."""

import os
from typing import Any

os.environ["USE_TORCH"] = "0"  # its import takes seconds, and no template needs it

from transformers.utils.chat_template_utils import render_jinja_template

from recap_assets.engines.model_folders.templates import MAX_PROMPT_CHARACTERS


def run(task: dict[str, Any]) -> str:
    """The prompt."""
    rendered: Any = render_jinja_template(
        conversations=[task["messages"]],
        chat_template=task["template"],
        add_generation_prompt=True,
        **task["options"],
    )
    prompt = rendered[0][0]
    if len(prompt) > MAX_PROMPT_CHARACTERS:
        msg = f"its prompt has {len(prompt):,} characters"
        raise ValueError(msg)
    return prompt
