"""Endpoints about text itself: its tokens, and its embedding."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from functools import partial

import torch
from fastapi import APIRouter, Request
from starlette.responses import Response

from glassmind.llm.local import LocalLLM
from glassmind.serialization import JsonObject
from glassmind.serve.access.callers import caller_of
from glassmind.serve.access.refusals import AsciiJSON, Refusal
from glassmind.serve.endpoints.chat_messages import prompt_of
from glassmind.serve.endpoints.completions import prompts_of
from glassmind.serve.endpoints.service import Service
from glassmind.serve.endpoints.sse import unless_gone
from glassmind.serve.sampling import check_room
from glassmind.serve.schemas import responses as response_schema
from glassmind.serve.schemas.requests import (
    ChatRequest,
    DetokenizeRequest,
    EmbeddingRequest,
    TokenizeRequest,
)
from glassmind.serve.work.tool_calls import tools_of


def embedding(served: LocalLLM, ids: Sequence[int]) -> list[float]:
    """The mean over all tokens of the final hidden states, scaled to length 1: (d_model,) numbers.

    A language model is not trained for this: its states predict the next token. Similar texts still
    get similar vectors, but a model trained for embeddings does better.
    """
    device = next(served.model.parameters()).device
    with torch.inference_mode():
        x_BTD = served.model.hidden(torch.tensor([list(ids)], device=device))
        mean_D = x_BTD[0].float().mean(0)
        unit_D: torch.Tensor = mean_D / mean_D.norm().clamp_min(1e-12)
    return [float(number) for number in unit_D.tolist()]


async def _embed(service: Service, client: str, body: EmbeddingRequest) -> JsonObject:
    served = service.served
    prompts = await service.text(prompts_of, served, body.input)
    for prompt in prompts:
        check_room(service, prompt, None, 1)
    data = []
    for index, prompt in enumerate(prompts):
        # One at a time, so that running answers can take steps in between.
        async with service.embedding_turns.of(client):
            numbers = await service.thread.call(partial(embedding, served, prompt))
        given: object = numbers
        if body.encoding_format == "base64":
            packed = torch.tensor(numbers, dtype=torch.float32).numpy().astype("<f4").tobytes()
            given = base64.b64encode(packed).decode("ascii")
        data.append({"object": "embedding", "index": index, "embedding": given})
    read = sum(map(len, prompts))
    usage = {"prompt_tokens": read, "total_tokens": read}
    return {"object": "list", "data": data, "model": served.name, "usage": usage}


def _ids(served: LocalLLM, body: TokenizeRequest) -> list[int]:
    if body.messages is None:
        return served.text_prompt(
            body.prompt or "", special=body.add_special_tokens, marked=body.parse_special
        )
    asked = ChatRequest(
        messages=body.messages,
        tools=body.tools,
        chat_template_kwargs=body.chat_template_kwargs,
        add_generation_prompt=body.add_generation_prompt,
        continue_final_message=body.continue_final_message,
    )
    return prompt_of(served, asked, tools_of(asked), constrained=False)


def routes(service: Service) -> APIRouter:
    """The endpoints."""
    router = APIRouter()
    served = service.served

    @router.post("/v1/embeddings", response_model=None, responses=response_schema.of("Embeddings"))
    async def embeddings(body: EmbeddingRequest, request: Request) -> Response:
        """Vectors of texts: the mean of the model's final hidden states, scaled to length 1."""
        service.check_model(body.model)
        return AsciiJSON(
            await unless_gone(request.receive, _embed(service, caller_of(request).client, body))
        )

    @router.post("/tokenize", response_model=None, responses=response_schema.of("Tokens"))
    async def tokenize(body: TokenizeRequest) -> Response:
        """The ids of a text, or of a conversation in the model's chat template."""
        service.check_model(body.model)
        if (body.prompt is None) == (body.messages is None):
            raise Refusal(400, "give either a prompt or messages", param="prompt")
        ids = await service.text(_ids, served, body)
        listed = [served.spelling(token_id) for token_id in ids]
        return AsciiJSON(
            {
                "count": len(ids),
                "max_model_len": service.thread.context,
                "tokens": ids,
                "texts": listed,
            }
        )

    @router.post("/detokenize", response_model=None, responses=response_schema.of("Text"))
    async def detokenize(body: DetokenizeRequest) -> Response:
        """The text of ids; special tokens are dropped."""
        service.check_model(body.model)
        for token_id in body.tokens:
            if token_id >= served.tokenizer.vocab_size:
                raise Refusal(400, f"there is no token {token_id}", param="tokens")
        return AsciiJSON({"prompt": await service.text(served.tokenizer.decode, body.tokens)})

    @router.get(
        "/tokenizer_info", response_model=None, responses=response_schema.of("TokenizerInfo")
    )
    async def tokenizer_info() -> Response:
        """Facts that evaluation harnesses need instead of a tokenizer of their own."""
        eos = served.eos_id
        info = {
            "bos_token": None if served.bos_id is None else served.spelling(served.bos_id),
            "eos_token": None if eos is None else served.spelling(eos),
            "chat_template": None if served.template is None else served.template.source,
        }
        return AsciiJSON(info)

    return router
