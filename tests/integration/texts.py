"""The pipelines of these tests, as files."""

from typing import Final

ECHO: Final = """
pipeline: echo
version: 1
input: "ticket: str"
output: "reply: str"
session: {ttl: 1h, history: 3}
stages:
  note: {transform: "labcode:note", signature: "ticket -> note: str", inline: true}
  reply: {transform: "labcode:reply", signature: "ticket, note -> reply: str"}
flow: [note, reply]
"""
"""Two transforms and a session; the ticket says what they do."""


def ask_text(api_base: str, name: str = "ask") -> str:
    """Return a pipeline of two stages that ask the LM at *api_base*."""
    return f"""
pipeline: {name}
version: 1
input: "ticket: str"
output: "category: str, reply: str"
session: {{ttl: 1h, history: 3}}
lms:
  small: {{model: openai/fake, api_base: "{api_base}", limit: 256}}
stages:
  classify:
    predict: "ticket -> category: Literal['billing', 'bug', 'other']"
    lm: small
  draft: {{predict: "ticket, category -> reply: str", lm: small}}
flow: [classify, draft]
"""
