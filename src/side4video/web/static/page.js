// Updates the results without reloading the page, and handles clicks on words, and uploaded and dropped clips.
"use strict";

document.documentElement.classList.add("has-script");

const searchForm = document.getElementById("search");
const uploadForm = document.getElementById("upload");
const clipField = document.getElementById("clip");
const dropZone = document.getElementById("drop");
let pending = null; // the request in progress
let sound = { muted: false, volume: 1 }; // as the user set it in any video

function results() {
  return document.getElementById("results");
}

function showError(title, problem) {
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

// Screen readers read out what changes here. What is new in the results is not read, because they are replaced.
function announce(text) {
  document.getElementById("news").textContent = text;
}

function copyContent(page, place) {
  document.querySelector(place).innerHTML = page.querySelector(place).innerHTML;
}

// Takes the form fields from another page; options stay open.
function copyFields(page) {
  searchForm.elements.q[0].value = page.getElementById("q").value;
  for (const place of [".filters .fields", ".combine .fields"]) copyContent(page, place);
}

async function show(address, { copiesFields = false, ...options } = {}) {
  pending?.abort();
  const request = new AbortController();
  pending = request;
  const main = results();
  main.setAttribute("aria-busy", "true");
  try {
    const response = await fetch(address, { ...options, headers: { Accept: "text/html" }, signal: request.signal });
    const text = await response.text();
    const isPage = response.headers.get("content-type")?.startsWith("text/html");
    const page = isPage ? new DOMParser().parseFromString(text, "text/html") : null;
    const found = page?.getElementById("results");
    if (response.status === 401 || (response.ok && isPage && !found)) {
      location.reload(); // the server or a proxy asks who you are
    } else if (found) {
      main.replaceWith(found);
      announce(found.querySelector(".heading").textContent.replace(/\s+/g, " "));
      for (const place of [".filters summary", ".combine summary"]) copyContent(page, place);
      prepareVideos();
      if (copiesFields) copyFields(page);
      document.title = page.title;
      uploadForm.action = page.getElementById("upload").action;
    } else if (response.headers.get("content-type")?.startsWith("application/json")) {
      showError("Error", JSON.parse(text).detail);
    } else {
      showError("Error", `The server returned status ${response.status}.`);
    }
  } catch (error) {
    if (error.name !== "AbortError") {
      showError("Error", "The server does not respond. Check that it is still running.");
    }
  } finally {
    if (pending === request) {
      pending = null;
      results().removeAttribute("aria-busy");
    }
  }
}

function go(address, options) {
  history.pushState(null, "", address);
  return show(address, options);
}

function searchAddress() {
  const given = [...new FormData(searchForm)].filter(([, value]) => typeof value === "string" && value.trim() !== "");
  const home = searchForm.getAttribute("action"); // differs from "/" behind a proxy with a sub-path
  return given.length ? `${home}?${new URLSearchParams(given)}` : home;
}

function isTooLarge(file) {
  const maximum = Number(uploadForm.dataset.maxBytes);
  if (file.size <= maximum) return false;
  showError(file.name, `The file is larger than the maximum of ${Math.floor(maximum / 2 ** 20)} MB.`);
  return true;
}

function upload(file) {
  if (isTooLarge(file)) return;
  const body = new FormData();
  body.append("clip", file);
  const status = results().querySelector("[role=status]");
  if (status) status.textContent = `Searching by ${file.name} …`;
  for (const field of searchForm.elements.q) field.value = "";
  searchForm.elements.not.value = "";
  history.pushState(null, "", searchAddress()); // the results have no address: Back returns to the page before
  show(uploadForm.action, { method: "POST", body });
}

// Texts and a clip together; without a clip the query has an address.
function combine(button) {
  const [clip] = document.getElementById("with").files;
  if (!clip) {
    go(searchAddress());
  } else if (!isTooLarge(clip)) {
    history.pushState(null, "", searchAddress());
    show(button.formAction, { method: "POST", body: new FormData(searchForm) });
  }
}

async function copyLink(button) {
  const video = button.closest(".card, .watch").querySelector("video");
  const isPlayed = video && (video.played.length || video.currentTime > 0); // after a seek, `played` is empty for a moment
  const seconds = isPlayed ? video.currentTime + Number(video.dataset.begins) : Number(button.dataset.seconds);
  const link = `${location.origin}${button.dataset.link}?t=${seconds.toFixed(3)}`;
  try {
    await navigator.clipboard.writeText(link);
  } catch { // the clipboard needs https or localhost, and permission
    const field = Object.assign(document.createElement("textarea"), { value: link, readOnly: true, className: "hidden" });
    button.after(field);
    field.select();
    document.execCommand("copy");
    field.remove();
    button.focus();
  }
  button.textContent = "Copied";
  announce(`Copied: ${link}`);
  setTimeout(() => { button.textContent = "Copy link"; }, 2000);
}

// Controls cover half of a small picture, so they are hidden until the pointer, the focus or the first play.
function hideControls() {
  for (const video of results().querySelectorAll(".screen > video[controls]")) {
    if (!video.paused || video === document.activeElement) continue;
    video.controls = false;
    video.parentElement.classList.add("idle");
  }
}

function prepareVideos() {
  hideControls();
  setSound();
}

// The volume that the user chose in one video applies to all.
function setSound() {
  for (const video of document.querySelectorAll("video")) Object.assign(video, sound);
}

function showControls(event) {
  const screen = event.target.closest?.(".screen.idle");
  if (screen) {
    screen.classList.remove("idle");
    screen.querySelector("video").controls = true;
  }
}

function seek(video, seconds) {
  const play = () => {
    video.currentTime = Math.max(0, seconds - Number(video.dataset.begins));
    video.play().catch(() => {}); // another click may have paused it in the meantime
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
  if (document.getElementById("with").files.length) combine(searchForm.querySelector(".go button"));
  else go(searchAddress());
});
searchForm.addEventListener("change", (event) => {
  if (event.target.matches("select")) go(searchAddress());
});
clipField.addEventListener("change", () => {
  if (clipField.files.length) upload(clipField.files[0]);
  clipField.value = ""; // the same file can be chosen again
});

function isPlainClick(event) {
  return !event.ctrlKey && !event.metaKey && !event.shiftKey && event.button === 0;
}

document.addEventListener("click", (event) => {
  const copy = event.target.closest(".copy");
  if (copy) {
    copyLink(copy);
    return;
  }
  if (event.target.closest(".skip") && isPlainClick(event)) {
    event.preventDefault(); // a change of the address's fragment counts as Back, which loads the results again
    results().focus();
    return;
  }
  const word = event.target.closest(".word, .moment");
  if (word && isPlainClick(event)) {
    const video = word.closest(".card, .watch").querySelector("video");
    const seconds = Number(word.dataset.seconds);
    if (video && isInside(video, seconds)) {
      event.preventDefault();
      seek(video, seconds);
      return;
    }
  }
  const link = event.target.closest(".similar, .more a, .message a, .heading a, .chips a, .open, .classify, .copies a, a.word");
  if (link && isPlainClick(event)) {
    event.preventDefault();
    const numShown = link.closest(".more") ? results().querySelectorAll(".card").length : 0;
    go(link.getAttribute("href"), { copiesFields: true }).then(() => {
      const next = results().querySelectorAll(".card .open")[numShown]; // the first new one
      if (numShown && next) next.focus({ preventScroll: true });
      else results().focus({ preventScroll: numShown > 0 });
    });
  }
});

// Whether a time of the whole video is in what the player has, which may be a clip of it.
function isInside(video, seconds) {
  const begins = Number(video.dataset.begins);
  const ends = begins === 0 && !video.currentSrc.includes("/clips/") ? Infinity : begins + (video.duration || 15);
  return seconds >= begins && seconds <= ends;
}

document.addEventListener("timeupdate", ({ target }) => { // the cue that is heard
  const watch = target.closest?.(".watch");
  if (!watch) return;
  const now = target.currentTime + Number(target.dataset.begins);
  for (const cue of watch.querySelectorAll(".transcript .word")) {
    cue.classList.toggle("now", cue.dataset.seconds <= now && now < cue.dataset.until);
  }
}, true);

for (const kind of ["pointerover", "focusin", "play"]) {
  document.addEventListener(kind, showControls, true);
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
document.addEventListener("error", async (event) => { // transcoding failed, or the file no longer exists
  const screen = event.target.closest?.(".screen");
  if (!screen) return;
  const response = await fetch(event.target.src, { headers: { Range: "bytes=0-0" } }).catch(() => null);
  const isRefused = response && !response.ok && response.headers.get("content-type")?.startsWith("application/json");
  const reason = isRefused ? (await response.json()).detail : "This browser cannot play the video.";
  const gone = Object.assign(document.createElement("div"), { className: "gone" });
  gone.append(Object.assign(document.createElement("p"), { textContent: reason }));
  screen.replaceWith(gone);
}, true);

window.addEventListener("popstate", () => show(location.pathname + location.search, { copiesFields: true }));

prepareVideos();

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
