"""What `ctx.llm` is: calls to language models, on behalf of one attempt of a task.

Everything goes through `converse`, one protected call by a route; what `generate` adds is made of such calls.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, overload

from flotilla.errors import PermanentError
from flotilla.llm.served import Converse, Served
from flotilla.llm_ports import Message, ModelRequest, Role, StopReason
from flotilla.ports import RunSync

if TYPE_CHECKING:
    from flotilla.llm.together import Ask
    from flotilla.llm.tool_use import ToolSpec

T = TypeVar("T")


class ModelCalls(Protocol):
    """Makes protected calls for one attempt."""

    async def converse(self, route: str, request: ModelRequest, quality: str | None = None) -> Served:
        """See `Llm.converse`."""
        ...


class Llm:
    """Language models, by the routes of `fleet.toml` that the agent declares.

    Args:
        calls: Makes the calls.
        run_sync: Runs tools that are plain functions; by default on a thread.
        together: Has an item answered together with those of other attempts; None where there are no others.
    """

    def __init__(
        self,
        calls: ModelCalls,
        run_sync: RunSync | None = None,
        together: Callable[[Ask[Any]], Awaitable[Any]] | None = None,
    ) -> None:
        self._calls = calls
        self._run_sync = run_sync
        self._together = together

    @overload
    async def generate(
        self,
        *,
        route: str,
        prompt: str | None = None,
        messages: Sequence[Message] = (),
        system: str | None = None,
        output: None = None,
        tools: Sequence[ToolSpec] = (),
        max_tokens: int = 1024,
        temperature: float | None = None,
        quality: str | None = None,
    ) -> str: ...

    @overload
    async def generate(
        self,
        *,
        route: str,
        prompt: str | None = None,
        messages: Sequence[Message] = (),
        system: str | None = None,
        output: type[T],
        tools: Sequence[ToolSpec] = (),
        max_tokens: int = 1024,
        temperature: float | None = None,
        quality: str | None = None,
    ) -> T: ...

    async def generate(
        self,
        *,
        route: str,
        prompt: str | None = None,
        messages: Sequence[Message] = (),
        system: str | None = None,
        output: type[Any] | None = None,
        tools: Sequence[ToolSpec] = (),
        max_tokens: int = 1024,
        temperature: float | None = None,
        quality: str | None = None,
    ) -> Any:
        """Have a model write a text, or fill in an `output`.

        Args:
            route: Name of the route.
            prompt: What is asked; after `messages` where there are both.
            messages: The conversation so far.
            system: Instructions, apart from the conversation.
            output: A type that pydantic can validate: the answer is one of it. A model that answers something else is
                told what is wrong with it, and asked again.
            tools: What the model may have done on the way.
            max_tokens: The longest answer.
            temperature: How freely it is worded; None leaves it to the model.
            quality: Only models of at least this quality may serve: `low`, `medium` or `high`.

        Returns:
            The text, cut off where it reached `max_tokens`; or the `output`, which never is.

        Raises:
            ParkedError: No model may be called now. Let it pass: the attempt is not charged and comes back.
            RetryableError: Those that were called failed.
            PermanentError: The route is not declared (`route_not_declared`), the request is wrong
                (`model_refused`), a budget is spent (`budget_exceeded`), or the answer was never what was asked for
                (`model_output_invalid`).
            AttemptRevokedError: The task was cancelled, or another worker owns it. Let it pass.
        """
        asked = (*messages, *((Message(Role.USER, prompt),) if prompt is not None else ()))
        if not asked:
            raise PermanentError("a prompt or messages are needed", code="invalid_request")
        request = ModelRequest(messages=asked, system=system, max_tokens=max_tokens, temperature=temperature)
        converse: Converse = partial(self.converse, route, quality=quality)
        if output is not None:
            from flotilla.llm.structured import generate_structured

            found, _ = await generate_structured(converse, request, output, tools=tools, run_sync=self._run_sync)
            return found
        if tools:
            from flotilla.llm.tool_use import use_tools

            served = await use_tools(converse, request, tools, run_sync=self._run_sync)
        else:
            served = await converse(request)
        if served.reply.stop_reason is StopReason.FILTERED:
            raise PermanentError("the model's provider withheld its answer", code="model_filtered")
        return served.reply.text

    async def generate_together(
        self,
        *,
        route: str,
        instructions: str,
        item: Any,
        output: type[T],
        max_tokens: int = 384,
        temperature: float | None = None,
        quality: str | None = None,
        max_items: int = 10,
        patience_ms: int = 200,
    ) -> T:
        """Have a model answer for one item, in one call with those that like tasks ask for at the same time.

        Tasks of one batch run at once. Those of the same agent and tenant that ask the same of an item each share a
        call: the instructions are sent, and paid for, once. It is made as soon as none of them is left to wait for. An
        item whose answer is missing, doubtful or of the wrong form is asked for again alone, and so are all where the
        answer as a whole is. Use it for small items and small answers, where what other items say can do no harm: a
        model reads them all.

        Args:
            route: Name of the route.
            instructions: What is to be done with each item; the same in all tasks.
            item: Text, JSON values, or what pydantic can make JSON of.
            output: As in `generate`.
            max_tokens: The longest answer to one item. A call has room for about 4,000 in all.
            temperature: As in `generate`.
            quality: As in `generate`.
            max_items: The most items in one call.
            patience_ms: The longest to wait for others, in milliseconds.

        Returns:
            The `output` for this item. In `usage` the call is one of each task that shared it, with the task's share of
            tokens and cost.

        Raises:
            PermanentError: The item has no form in JSON (`invalid_item`); or as in `generate`.
            FlotillaError: As in `generate`. What a shared call fails with, all who share it get.
        """
        from flotilla.llm.together import Ask, asked_alone, plain

        ask = Ask(
            route=route,
            instructions=instructions,
            item=item,
            output=output,
            max_tokens=max_tokens,
            temperature=temperature,
            quality=quality,
            max_items=max_items,
            patience_ms=patience_ms,
        )
        if self._together is None:
            return await asked_alone(partial(self.converse, route, quality=quality), ask, plain(item))
        found: T = await self._together(ask)
        return found

    async def converse(self, route: str, request: ModelRequest, *, quality: str | None = None) -> Served:
        """Make one call by a route: its first model that may be called and does answer serves it.

        Every call is counted in the task's `usage`.

        Args:
            route: Name of the route.
            request: What is asked.
            quality: As in `generate`.

        Raises:
            ParkedError: No model may be called now.
            RetryableError: Those that were called failed, or time is up.
            PermanentError: The route is not declared, the request is wrong, or a budget is spent.
            AttemptRevokedError: The task was cancelled, or another worker owns it.
        """
        return await self._calls.converse(route, request, quality)


class SyncLlm:
    """`Llm` without `await`, for plain agents.

    Args:
        llm: Makes the calls.
        call: Runs a coroutine on the event loop, and waits for it on the agent's own thread.
    """

    def __init__(self, llm: Llm, call: Callable[[Coroutine[Any, Any, Any]], Any]) -> None:
        self._llm = llm
        self._call = call

    def generate(self, *, route: str, **options: Any) -> Any:
        """See `Llm.generate`."""
        return self._call(self._llm.generate(route=route, **options))

    def generate_together(self, *, route: str, instructions: str, item: Any, output: type[T], **options: Any) -> T:
        """See `Llm.generate_together`."""
        work = self._llm.generate_together(route=route, instructions=instructions, item=item, output=output, **options)
        found: T = self._call(work)
        return found

    def converse(self, route: str, request: ModelRequest, *, quality: str | None = None) -> Served:
        """See `Llm.converse`."""
        served: Served = self._call(self._llm.converse(route, request, quality=quality))
        return served
