// The page: asks for an object, shows it, sends the grade, and goes on when it is saved. Whatever
// comes from a table or a person reaches the page as text (textContent), never as markup.
"use strict";

const at = (id) => document.getElementById(id);
const state = { session: null, grader: "", object: null, busy: false };

function element(kind, text, values = {}) {
  const made = Object.assign(document.createElement(kind), values);
  if (text !== undefined) made.textContent = text;
  return made;
}

function say(text, bad = false) {
  at("refused").textContent = bad ? text : "";
  at("status").textContent = text;
  at("status").classList.toggle("bad", bad);
}

const query = (values) => new URLSearchParams({ grader: state.grader, ...values }).toString();

async function answer(response) {
  const found = await response.json();
  if (!response.ok) throw Object.assign(new Error(found.error), { refused: true });
  return found;
}

const get = async (address) => answer(await fetch(address));

// What is not saved yet is kept in the tab until the server says that it is saved. Its key is kept
// with it, so that it counts once even if it is sent twice.
async function send(address, body) {
  const waiting = { address, body: { ...body, key: crypto.randomUUID() } };
  sessionStorage.setItem("waiting", JSON.stringify(waiting));
  return resend(waiting);
}

async function resend({ address, body }) {
  for (;;) {
    let found;
    try {
      found = await answer(await fetch(address, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(body),
      }));
    } catch (error) {
      if (!error.refused) {
        say("Not saved: the server does not answer. Trying again …", true);
        await new Promise((done) => setTimeout(done, 700));
        continue;
      }
      sessionStorage.removeItem("waiting");
      throw error;
    }
    sessionStorage.removeItem("waiting");
    return found;
  }
}

// One thing at a time, so that a key pressed twice grades one object.
async function alone(task) {
  if (state.busy) return;
  state.busy = true;
  try {
    await task();
  } catch (error) {
    say(error.refused ? error.message : "The server does not answer. Is it running?", true);
  } finally {
    state.busy = false;
  }
}

function only(id) {
  for (const part of ["start", "work", "finished"]) at(part).hidden = part !== id;
  at("tools").hidden = id === "start";
}

async function show(number) {
  const found = await get(`api/object/${number}?${query({})}`);
  state.object = found;
  location.replace(`#${number}`);
  only("work");
  counted(found.graded);
  at("across").textContent = "";
  at("object").textContent = `Object ${number}`;
  at("about").replaceChildren(...Object.entries(found.about).map(([name, value]) => {
    const pair = element("div");
    pair.append(element("dt", name), element("dd", String(value)));
    return pair;
  }));
  at("problem").textContent = found.problem;
  at("problem").hidden = !found.problem;
  at("panels").replaceChildren(...found.panels.map(panel));
  at("neighbours").replaceChildren(...found.neighbours.map(neighbour));
  at("near").hidden = !found.neighbours.length;
  at("note").value = found.note;
  for (const button of at("buttons").children)
    button.setAttribute("aria-pressed", String(button.dataset.grade === found.grade));
  at("work").scrollTop = 0;
  ahead(number);
}

function panel(found) {
  const made = enlarging(found);
  const own = made.querySelector("img");
  own.addEventListener("load", () => {
    const width = own.naturalWidth * state.session.pixel_scale;
    at("across").textContent = `${width.toPrecision(3)}″ across`;
  });
  return made;
}

function neighbour(found) {
  const made = element("li");
  made.append(found.src ? enlarging(found) : element("span", `${found.title}: no picture`));
  return made;
}

function enlarging({ title, alt, src }) {
  const made = element("button", undefined, { type: "button", title: "Enlarge" });
  const own = element("img", undefined, { alt, src, decoding: "async" });
  made.append(own, element("span", title));
  made.addEventListener("click", () => {
    const [picture, words] = at("large").querySelectorAll("img, figcaption");
    Object.assign(picture, { src, alt });
    words.textContent = title;
    at("large").showModal();
  });
  return made;
}

// The pictures of the object that comes next are fetched while this one is looked at.
async function ahead(number) {
  try {
    const { number: next } = await get(`api/next?${query({ after: number })}`);
    if (next === null || next === number) return;
    const found = await get(`api/object/${next}?${query({})}`);
    for (const { src } of [...found.panels, ...found.neighbours])
      if (src) new Image().src = src;
  } catch { /* it is fetched when it is shown */ }
}

async function go(after) {
  const { number } = await get(`api/next?${query({ after })}`);
  if (number !== null) return show(number);
  only("finished");
  counted(state.session.count);
  document.querySelector("#finished h2").focus();
}

function counted(graded) {
  const { count } = state.session;
  at("place").textContent = `${graded} of ${count} graded`;
  at("progress").value = count ? graded / count : 0;
}

const grade = (letter) => alone(async () => {
  if (at("work").hidden) return;
  const { number } = state.object;
  const body = { grader: state.grader, number, grade: letter, note: at("note").value };
  await send("api/grade", body);
  await go(number);
  say(`Saved ${letter} for object ${number}.`);
});

const undo = () => alone(async () => {
  const { number } = await send("api/undo", { grader: state.grader });
  if (number === null) return say("There is no grade to take back.");
  await show(number);
  say(`Took back the last grade, of object ${number}.`);
});

const move = (step) => alone(async () => {
  const { count } = state.session;
  const from = at("work").hidden ? count + 1 : state.object.number;
  const to = from + step;
  if (to < 1 || to > count) return say("There is no object there.");
  await show(to);
  say("");
});

function filled(table, names, rows) {
  const head = element("tr");
  head.append(...names.map((name) => element("th", name, { scope: "col" })));
  table.tHead.replaceChildren(head);
  table.tBodies[0].replaceChildren(...rows.map((row) => {
    const line = element("tr");
    line.append(...row.map((value) => element("td", String(value))));
    return line;
  }));
}

const summary = () => alone(async () => {
  const found = await get("api/summary");
  const [progress, agreement] = at("summary").querySelectorAll("table");
  const letters = Object.keys(state.session.grades);
  const rows = Object.entries(found.progress).map(([grader, numbers]) => {
    const graded = letters.map((letter) => numbers[letter]);
    return [grader, graded.reduce((a, b) => a + b, 0), ...graded];
  });
  filled(progress, ["Grader", "Graded", ...letters], rows);
  const two = (value) => value.toFixed(2);
  filled(agreement, ["Measure", "Graders", "Objects", "Kappa"], found.agreement.map((line) => [
    line.measure, line.graders, line.objects,
    line.kappa === null
      ? "too few"
      : `${two(line.kappa)} (${two(line.lower)} to ${two(line.upper)})`,
  ]));
  agreement.parentElement.hidden = !found.agreement.length;
  at("summary").showModal();
});

async function begin(grader) {
  state.grader = grader;
  sessionStorage.setItem("grader", grader);
  at("to-name").textContent = `Grader: ${grader}`;
  const waiting = sessionStorage.getItem("waiting");
  if (waiting) await resend(JSON.parse(waiting)).catch((error) => say(error.message, true));
  const wanted = Number(location.hash.slice(1));
  if (Number.isInteger(wanted) && wanted >= 1 && wanted <= state.session.count) await show(wanted);
  else await go(0);
}

function ask() {
  sessionStorage.removeItem("grader");
  at("to-name").textContent = "Grader";
  at("place").textContent = `${state.session.count} objects`;
  at("progress").value = 0;
  only("start");
  at("name").focus();
}

function pressed(event) {
  const typing = event.target.matches("input");
  if (typing && event.target.id === "note" && ["Enter", "Escape"].includes(event.key)) {
    event.target.blur();
    event.preventDefault();
  }
  if (typing || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (document.querySelector("dialog[open]") || !at("start").hidden) return;
  const key = event.key.length === 1 ? event.key.toUpperCase() : event.key;
  const letters = Object.keys(state.session.grades);
  const letter = letters.includes(key) ? key : letters[Number(key) - 1];
  const actions = {
    U: undo, N: () => at("note").focus(), S: summary, "?": () => at("help").showModal(),
    ArrowLeft: () => move(-1), ArrowRight: () => move(1),
  };
  const action = letter ? () => grade(letter) : actions[key];
  if (!action) return;
  event.preventDefault();
  action();
}

async function main() {
  state.session = await get("api/session");
  const { title, grades, graders } = state.session;
  document.title = at("title").textContent = title;
  at("graders").append(...graders.map((name) => element("option", undefined, { value: name })));
  for (const [letter, meaning] of Object.entries(grades)) {
    at("grades").append(element("dt", letter), element("dd", meaning));
    const button = element("button", undefined, { type: "button" });
    button.dataset.grade = letter;
    button.append(element("b", letter), element("span", meaning));
    button.addEventListener("click", () => grade(letter));
    at("buttons").append(button);
    const line = element("tr");
    const place = at("keys").children.length + 1;
    const head = element("th", undefined, { scope: "row" });
    head.append(element("kbd", letter), " ", element("kbd", String(place)));
    line.append(head, element("td", meaning));
    at("keys").append(line);
  }
  at("who").addEventListener("submit", (event) => {
    event.preventDefault();
    alone(() => begin(at("name").value.trim()));
  });
  at("previous").addEventListener("click", () => move(-1));
  at("skip").addEventListener("click", () => move(1));
  at("undo").addEventListener("click", undo);
  at("to-summary").addEventListener("click", summary);
  at("to-help").addEventListener("click", () => at("help").showModal());
  at("to-name").addEventListener("click", ask);
  document.addEventListener("keydown", pressed);
  const grader = sessionStorage.getItem("grader");
  if (grader) await alone(() => begin(grader));
  else ask();
}

main().catch(() => {
  document.body.textContent = "The server does not answer. Start it again, then reload this page.";
});
