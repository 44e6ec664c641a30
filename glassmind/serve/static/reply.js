/* A reply on the page: what a model says, how sure it was, and what an answer rests on. */

import { markdown } from "./markdown.js";

/* From how sure to a class of the style sheet. The legend of the page says what they mean. */
export function sureness(share) {
  return share >= 0.5 ? "sure" : share >= 0.1 ? "unsure" : "guess";
}

export function percent(share) {
  return `${(100 * share).toFixed(share > 0 && share < 0.1 ? 1 : 0)} %`;
}

export function element(name, className = "", text = "") {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.textContent = text;
  return made;
}

/* The legend of the colours, once below everything that is coloured. */
function legend(what) {
  const line = element("p", "note legend", `${what}: `);
  for (const [className, meaning] of [
    ["sure", "50 % or more"],
    ["unsure", "10 to 50 %"],
    ["guess", "below 10 %"],
  ]) {
    line.append(element("span", className, meaning), " ");
  }
  return line;
}

function fold(title, open) {
  const made = element("details");
  made.open = open;
  made.append(element("summary", "", title));
  return made;
}

export class Reply {
  constructor(article) {
    this.article = article;
    this.reasoning = null;
    this.text = null;
    this.content = "";
  }

  think(text) {
    if (!this.reasoning) {
      const made = fold("Reasoning", true);
      made.className = "reasoning";
      this.article.append(made);
      this.reasoning = element("p");
      made.append(this.reasoning);
    }
    this.reasoning.append(text);
  }

  say(text) {
    if (!this.text) {
      this.text = element("div", "text plain");
      this.article.append(this.text);
    }
    this.content += text;
    this.text.append(text);
  }

  /* The end: instead of the plain text its tokens, marked by how probable they were, or what its
     Markdown means. A reply is never blank: where nothing was said, that is said. */
  finish(tokens, finish) {
    if (!this.content.trim()) {
      this.text?.remove();
      this.note(
        finish === "length"
          ? "No answer: the tokens ran out before it began. Settings allow more."
          : finish === "stopped"
            ? "Nothing was said before it was stopped."
            : "The model ended its reply without saying anything. Another seed, or the question in other words, may do.",
      );
      return;
    }
    if (finish === "length") this.note("Cut off: Settings allow a longer answer.");
    if (tokens.length && this.colour(tokens)) return;
    this.text.classList.remove("plain");
    this.text.replaceChildren(...markdown(this.content));
  }

  /* A token may be part of a character, so their bytes are decoded in a row. False where they are
     not the text that is shown, as behind a stop text. */
  colour(tokens) {
    const decoder = new TextDecoder();
    const spans = tokens.map(({ bytes, logprob }, number) => {
      const share = Math.exp(logprob);
      const last = number === tokens.length - 1;
      const span = element(
        "span",
        sureness(share),
        decoder.decode(new Uint8Array(bytes), { stream: !last }),
      );
      span.title = percent(share);
      return span;
    });
    if (spans.map((span) => span.textContent).join("") !== this.content) return false;
    this.text.replaceChildren(...spans);
    this.article.append(legend("How probable each token was"));
    return true;
  }

  note(text) {
    this.article.append(element("p", "note", text));
  }

  fail(text) {
    this.article.classList.add("wrong");
    this.article.append(element("p", "text", text));
  }
}

/* A reply by a method of reasoning: the votes as they come in, the answer, and every chain. */
export class ReasonedReply extends Reply {
  begin({ method, samples }) {
    this.samples = samples;
    this.head = element("p", "note", `${method}: ${samples} ${samples === 1 ? "chain" : "chains"} of thought`);
    this.votes = element("ol", "votes");
    this.chains = fold("Chains of thought", false);
    this.article.append(this.head, this.votes, this.chains);
    this.rows = new Map();
  }

  chain({ sample, steps, step_scores: beliefs, answer, score, finish, votes, weighted }) {
    const row = element("li");
    const scored = beliefs.length === steps.length && steps.length > 0;
    steps.forEach((step, number) => {
      const code = element("code", scored ? sureness(beliefs[number]) : "", step);
      row.append(code, scored ? ` ${percent(beliefs[number])}` : "", document.createElement("br"));
    });
    const end = answer === null ? `no answer (${finish === "length" ? "cut off" : "none found"})` : `→ ${answer}`;
    row.append(element("b", "", end), score === null ? "" : ` believed ${percent(score)}`);
    this.rows.set(sample, row);
    this.scored ||= scored;
    this.count(votes, weighted);
  }

  /* The votes so far; where a verifier weighs them, what it makes of them decides. */
  count(votes, weighted) {
    const weighed = Object.values(weighted).some((weight) => weight > 0);
    const weights = weighed ? weighted : votes;
    const total = Object.values(weights).reduce((sum, one) => sum + one, 0);
    const rows = Object.keys(votes).sort((one, other) => weights[other] - weights[one]);
    this.votes.replaceChildren(
      ...rows.map((answer) => {
        const share = total > 0 ? weights[answer] / total : 0;
        const row = element("li");
        const meter = element("meter");
        meter.value = share;
        meter.setAttribute("aria-hidden", "true");
        const how = `${votes[answer]} of ${this.samples}${weighed ? `, weighted ${percent(share)}` : ""}`;
        row.append(element("b", "", answer), " ", meter, ` ${how}`);
        return row;
      }),
    );
  }

  conclude({ answer, votes, weighted, warning, cost }) {
    this.count(votes, weighted);
    const list = element("ol");
    list.append(...[...this.rows].sort(([one], [other]) => one - other).map(([, row]) => row));
    this.chains.append(list);
    if (this.scored) this.chains.append(legend("What the verifier believes of each step"));
    const told = answer === null ? "No chain came to an answer." : answer;
    this.content = answer ?? "";
    this.head.before(element("p", answer === null ? "note" : "answer", told));
    if (warning) this.head.before(element("p", "warning", `Warning: ${warning}`));
    this.note(`${cost.completion_tokens} ${cost.completion_tokens === 1 ? "token" : "tokens"} written`);
  }
}
