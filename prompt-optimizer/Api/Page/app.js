"use strict";

// Every text of a user or a model reaches the page through textContent: it is shown, never interpreted.

const byId = (id) => document.getElementById(id);
const dialectNames = { StableDiffusion: "Stable Diffusion", Flux: "FLUX", Midjourney: "Midjourney", DallE: "DALL-E" };
const agentNames = {
  "intent-inference": "Working out what you mean",
  "scene-and-style": "Writing scene and style",
  "self-evaluation": "Checking it against your words",
  "feedback-tuning": "Applying your feedback",
  "vision-scorer": "Looking at the image",
  "clip-scorer": "Comparing the image with your words",
  image: "Making an image",
};
let current = null;
let stream = null;
let nextPage = null;

function element(tag, text, className) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function list(title, items) {
  const part = document.createDocumentFragment();
  if (!items || items.length === 0) return part;
  part.append(element("h4", title));
  const made = element("ul", undefined, "plain");
  for (const item of items) made.append(element("li", item));
  part.append(made);
  return part;
}

function say(text) {
  byId("message").textContent = text || "";
  byId("message").hidden = !text;
}

async function call(method, path, body) {
  const response = await fetch(path, {
    method,
    headers: body ? { "Content-Type": "application/json" } : {},
    body: body ? JSON.stringify(body) : undefined,
  });
  const text = await response.text();
  let answer = null;
  try {
    if (text) answer = JSON.parse(text);
  } catch {
    // Whatever stands in front of the service answered with a page of its own.
    throw new Error(`HTTP ${response.status}, and the answer is not the service's`);
  }
  if (!response.ok) throw new Error(answer?.detail || `HTTP ${response.status}`);
  return answer;
}

async function attempt(action) {
  say("");
  try {
    await action();
  } catch (error) {
    say(error.message);
  }
}

function copyButton(text, name) {
  const button = element("button", "Copy");
  button.type = "button";
  button.setAttribute("aria-label", `Copy the text for ${name}`);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Not allowed by the browser";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
  return button;
}

function showResult(job) {
  const place = byId("result");
  place.replaceChildren();
  if (job.failure) place.append(element("h3", `Failed: ${job.failure.reason}`), element("p", job.failure.message, "text"));
  if (!job.result) return;
  const result = job.result;
  place.append(element("h3", "Final prompt"), element("p", result.prompt, "text"));
  if (result.negativePrompt) place.append(element("h4", "Negative prompt"), element("p", result.negativePrompt, "text"));
  const dialects = element("div", undefined, "dialects");
  for (const [name, text] of Object.entries(result.dialects)) {
    const box = element("div");
    const shown = dialectNames[name] || name;
    box.append(element("h3", shown), element("p", text, "text"), copyButton(text, shown));
    dialects.append(box);
  }
  place.append(dialects);
}

function scoreTable(round) {
  const table = element("table");
  table.append(element("caption", "Scores", "hint"));
  const add = (name, percent) => {
    const row = element("tr");
    const head = element("th", name);
    head.scope = "row";
    row.append(head, element("td", percent === undefined || percent === null ? "not applicable" : `${percent} %`));
    table.append(row);
  };
  for (const check of round.scores.text.checks) add(`Text: ${check.name}`, check.percent);
  add("Text, together", round.scores.text.percent);
  add("Self-evaluation", round.scores.evaluation.percent);
  if (round.scores.image) add("Image", round.scores.image.percent);
  add("Score", round.scores.percent);
  return table;
}

function showRound(round, final) {
  const card = element("article", undefined, `round ${round.kept ? "kept" : "dropped"}`);
  card.setAttribute("role", "listitem");
  card.append(element("h3", `Round ${round.number}${round.feedback ? ` (feedback ${round.feedback})` : ""}: ${round.scores.percent} %${final ? ", the result" : ""}`));
  card.append(element("p", `${round.kept ? "Kept" : "Dropped"}: ${round.reason}`, "verdict"));
  if (round.imageUrl) {
    const image = element("img");
    image.src = round.imageUrl;
    image.alt = `Image of round ${round.number}: ${round.draft.subject}`;
    card.append(image);
  }
  card.append(element("p", round.draft.prompt, "text"));
  card.append(list("Must not appear", round.draft.negative));
  const style = ["setting", "composition", "lighting", "palette", "medium", "mood"].filter((name) => round.draft[name]).map((name) => `${name}: ${round.draft[name]}`);
  card.append(list("Scene and style", style));
  card.append(scoreTable(round));
  card.append(list("To mend", round.scores.issues));
  card.append(list("Notes", round.notes));
  card.append(element("p", `${round.usage.tokens} tokens, ${(round.usage.elapsedMilliseconds / 1000).toFixed(1)} s`, "hint"));
  return card;
}

function showIntent(intent) {
  const place = byId("intent");
  place.hidden = !intent;
  if (!intent) return;
  place.replaceChildren(element("h2", "What you mean"), element("p", intent.reasoning, "text"));
  place.append(list("The image must show", intent.elements), list("Left open", intent.unsaid), list("Must not appear", intent.exclusions));
}

function show(job) {
  current = job;
  byId("job").hidden = false;
  byId("job-title").textContent = `Job ${job.id}`;
  byId("job-prompt").textContent = job.prompt;
  const ended = ["Succeeded", "Failed", "Cancelled"].includes(job.state);
  let status = job.state;
  if (job.retry) status = `Queued: the model did not answer, next attempt after ${new Date(job.retry.notBefore).toLocaleTimeString()}`;
  else if (job.state === "Succeeded") status = `Succeeded with ${job.result.scorePercent} % (${job.result.accepted ? "accepted" : `not accepted: ${job.result.endReason}`})`;
  else if (job.cancelRequested && !ended) status = "Being cancelled";
  byId("status").textContent = status;
  const usage = job.usage;
  byId("figures").textContent = `${usage.tokens} of ${job.budget.tokens} tokens, ${job.rounds.length} rounds, ${(usage.modelMilliseconds / 1000).toFixed(1)} s of model time`;
  byId("cancel").hidden = ended;
  byId("feedback").hidden = !(ended && job.result);
  showResult(job);
  showIntent(job.intent);
  byId("rounds-title").hidden = job.rounds.length === 0;
  byId("rounds").replaceChildren(...job.rounds.map((round) => showRound(round, round.number === job.result?.round)));
}

async function refresh(id) {
  const job = await call("GET", `/v1/jobs/${encodeURIComponent(id)}`);
  if (location.hash === `#${id}`) show(job);
}

function follow(id) {
  stream?.close();
  const source = new EventSource(`/v1/jobs/${encodeURIComponent(id)}/events`);
  stream = source;
  for (const type of ["queued", "running", "round"]) source.addEventListener(type, () => attempt(() => refresh(id)));
  source.addEventListener("step", (event) => {
    const agent = JSON.parse(event.data).agent;
    if (current?.state === "Running") byId("status").textContent = `${agentNames[agent] || agent} ...`;
  });
  source.addEventListener("ended", () => attempt(async () => {
    await refresh(id);
    // A job with feedback ends more than once; the stream closes itself after the last end.
    if (["Succeeded", "Failed", "Cancelled"].includes(current?.state)) source.close();
    await recent();
  }));
}

async function open(id) {
  await refresh(id);
  follow(id);
}

function recentItem(job) {
  const item = element("li");
  if (job.problem) {
    item.append(element("div", job.problem, "hint"));
    return item;
  }
  const link = element("a", job.prompt.length > 90 ? `${job.prompt.slice(0, 90)}...` : job.prompt);
  link.href = `#${job.id}`;
  const score = job.scorePercent === undefined ? "" : `, ${job.scorePercent} %`;
  item.append(link, element("div", `${job.state}${job.failureReason ? ` (${job.failureReason})` : ""}${score}, ${new Date(job.createdAt).toLocaleString()}`, "hint"));
  return item;
}

async function recent(before) {
  const page = await call("GET", `/v1/jobs?limit=6${before ? `&before=${encodeURIComponent(before)}` : ""}`);
  const items = page.items.map(recentItem);
  if (before) byId("recent").append(...items);
  else byId("recent").replaceChildren(...items);
  byId("recent-empty").hidden = byId("recent").children.length > 0;
  nextPage = page.next;
  byId("older").hidden = !nextPage;
}

byId("create").addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(async () => {
    const form = new FormData(event.target);
    const body = { prompt: form.get("prompt"), idempotencyKey: crypto.getRandomValues(new Uint32Array(4)).join("-") };
    const dialects = form.getAll("dialect");
    if (dialects.length === 0) throw new Error("Choose at least one image model to write for.");
    body.dialects = dialects;
    const budget = {};
    for (const name of ["rounds", "tokens", "images"]) if (form.get(name)) budget[name] = Number(form.get(name));
    if (form.get("deadline")) budget.deadline = form.get("deadline");
    if (Object.keys(budget).length > 0) body.budget = budget;
    const job = await call("POST", "/v1/jobs", body);
    show(job);
    byId("job-title").focus();
    location.hash = job.id;
    await recent();
  });
});

byId("cancel").addEventListener("click", () => attempt(() => call("DELETE", `/v1/jobs/${encodeURIComponent(current.id)}`).then(() => refresh(current.id))));
byId("older").addEventListener("click", () => attempt(() => recent(nextPage)));

byId("feedback").addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(async () => {
    await call("POST", `/v1/jobs/${encodeURIComponent(current.id)}/feedback`, { feedback: byId("feedback-text").value });
    byId("feedback-text").value = "";
    await open(current.id);
  });
});

function fromAddress() {
  const id = location.hash.slice(1);
  if (id) attempt(() => open(id));
}

window.addEventListener("hashchange", fromAddress);
attempt(() => recent());
fromAddress();
