"""A chat in many channels: how soon its last turn is answered, with and without a kept prefix."""

import asyncio
from dataclasses import dataclass

from bot.bench.load import Generating, Streams, ask, median, request_for
from bot.bench.prompts import PromptMaker
from bot.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Chat:
    """What is talked. Every channel has a persona of its own, so that none helps another."""

    channels: int = 32
    turns: int = 20
    persona_tokens: int = 400
    message_tokens: int = 40
    reply_tokens: int = 30

    @property
    def longest_tokens(self) -> int:
        """Roughly what the last turn comes to; a line's end may be a token."""
        return self.persona_tokens + self.turns * (self.message_tokens + self.reply_tokens + 2)

    def check_fits(self, context_tokens: int) -> None:
        """Raises SettingsError when the last turn cannot fit the model's context."""
        if self.longest_tokens > context_tokens:
            raise SettingsError(
                f"A chat of {self.turns} turns comes to {self.longest_tokens} tokens, and the "
                f"model has room for {context_tokens}.",
                "Ask for fewer or shorter turns (--chat-turns, --message-tokens, --reply-tokens).",
            )


@dataclass(frozen=True, slots=True)
class ChatRound:
    """Seconds to the first token of the last turn, one a channel, asked one after the other."""

    reused_seconds: tuple[float, ...]
    fresh_seconds: tuple[float, ...]
    prompt_tokens: int  # of the last turn, median
    cached_tokens: int  # of these, with the prefix kept
    cached_tokens_fresh: int  # 0, or the comparison is not one


async def run_chat(
    engine: Generating, prompts: PromptMaker, streams: Streams, chat: Chat
) -> ChatRound:
    """All turns but the last in all channels at once, then the last one channel by channel.

    After it, prompts of the same lengths in channels that are new.
    """
    channels = [streams.fresh_channel() for _ in range(chat.channels)]
    histories = {channel: prompts.make(chat.persona_tokens) for channel in channels}

    async def turn(channel: str) -> None:
        histories[channel] += "\n" + prompts.make(chat.message_tokens) + "\n"
        answer = await ask(engine, request_for(histories[channel], channel, chat.reply_tokens))
        histories[channel] += answer.text

    for _ in range(chat.turns - 1):
        await asyncio.gather(*(turn(channel) for channel in channels))
    last = [
        histories[channel] + "\n" + prompts.make(chat.message_tokens) + "\n" for channel in channels
    ]
    reused = [
        await ask(engine, request_for(prompt, channel, chat.reply_tokens))
        for channel, prompt in zip(channels, last, strict=True)
    ]
    fresh = [
        await ask(
            engine,
            request_for(
                prompts.make(answer.statistics.prompt_tokens),
                streams.fresh_channel(),
                chat.reply_tokens,
            ),
        )
        for answer in reused
    ]
    return ChatRound(
        reused_seconds=tuple(a.text_at - a.asked_at for a in reused),
        fresh_seconds=tuple(a.text_at - a.asked_at for a in fresh),
        prompt_tokens=int(median([a.statistics.prompt_tokens for a in reused])),
        cached_tokens=int(median([a.statistics.cached_prompt_tokens for a in reused])),
        cached_tokens_fresh=max(a.statistics.cached_prompt_tokens for a in fresh),
    )
