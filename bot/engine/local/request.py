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
class AdmittedRequest:
    """A submission that has been admitted."""

    submission: Submission
    slot: int  # NO_SLOT while it waits
    cached_tokens: int  # when it was admitted first
    admitted_at: float
    tokens: list[int] = field(default_factory=list[int])  # prompt and reply
    first_token_at: float | None = None
    finish: FinishReason | None = None

    def open(self, tokens: TextTokens, context_tokens: int) -> "Writing":
        """Begin the reply: what turns its tokens into text."""
        self.tokens = list(self.submission.prompt)
        return Writing(self, tokens, context_tokens)

    @property
    def reply_tokens(self) -> int:
        """Tokens chosen so far."""
        return len(self.tokens) - len(self.submission.prompt)

    def statistics(self, model: str, now: float) -> GenerationStatistics:
        """What is known of the reply at `now`."""
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
    """Turns an admitted request's tokens into text and says when it ends."""

    def __init__(self, admitted: AdmittedRequest, tokens: TextTokens, context_tokens: int) -> None:
        """`context_tokens` is the longest sequence that the model can take."""
        request = admitted.submission.request
        self.admitted = admitted
        stops = request.stop
        self._end_tokens = tokens.end_tokens_for(stops) if stops else tokens.end_tokens
        self._context_tokens = context_tokens
        self._stream = TextStream(tokens, admitted.tokens)
        self._stops = StopStrings(request.stop)
        self._max_tokens = request.max_tokens
        self._is_first = True

    def take(self, token: int) -> str:
        """A token was chosen; the text that it makes certain. May set `admitted.finish`."""
        admitted = self.admitted
        admitted.tokens.append(token)
        if token in self._end_tokens:
            admitted.finish = FinishReason.STOP
            return self._rest()
        text = self._stops.decode(self._stream.decode(token))
        if self._stops.stopped:
            admitted.finish = FinishReason.STOP
        elif (
            admitted.reply_tokens >= self._max_tokens or len(admitted.tokens) > self._context_tokens
        ):
            text += self._rest()
            # What was held back may have completed a stop string.
            stopped = self._stops.stopped
            admitted.finish = FinishReason.STOP if stopped else FinishReason.LENGTH
        return text

    def next_chunk(self, text: str, model: str, now: float) -> Chunk:
        """A chunk that is not the last one."""
        so_far = self.admitted.statistics(model, now) if self._is_first else None
        self._is_first = False
        return Chunk(text, so_far=so_far)

    def cut(self, model: str, now: float) -> Chunk:
        """The last chunk of an admitted request that was broken off."""
        self.admitted.finish = FinishReason.CANCELLED
        return self.last_chunk(self._rest(), model, now)

    def last_chunk(self, text: str, model: str, now: float) -> Chunk:
        """The chunk that ends the reply."""
        admitted = self.admitted
        return Chunk(text, admitted.finish, admitted.statistics(model, now))

    def _rest(self) -> str:
        return self._stops.decode(self._stream.flush()) + self._stops.flush()
