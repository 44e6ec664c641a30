/* The chat page: what is typed goes to /v1/chat/completions or /v1/reason, what comes back is shown
   as it comes.

   The conversation lives in this page alone and is gone when it is closed. A screen reader hears a
   reply once, when it is complete: while it forms, the log is marked busy. */

import { complaint, events } from "./events.js";
import { ReasonedReply, Reply, element as made } from "./reply.js";

const element = (id) => document.getElementById(id);
const log = element("log");
const input = element("input");
const status = element("status");
// On a phone Enter is for a new line, as there is no Shift beside it, and the keyboard hides the page.
const onPhone = matchMedia("(hover: none) and (pointer: coarse)").matches;

const EXAMPLES = {
  question: [
    "Mia has 3 boxes of 12 pencils. She gives 5 away. How many are left?",
    "Tom reads 15 pages a day for 4 days. How many pages does he read?",
    "There are 24 cows on a farm. 18 more arrive, and 7 are sold. How many cows are there?",
  ],
  chat: [
    "Mia has 3 boxes of 12 pencils. She gives 5 away. How many are left?",
    "Explain in three sentences why the sky is blue.",
    "Write a list of five names for a cat.",
  ],
  text: [],
};

const turns = [];
let model = "";
let format = "";
let answering = null; // an AbortController while an answer forms

function headers() {
  const key = element("key").value.trim();
  return { "Content-Type": "application/json", ...(key && { Authorization: `Bearer ${key}` }) };
}

async function connect() {
  try {
    const response = await fetch("v1/models", { headers: headers() });
    if (!response.ok) throw new Error(await complaint(response));
    const { id, max_model_len: context, ...rest } = (await response.json()).data[0];
    const note = {
      chat: "",
      question: " It was trained on single questions and forgets the one before.",
      text: " It was not made for conversations: it only continues texts, through the API.",
    }[rest.format];
    if (!format) element("by").value = rest.format === "question" ? "reason" : "chat";
    [model, format] = [id, rest.format];
    element("model").textContent = `${id}, a context of ${context} tokens.${note}`;
    offer();
  } catch (error) {
    model = "";
    element("model").textContent = `not connected: ${error.message}`;
    if (/key/.test(error.message)) element("settings").open = true;
  }
}

/* Questions to begin with, as long as nothing has been said. */
function offer() {
  const examples = EXAMPLES[format] ?? [];
  element("examples").hidden = log.childElementCount > 0 || !examples.length;
  element("questions").replaceChildren(
    ...examples.map((question) => {
      const button = made("button", "", question);
      button.type = "button";
      button.addEventListener("click", () => {
        input.value = question;
        send();
      });
      return button;
    }),
  );
}

function add(role, name) {
  const article = made("article", role);
  article.setAttribute("aria-label", name);
  article.append(made("h2", "", name));
  log.append(article);
  return article;
}

function request() {
  const system = element("system").value.trim();
  return {
    messages: [...(system ? [{ role: "system", content: system }] : []), ...turns],
    enable_thinking: element("think").checked ? null : false,
    logprobs: element("logprobs").checked,
    stream_options: { include_usage: true },
  };
}

/* The events of an endpoint's answer to the settings and `body`. */
async function* asked(path, body, signal) {
  const seed = element("seed").value;
  const response = await fetch(path, {
    method: "POST",
    headers: headers(),
    body: JSON.stringify({
      model,
      temperature: Number(element("temperature").value),
      max_tokens: Number(element("max-tokens").value),
      stream: true,
      ...(seed !== "" && { seed: Number(seed) }),
      ...body,
    }),
    signal,
  });
  if (!response.ok) throw new Error(await complaint(response));
  for await (const event of events(response)) {
    if (event.error) throw new Error(event.error.message);
    yield event;
    follow();
  }
}

async function chat(reply, signal) {
  const started = performance.now();
  const tokens = [];
  let finished = "stopped";
  try {
    for await (const event of asked("v1/chat/completions", request(), signal)) {
      if (event.usage) {
        const seconds = (performance.now() - started) / 1000;
        const count = event.usage.completion_tokens;
        reply.speed = `${count} ${count === 1 ? "token" : "tokens"}, ${(count / seconds).toFixed(1)} a second`;
      }
      for (const { delta, logprobs, finish_reason: finish } of event.choices) {
        if (delta.reasoning_content) reply.think(delta.reasoning_content);
        if (delta.content) reply.say(delta.content);
        if (logprobs) tokens.push(...logprobs.content);
        if (finish) finished = finish;
      }
    }
  } finally {
    if (finished !== "stopped" || signal.aborted) reply.finish(tokens, finished); // else it failed
    if (reply.speed) reply.note(reply.speed);
  }
}

async function reason(reply, signal) {
  const samples = element("samples").value;
  const body = { question: turns.at(-1).content, ...(samples !== "" && { samples: Number(samples) }) };
  for await (const event of asked("v1/reason", body, signal)) {
    if (event.type === "start") reply.begin(event);
    else if (event.type === "chain") reply.chain(event);
    else if (event.type === "answer") reply.conclude(event);
    if (event.type === "chain") status.textContent = `${reply.rows.size} of ${reply.samples} chains are complete.`;
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
  const mine = (answering = new AbortController());
  if (!model) await connect();
  input.value = "";
  add("user", "You").append(made("p", "text plain", text));
  turns.push({ role: "user", content: text });
  offer();
  const reasoned = element("by").value === "reason";
  const reply = new (reasoned ? ReasonedReply : Reply)(add("assistant", model || "No model"));
  log.scrollTop = log.scrollHeight;
  busy(true);
  status.textContent = "The model is answering.";
  try {
    await (reasoned ? reason : chat)(reply, mine.signal);
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
  if (!onPhone) input.focus();
}

element("form").addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});
input.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !onPhone && !event.shiftKey && !event.isComposing) {
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
  offer();
  status.textContent = "A new conversation.";
  if (!onPhone) input.focus();
});
element("key").addEventListener("change", connect);
connect();
if (!onPhone) input.focus();
