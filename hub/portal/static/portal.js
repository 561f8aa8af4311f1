"use strict";
/* What pages do beyond HTML. Every page works without this file; nothing here decides anything. */
(() => {
  document.documentElement.classList.add("js");
  const csrf = () => document.body.dataset.csrf || "";
  const announce = (text) => {
    const place = document.getElementById("announce");
    if (place && text && place.textContent !== text) place.textContent = text;
  };

  /* Times in the reader's own zone; the server writes UTC. */
  const times = (root) => {
    const format = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
    for (const time of root.querySelectorAll("time[datetime]:not([data-done])")) {
      const moment = new Date(time.dateTime);
      if (isNaN(moment)) continue;
      time.title = time.textContent;
      time.textContent = format.format(moment);
      time.dataset.done = "1";
    }
  };

  /* The browser's zone, in a form that nobody has filled yet. */
  const zones = () => {
    for (const input of document.querySelectorAll("input[data-browser-zone]")) {
      const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
      if (zone && [...input.list.options].some((option) => option.value === zone)) input.value = zone;
    }
  };

  zones(); // now, while the script is run (deferred): htmx reads the field when the document is ready

  /* The hub's progress events. fetch, not EventSource: only fetch can send the CSRF header. */
  const follow = async (box) => {
    const bar = box.querySelector("progress");
    const message = box.querySelector("[data-message]");
    const tell = (event) => {
      if (typeof event.progress === "number") bar.value = event.progress;
      if (event.message && message.textContent !== event.message) message.textContent = event.message;
      if (event.ready) return leave(box.dataset.open);
      if (event.failed || event.over || event.lost) return setTimeout(() => leave(""), 1500);
      return undefined;
    };
    try {
      const response = await fetch(box.dataset.stream, { headers: { "X-CSRF-Token": csrf() } });
      if (!response.ok) return setTimeout(() => leave(""), 1500);
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return setTimeout(() => leave(""), 1500);
        const lines = (rest + value).split("\n");
        rest = lines.pop();
        for (const line of lines) if (line.startsWith("data:")) tell(JSON.parse(line.slice(5)));
      }
    } catch {
      return setTimeout(() => leave(""), 3000);
    }
  };
  let left = false;
  const leave = (url) => {
    if (left) return;
    left = true;
    if (!url) return location.reload();
    open(url);
  };
  /* Back from the notebook must come to this page, not be sent to the notebook again. */
  const open = (url) => {
    left = true;
    history.replaceState(null, "", location.pathname);
    location.assign(url);
  };

  const copy = async (button) => {
    const label = button.querySelector(".copy-text");
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      label.textContent = "Copied";
      announce("Copied");
    } catch {
      label.textContent = "Select and copy by hand";
    }
    setTimeout(() => { label.textContent = "Copy"; }, 2500);
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.copy !== undefined) copy(button);
    if (button.dataset.hidePassword !== undefined) location.reload();
    if (button.dataset.preset) {
      const input = document.getElementById(button.dataset.for);
      input.value = button.dataset.preset;
      input.dispatchEvent(new Event("change", { bubbles: true }));
    }
  });

  /* The server takes a form once however often it is sent; this only says that it is on its way. */
  document.addEventListener("submit", (event) => {
    const button = event.target.querySelector("button[data-busy]");
    if (!button) return;
    if (button.getAttribute("aria-disabled") === "true") { event.preventDefault(); return; }
    button.dataset.text = button.textContent;
    button.textContent = button.dataset.busy;
    button.setAttribute("aria-disabled", "true");
  });
  window.addEventListener("pageshow", () => {
    for (const button of document.querySelectorAll("button[data-busy][aria-disabled]")) {
      button.textContent = button.dataset.text || button.textContent;
      button.removeAttribute("aria-disabled");
    }
  });

  /* Live parts. */
  const poller = (event) => event.target.classList && event.target.classList.contains("poller");
  const contact = (lost) => {
    const box = document.getElementById("lost-contact");
    if (box) box.hidden = !lost;
  };
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (poller(event) && (document.hidden || left)) event.preventDefault();
  });
  /* An answer that comes while we leave must not reload this page under the navigation. */
  document.addEventListener("htmx:beforeOnLoad", (event) => { if (left) event.preventDefault(); });
  for (const name of ["htmx:sendError", "htmx:timeout", "htmx:responseError"]) {
    document.addEventListener(name, (event) => { if (poller(event)) contact(true); });
  }
  document.addEventListener("htmx:afterRequest", (event) => {
    if (poller(event) && event.detail.successful) contact(false);
  });
  const opened = new Set();
  const scrolled = new Map();
  document.addEventListener("htmx:oobBeforeSwap", (event) => {
    for (const details of event.target.querySelectorAll("details[id]")) {
      if (details.open) opened.add(details.id); else opened.delete(details.id);
    }
    for (const log of event.target.querySelectorAll("pre.log[id]")) {
      const end = log.scrollHeight - log.scrollTop - log.clientHeight < 8;
      scrolled.set(log.id, end ? Infinity : log.scrollTop);
    }
  });
  const settle = (root) => {
    times(root);
    for (const id of opened) { const details = document.getElementById(id); if (details) details.open = true; }
    for (const [id, top] of scrolled) {
      const log = document.getElementById(id);
      if (log) log.scrollTop = Math.min(top, log.scrollHeight);
    }
    const status = root.querySelector("[data-announce]");
    if (status) announce(status.dataset.announce);
  };
  document.addEventListener("htmx:oobAfterSwap", (event) => settle(event.detail.target)); // htmx fires it at the poller
  document.addEventListener("htmx:afterSwap", (event) => times(event.target));

  document.addEventListener("DOMContentLoaded", () => {
    times(document);
    for (const log of document.querySelectorAll("pre.log[id]")) log.scrollTop = log.scrollHeight;
    const summary = document.getElementById("error-summary");
    if (summary) summary.focus();
    const box = document.querySelector("[data-stream]");
    if (box) follow(box);
    const now = document.querySelector("[data-open-now]");
    if (now) open(now.dataset.openNow);
  });
})();
