"""What a captioning server is asked: an image made small, and a prompt, as JSON."""

import base64

from recap_assets.captions.kinds.openai.spec import OpenAISpec
from recap_assets.captions.servers.requests import chat_body


def request_body(
    source: OpenAISpec, jpeg: bytes, uid: bytes, candidate: int, prompt: str | None = None
) -> bytes:
    """One request: the image, and the prompt behind it, the source's own where none is given."""
    url = f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"
    asked: list[dict[str, object]] = [
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "text", "text": source.prompt if prompt is None else prompt},
    ]
    return chat_body(source, asked, uid, candidate, source.system)
