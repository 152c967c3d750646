"""Turns as LLaVA and ShareGPT write them, which most trainers of such models read."""

from recap_assets.exports.kinds.conversations.turns import IMAGE_PLACEHOLDER, Conversation


def sharegpt_turns(conversation: Conversation) -> list[dict[str, str]]:
    """`{from: human | gpt, value}` for each turn; `<image>` stands before the first question."""
    turns: list[dict[str, str]] = []
    for number, (user, answer) in enumerate(conversation.turns):
        shown = conversation.with_image and number == 0
        question = f"{IMAGE_PLACEHOLDER}\n{user}" if shown else user
        turns += [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
    return turns
