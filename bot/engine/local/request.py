"""One request on its way through the batch: its tokens, its text, its times."""

from dataclasses import dataclass, field

from bot.engine.api import Chunk, FinishReason, GenerationRequest, GenerationStatistics
from bot.engine.local.tokens import TextStream, TextTokens
from bot.engine.stops import StopStrings

NO_SLOT = -1


@dataclass(frozen=True, slots=True)
class Submission:
    """A request that is to be queued: its prompt is in tokens, its seed is drawn."""

    number: int
    request: GenerationRequest
    prompt: tuple[int, ...]
    seed: int
    asked_at: float  # time.monotonic() of the call

    @property
    def room_tokens(self) -> int:
        """KV room that it needs at most: the last token is chosen, never computed."""
        return len(self.prompt) + self.request.max_tokens - 1


@dataclass(slots=True)
class Generation:
    """A submission that has been admitted."""

    submission: Submission
    slot: int  # NO_SLOT while it waits
    cached_tokens: int  # when it was admitted first
    admitted_at: float
    tokens: list[int] = field(default_factory=list[int])  # prompt and reply
    first_token_at: float | None = None
    finish: FinishReason | None = None

    def open(self, tokens: TextTokens, context_tokens: int) -> "Writing":
        """Begin to write."""
        self.tokens = list(self.submission.prompt)
        return Writing(self, tokens, context_tokens)

    @property
    def reply_tokens(self) -> int:
        """Tokens chosen so far."""
        return len(self.tokens) - len(self.submission.prompt)

    def statistics(self, model: str, now: float) -> GenerationStatistics:
        """As they stand at `now`."""
        asked_at = self.submission.asked_at
        return GenerationStatistics(
            model=model,
            seed=self.submission.seed,
            prompt_tokens=len(self.submission.prompt),
            cached_prompt_tokens=self.cached_tokens,
            reply_tokens=self.reply_tokens,
            queued_seconds=self.admitted_at - asked_at,
            first_token_seconds=(self.first_token_at or now) - asked_at,
            total_seconds=now - asked_at,
        )


class Writing:
    """Turns a generation's tokens into text and says when it ends."""

    def __init__(self, generation: Generation, tokens: TextTokens, context_tokens: int) -> None:
        """`context_tokens` is the longest sequence that the model can take."""
        request = generation.submission.request
        self.generation = generation
        self._end_tokens = tokens.end_tokens
        self._context_tokens = context_tokens
        self._stream = TextStream(tokens, generation.tokens)
        self._stops = StopStrings(request.stop)
        self._max_tokens = request.max_tokens
        self._is_first = True

    def take(self, token: int) -> str:
        """A token was chosen; the text that it makes certain. May set `generation.finish`."""
        generation = self.generation
        generation.tokens.append(token)
        if token in self._end_tokens:
            generation.finish = FinishReason.STOP
            return self._rest()
        text = self._stops.decode(self._stream.decode(token))
        if self._stops.stopped:
            generation.finish = FinishReason.STOP
        elif (
            generation.reply_tokens >= self._max_tokens
            or len(generation.tokens) > self._context_tokens
        ):
            text += self._rest()
            # What was held back may have completed a stop string.
            stopped = self._stops.stopped
            generation.finish = FinishReason.STOP if stopped else FinishReason.LENGTH
        return text

    def next_chunk(self, text: str, model: str, now: float) -> Chunk:
        """A chunk amid the reply."""
        so_far = self.generation.statistics(model, now) if self._is_first else None
        self._is_first = False
        return Chunk(text, so_far=so_far)

    def cut(self, model: str, now: float) -> Chunk:
        """The last chunk of a generation that was broken off."""
        self.generation.finish = FinishReason.CANCELLED
        return self.last_chunk(self._rest(), model, now)

    def last_chunk(self, text: str, model: str, now: float) -> Chunk:
        """The chunk that ends the reply."""
        generation = self.generation
        return Chunk(text, generation.finish, generation.statistics(model, now))

    def _rest(self) -> str:
        return self._stops.decode(self._stream.flush()) + self._stops.flush()
