// Exchanges the results without loading the page anew, and lets words and dropped clips do something.
"use strict";

document.documentElement.classList.add("has-script");

const searchForm = document.getElementById("search");
const uploadForm = document.getElementById("upload");
const clipField = document.getElementById("clip");
const dropZone = document.getElementById("drop");
let running = null; // the request whose answer is waited for
let sound = { muted: false, volume: 1 }; // as the reader has set it in any of the videos

function results() {
  return document.getElementById("results");
}

function say(title, problem) {
  const main = results();
  const heading = document.createElement("div");
  heading.className = "heading";
  heading.append(Object.assign(document.createElement("h1"), { textContent: title }));
  const message = document.createElement("div");
  message.className = "message";
  message.setAttribute("role", "alert");
  message.append(Object.assign(document.createElement("p"), { textContent: problem }));
  main.replaceChildren(heading, message);
}

// Puts into the fields what another page has in them.
function takeFields(page) {
  for (const field of searchForm.elements) {
    if (!field.name || field === clipField) continue;
    const same = [...page.getElementById("search").elements].find((other) => other.id === field.id && other.name === field.name);
    field.value = same ? same.value : "";
  }
}

async function show(address, { takesFields = false, ...options } = {}) {
  running?.abort();
  const own = new AbortController();
  running = own;
  const main = results();
  main.setAttribute("aria-busy", "true");
  try {
    const answer = await fetch(address, { ...options, headers: { Accept: "text/html" }, signal: own.signal });
    const text = await answer.text();
    if (answer.headers.get("content-type")?.startsWith("text/html")) {
      const page = new DOMParser().parseFromString(text, "text/html");
      main.replaceWith(page.getElementById("results"));
      document.querySelector(".filters summary").innerHTML = page.querySelector(".filters summary").innerHTML;
      putControlsAway();
      setSound();
      if (takesFields) takeFields(page);
      document.title = page.title;
      uploadForm.action = page.getElementById("upload").action;
    } else if (answer.headers.get("content-type")?.startsWith("application/json")) {
      say("That did not work", JSON.parse(text).detail);
    } else {
      say("That did not work", `The server answered with ${answer.status}.`);
    }
  } catch (error) {
    if (error.name !== "AbortError") {
      say("That did not work", "The server does not answer. Is it still running?");
    }
  } finally {
    if (running === own) {
      running = null;
      results().removeAttribute("aria-busy");
    }
  }
}

function go(address, options) {
  history.pushState(null, "", address);
  return show(address, options);
}

function searchAddress() {
  const given = [...new FormData(searchForm)].filter(([, value]) => value.trim() !== "");
  return given.length ? `/?${new URLSearchParams(given)}` : "/";
}

function upload(file) {
  const most = Number(uploadForm.dataset.maxBytes);
  if (file.size > most) {
    say(file.name, `The file is larger than ${Math.floor(most / 2 ** 20)} MB, which is the most taken.`);
    return;
  }
  const body = new FormData();
  body.append("clip", file);
  const status = results().querySelector("[role=status]");
  if (status) status.textContent = `Looking at ${file.name} …`;
  show(uploadForm.action, { method: "POST", body });
}

// The controls cover half of a small picture: they come with the pointer, the focus or the first play.
function putControlsAway() {
  for (const video of results().querySelectorAll(".screen > video[controls]")) {
    if (!video.paused || video === document.activeElement) continue;
    video.controls = false;
    video.parentElement.classList.add("idle");
  }
}

// A reader who has silenced one video wants no sound of the next.
function setSound() {
  for (const video of document.querySelectorAll("video")) Object.assign(video, sound);
}

function bringControls(event) {
  const screen = event.target.closest?.(".screen.idle");
  if (screen) {
    screen.classList.remove("idle");
    screen.querySelector("video").controls = true;
  }
}

function seek(video, seconds) {
  const play = () => {
    video.currentTime = Math.max(0, seconds - Number(video.dataset.begins));
    video.play().catch(() => {}); // another press may have paused it meanwhile
  };
  if (video.readyState >= HTMLMediaElement.HAVE_METADATA) {
    play();
  } else {
    video.addEventListener("loadedmetadata", play, { once: true });
    video.load();
  }
}

searchForm.addEventListener("submit", (event) => {
  event.preventDefault();
  go(searchAddress());
});
searchForm.addEventListener("change", (event) => {
  if (event.target.matches("select")) go(searchAddress());
});
clipField.addEventListener("change", () => {
  if (clipField.files.length) upload(clipField.files[0]);
  clipField.value = ""; // the same file can be chosen again
});

document.addEventListener("click", (event) => {
  const word = event.target.closest(".word");
  if (word) {
    const video = word.closest(".card").querySelector("video");
    if (video) seek(video, Number(word.dataset.seconds));
    return;
  }
  const link = event.target.closest(".like a, .more a, .message a, .heading a");
  if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey && event.button === 0) {
    event.preventDefault();
    const isMore = Boolean(link.closest(".more"));
    go(link.getAttribute("href"), { takesFields: true }).then(() => {
      if (!isMore) results().focus();
    });
  }
});

for (const kind of ["pointerover", "focusin", "play"]) {
  document.addEventListener(kind, bringControls, true);
}
document.addEventListener("play", (event) => { // one at a time
  for (const video of document.querySelectorAll("video")) {
    if (video !== event.target) video.pause();
  }
}, true);
document.addEventListener("volumechange", ({ target }) => {
  if (target.muted === sound.muted && target.volume === sound.volume) return; // set below
  sound = { muted: target.muted, volume: target.volume };
  setSound();
}, true);
document.addEventListener("error", async (event) => { // a part that could not be made, or a file that has gone
  const screen = event.target.closest?.(".screen");
  if (!screen) return;
  const answer = await fetch(event.target.src, { headers: { Range: "bytes=0-0" } }).catch(() => null);
  const isRefused = answer && !answer.ok && answer.headers.get("content-type")?.startsWith("application/json");
  const reason = isRefused ? (await answer.json()).detail : "This video cannot be played here.";
  const gone = Object.assign(document.createElement("div"), { className: "gone" });
  gone.append(Object.assign(document.createElement("p"), { textContent: reason }));
  screen.replaceWith(gone);
}, true);

window.addEventListener("popstate", () => show(location.pathname + location.search, { takesFields: true }));

putControlsAway();

function hasFile(event) {
  return event.dataTransfer?.types.includes("Files");
}

window.addEventListener("dragover", (event) => {
  if (hasFile(event)) {
    event.preventDefault();
    dropZone.hidden = false;
  }
});
window.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) dropZone.hidden = true;
});
window.addEventListener("drop", (event) => {
  if (hasFile(event)) {
    event.preventDefault();
    dropZone.hidden = true;
    upload(event.dataTransfer.files[0]);
  }
});
