/* Markdown to elements: headings, paragraphs, lists, quotes, code, emphasis, links.

   A model's answer is a stranger's text, so nothing here makes HTML of it: elements are created one
   by one and their text is set as text. Links lead to http and https alone. Whatever is not
   understood stays as it was written. */

const FENCE = /^\s*(```+|~~~+)/;
const HEADING = /^(#{1,6})\s+(.*)$/;
const ITEM = /^\s*(?:[-*+]|(\d{1,9})[.)])\s+(.*)$/;
const QUOTE = /^\s*>\s?(.*)$/;
const RULE = /^\s*([-*_])(\s*\1){2,}\s*$/;
// Code, strong, emphasis, link: the first that begins is taken.
const INLINE = /(`+)([^`]+?)\1|\*\*([^*\n]+)\*\*|\*([^*\s][^*\n]*)\*|\[([^\]\n]{1,500})\]\(([^\s()]{1,2000})\)/;
const DEEPEST = 8; // quotes within quotes

function made(name, ...children) {
  const element = document.createElement(name);
  element.append(...children);
  return element;
}

function link(text, target) {
  if (!/^https?:\/\//i.test(target)) return null;
  const anchor = made("a", text);
  anchor.href = target;
  anchor.rel = "noopener noreferrer";
  anchor.target = "_blank";
  return anchor;
}

/* The parts of a line of text. */
function inline(text) {
  const parts = [];
  let rest = text;
  for (let found = INLINE.exec(rest); found; found = INLINE.exec(rest)) {
    const [whole, , code, strong, emphasis, label, target] = found;
    parts.push(rest.slice(0, found.index));
    if (code !== undefined) parts.push(made("code", code));
    else if (strong !== undefined) parts.push(made("strong", strong));
    else if (emphasis !== undefined) parts.push(made("em", emphasis));
    else parts.push(link(label, target) ?? whole);
    rest = rest.slice(found.index + whole.length);
  }
  return [...parts, rest];
}

function lines(texts) {
  return texts.flatMap((text, number) => (number ? [made("br"), ...inline(text)] : inline(text)));
}

/* The elements of a text in Markdown. */
export function markdown(text, depth = 0) {
  const blocks = [];
  const rows = text.split("\n");
  const taken = (pattern) => {
    const found = [];
    for (let match; at < rows.length && (match = pattern.exec(rows[at])); at += 1) found.push(match);
    return found;
  };
  let at = 0;
  while (at < rows.length) {
    const fence = FENCE.exec(rows[at]);
    const heading = HEADING.exec(rows[at]);
    const item = ITEM.exec(rows[at]);
    if (fence) {
      const code = [];
      for (at += 1; at < rows.length && !rows[at].trim().startsWith(fence[1]); at += 1) code.push(rows[at]);
      at += 1;
      blocks.push(made("pre", made("code", code.join("\n"))));
    } else if (heading) {
      // Below the name of the speaker, which is a second-level heading.
      blocks.push(made(`h${Math.min(6, heading[1].length + 2)}`, ...inline(heading[2])));
      at += 1;
    } else if (RULE.test(rows[at])) {
      blocks.push(made("hr"));
      at += 1;
    } else if (item) {
      const list = made(item[1] === undefined ? "ul" : "ol");
      if (item[1] !== undefined) list.start = Number(item[1]);
      list.append(...taken(ITEM).map((one) => made("li", ...inline(one[2]))));
      blocks.push(list);
    } else if (depth < DEEPEST && QUOTE.test(rows[at])) {
      const quoted = taken(QUOTE).map((one) => one[1]).join("\n");
      blocks.push(made("blockquote", ...markdown(quoted, depth + 1)));
    } else if (rows[at].trim()) {
      const first = at;
      do at += 1;
      while (at < rows.length && rows[at].trim() && ![FENCE, HEADING, ITEM, RULE].some((p) => p.test(rows[at])));
      blocks.push(made("p", ...lines(rows.slice(first, at))));
    } else {
      at += 1;
    }
  }
  return blocks;
}
