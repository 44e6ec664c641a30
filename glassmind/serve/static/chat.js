/* The chat page: what is typed goes to /v1/chat/completions, what comes back is shown as it comes.

   The conversation lives in this page alone and is gone when it is closed. A screen reader hears a
   reply once, when it is complete: while it forms, the log is marked busy. */

import { complaint, events } from "./events.js";

const element = (id) => document.getElementById(id);
const log = element("log");
const input = element("input");
const status = element("status");

const turns = [];
let model = "";
let answering = null; // an AbortController while an answer forms

function headers() {
  const key = element("key").value.trim();
  return { "Content-Type": "application/json", ...(key && { Authorization: `Bearer ${key}` }) };
}

async function connect() {
  try {
    const response = await fetch("v1/models", { headers: headers() });
    if (!response.ok) throw new Error(await complaint(response));
    const { id, format, max_model_len: context } = (await response.json()).data[0];
    model = id;
    const note = {
      chat: "",
      question: " It was trained on single questions and forgets the one before.",
      text: " It was not made for conversations: it only continues texts, through the API.",
    }[format];
    element("model").textContent = `${id}, a context of ${context} tokens.${note}`;
  } catch (error) {
    model = "";
    element("model").textContent = `not connected: ${error.message}`;
    if (/key/.test(error.message)) element("settings").open = true;
  }
}

function add(role, name) {
  const article = document.createElement("article");
  article.className = role;
  article.setAttribute("aria-label", name);
  const heading = document.createElement("h2");
  heading.textContent = name;
  article.append(heading);
  log.append(article);
  return article;
}

function paragraph(parent, className, text = "") {
  const p = document.createElement("p");
  p.className = className;
  p.textContent = text;
  parent.append(p);
  return p;
}

/* A reply on the page: reasoning in a fold of its own, then the answer, then what is to be noted. */
class Reply {
  constructor() {
    this.article = add("assistant", model);
    this.reasoning = null;
    this.text = null;
    this.content = "";
  }

  think(text) {
    if (!this.reasoning) {
      const fold = document.createElement("details");
      fold.className = "reasoning";
      fold.open = true;
      const summary = document.createElement("summary");
      summary.textContent = "Reasoning";
      fold.append(summary);
      this.article.append(fold);
      this.reasoning = paragraph(fold, "");
    }
    this.reasoning.append(text);
  }

  say(text) {
    this.text ??= paragraph(this.article, "text");
    this.content += text;
    this.text.append(text);
  }

  /* Instead of the plain text, its tokens, marked by how probable they were. */
  colour(tokens) {
    if (!this.text || tokens.map((t) => t.token).join("") !== this.content) return;
    this.text.replaceChildren(
      ...tokens.map(({ token, logprob }) => {
        const share = Math.exp(logprob);
        const span = document.createElement("span");
        span.textContent = token;
        span.title = `${(100 * share).toFixed(1)} %`;
        span.className = share >= 0.5 ? "" : share >= 0.1 ? "unsure" : "guess";
        return span;
      }),
    );
  }

  note(text) {
    paragraph(this.article, "note", text);
  }

  fail(text) {
    this.article.classList.add("wrong");
    paragraph(this.article, "text", text);
  }
}

function request() {
  const system = element("system").value.trim();
  const seed = element("seed").value;
  return {
    model,
    messages: [...(system ? [{ role: "system", content: system }] : []), ...turns],
    temperature: Number(element("temperature").value),
    max_tokens: Number(element("max-tokens").value),
    enable_thinking: element("think").checked ? null : false,
    logprobs: element("logprobs").checked,
    stream: true,
    stream_options: { include_usage: true },
    ...(seed !== "" && { seed: Number(seed) }),
  };
}

async function answer(reply, signal) {
  const started = performance.now();
  const response = await fetch("v1/chat/completions", {
    method: "POST",
    headers: headers(),
    body: JSON.stringify(request()),
    signal,
  });
  if (!response.ok) throw new Error(await complaint(response));
  const tokens = [];
  try {
    for await (const event of events(response)) {
      if (event.error) throw new Error(event.error.message);
      if (event.usage) {
        const seconds = (performance.now() - started) / 1000;
        const count = event.usage.completion_tokens;
        reply.note(`${count} tokens, ${(count / seconds).toFixed(1)} a second`);
      }
      for (const { delta, logprobs, finish_reason: finish } of event.choices) {
        if (delta.reasoning_content) reply.think(delta.reasoning_content);
        if (delta.content) reply.say(delta.content);
        if (logprobs) tokens.push(...logprobs.content);
        if (finish === "length") reply.note("Cut off: Settings allow a longer answer.");
      }
      follow();
    }
  } finally {
    reply.colour(tokens); // also of an answer that was stopped
  }
}

/* Keep the end in view, unless the reader has scrolled away from it. */
function follow() {
  if (log.scrollHeight - log.scrollTop - log.clientHeight < 120) log.scrollTop = log.scrollHeight;
}

function busy(on) {
  log.setAttribute("aria-busy", String(on));
  element("send").hidden = on;
  element("stop").hidden = !on;
}

async function send() {
  const text = input.value.trim();
  if (!text || answering) return;
  if (!model) await connect();
  input.value = "";
  paragraph(add("user", "You"), "text", text);
  turns.push({ role: "user", content: text });
  const reply = new Reply();
  log.scrollTop = log.scrollHeight;
  const mine = (answering = new AbortController());
  busy(true);
  status.textContent = "The model is answering.";
  try {
    await answer(reply, mine.signal);
    status.textContent = "The answer is complete.";
  } catch (error) {
    if (mine.signal.aborted) {
      reply.note("Stopped.");
      status.textContent = "The answer was stopped.";
    } else {
      reply.fail(error.message);
      input.value ||= text; // to be sent again
      status.textContent = "There was no answer; the conversation says why.";
    }
  }
  if (reply.content) turns.push({ role: "assistant", content: reply.content });
  else turns.pop();
  answering = null;
  busy(false);
  follow();
  input.focus();
}

element("form").addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});
input.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    send();
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") answering?.abort();
});
element("stop").addEventListener("click", () => answering?.abort());
element("reset").addEventListener("click", () => {
  answering?.abort();
  turns.length = 0;
  log.replaceChildren();
  status.textContent = "A new conversation.";
  input.focus();
});
element("key").addEventListener("change", connect);
connect();
input.focus();
