// Relevo's pages, live: countdowns, rows that follow what happens, orders in a dialog.
// Everything here is a comfort: without it the same pages are plain tables and forms.
"use strict";

(() => {
  const body = document.body;
  const root = body.dataset.root;
  // The server's clock counts, whatever this machine's says.
  const ahead = Date.parse(body.dataset.now) - Date.now();
  const now = () => Date.now() + ahead;

  // ------------------------------------------------------------ countdowns

  const left = (ms) => {
    const s = Math.round(ms / 1000);
    if (s <= 0) return "at any moment";
    const h = Math.floor(s / 3600);
    const m = Math.floor((s % 3600) / 60);
    const parts = [h && `${h}h`, m && `${m}m`, (s % 60 || s < 60) && `${s % 60}s`];
    return `in ${parts.filter(Boolean).join("")}`;
  };

  const tick = () => {
    for (const one of document.querySelectorAll("time[data-until]")) {
      const said = left(Date.parse(one.dataset.until) - now());
      if (one.textContent !== said) one.textContent = said;
    }
  };
  tick();
  setInterval(tick, 250);

  // ------------------------------------------------------------ the order of rows, and the filter

  const find = document.getElementById("find");
  const filter = () => {
    const box = document.getElementById("find");
    const wanted = box ? box.value.trim().toLowerCase() : "";
    for (const row of document.querySelectorAll("#rows > tr")) {
      const chips = [...row.querySelectorAll(".chip")].map((chip) => chip.textContent);
      const text = `${row.dataset.target} ${chips.join(" ")}`.toLowerCase();
      row.hidden = wanted !== "" && !text.includes(wanted);
    }
  };
  const show = () => {
    const box = document.getElementById("find");
    if (!box || document.querySelectorAll("#rows > tr").length < 8) return;
    box.hidden = false;
    box.addEventListener("input", filter);
  };
  if (find) show();

  const arrange = () => {
    const rows = document.getElementById("rows");
    if (!rows) return;
    const key = (row) => [Number(row.dataset.rank), row.dataset.due || "~", row.dataset.target];
    const sorted = [...rows.children].sort((a, b) => {
      const [x, y] = [key(a), key(b)];
      const at = x.findIndex((part, number) => part !== y[number]);
      return at < 0 ? 0 : x[at] < y[at] ? -1 : 1;
    });
    // Only what is in the wrong place moves: what has the focus keeps it.
    sorted.forEach((row, number) => {
      if (rows.children[number] !== row) rows.insertBefore(row, rows.children[number]);
    });
    filter();
  };

  // ------------------------------------------------------------ live

  const link = document.getElementById("link");
  const say = (text, lost) => {
    if (!link || link.textContent === text) return;
    link.hidden = text === "";
    link.textContent = text;
    link.classList.toggle("lost", lost);
  };

  const live = body.dataset.live;
  let wanted = null; // null: nothing; a Set of targets; "all"
  let busy = false;
  let rest = 400;

  // What a person has typed, unfolded and focused outlives what is drawn anew.
  let kept = null;
  body.addEventListener("htmx:beforeSwap", () => {
    const focused = document.activeElement;
    kept = {
      typed: document.getElementById("find")?.value ?? "",
      unfolded: [...document.querySelectorAll("details[open][id]")].map((one) => one.id),
      focused: focused?.id,
      caret: focused?.id === "find" ? focused.selectionStart : null,
    };
  });
  const restore = ({ typed, unfolded, focused, caret }) => {
    const box = document.getElementById("find");
    if (box && box.value !== typed) box.value = typed;
    for (const id of unfolded) document.getElementById(id)?.setAttribute("open", "");
    show();
    arrange();
    if (!focused || ![body, box].includes(document.activeElement)) return;
    const again = document.getElementById(focused);
    again?.focus({ preventScroll: true });
    if (caret !== null) again?.setSelectionRange(caret, caret);
  };

  const fetchNow = async () => {
    if (busy || wanted === null) return;
    busy = true;
    const what = wanted;
    wanted = null;
    let url = root + live;
    if (body.dataset.rows && what instanceof Set && what.size > 0 && what.size <= 50) {
      url += `?${new URLSearchParams([...what].map((one) => ["target", one]))}`;
    }
    const began = performance.now();
    kept = null;
    try {
      await window.htmx.ajax("GET", url, { source: body, target: body, swap: "none" });
    } catch {
      // The next change, or the next connection, tries again.
    }
    if (kept) restore(kept);
    tick();
    body.dispatchEvent(new CustomEvent("relevo:shown"));
    // Whoever answers slowly is asked less often.
    rest = Math.min(15000, Math.max(400, 4 * (performance.now() - began)));
    busy = false;
    if (wanted !== null) setTimeout(fetchNow, rest);
  };

  const want = (targets) => {
    if (targets === "all" || wanted === "all") wanted = "all";
    else wanted = new Set([...(wanted ?? []), ...targets]);
    setTimeout(fetchNow, 60);
  };

  const changed = (change) => {
    if (change.everything || (change.status && !change.targets.length)) return want("all");
    const about = body.dataset.about;
    if (about && !change.targets.includes(about) && !change.status) return undefined;
    return want(about ? "all" : change.targets);
  };

  const listen = () => {
    const source = new EventSource(`${root}api/v1/events`);
    let first = true;
    source.addEventListener("hello", () => {
      say("Live", false);
      // What happened between the page and this moment is in neither.
      if (first) want("all");
      first = false;
    });
    source.addEventListener("change", (event) => changed(JSON.parse(event.data)));
    source.onerror = () => {
      say(`Connection lost at ${new Date(now()).toISOString().slice(11, 19)} UTC: this page is old, trying again`, true);
      if (source.readyState !== EventSource.CLOSED) return;
      // Refused: not logged in any more (then this leads to the login), or Relevo is starting.
      source.close();
      want("all");
      setTimeout(listen, 5000);
    };
    addEventListener("pagehide", () => source.close(), { once: true });
    addEventListener("pageshow", (event) => event.persisted && location.reload(), { once: true });
  };
  if (live && window.htmx) listen();

  // ------------------------------------------------------------ orders

  const dialog = document.getElementById("dialog");
  let asked = ""; // by which button
  const remember = () => {
    for (const input of document.querySelectorAll("input[data-remember]")) {
      const key = `relevo.${input.dataset.remember}`;
      try {
        input.value ||= localStorage.getItem(key) ?? "";
        input.form.addEventListener("submit", () => localStorage.setItem(key, input.value));
      } catch {
        // No storage: it is typed again.
      }
    }
  };
  remember();

  document.addEventListener("click", async (event) => {
    const from = event.target.closest?.("a[data-order], a[data-close]");
    if (!from || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey) return;
    if (from.hasAttribute("data-close")) {
      if (!dialog.open) return;
      event.preventDefault();
      dialog.close();
      return;
    }
    if (!window.htmx || !dialog.showModal) return;
    event.preventDefault();
    try {
      await window.htmx.ajax("GET", from.getAttribute("href"), {
        source: dialog, target: "#dialog-body", select: "#order", swap: "innerHTML",
      });
    } catch {
      // Fall through: the page itself says what is wrong.
    }
    if (!document.querySelector("#dialog-body #order")) {
      location.assign(from.href);
      return;
    }
    remember();
    asked = from.id;
    dialog.showModal();
    dialog.querySelector("input[name=reason]")?.focus();
  });
  dialog?.addEventListener("close", () => {
    document.getElementById("dialog-body").replaceChildren();
    // Its button may have been drawn anew since: then the browser finds no way back.
    document.getElementById(asked)?.focus();
  });
  // What was just done is where one goes on from.
  document.querySelector("main > .done")?.focus();
  document.addEventListener("submit", (event) => {
    // Sent twice it would be done once; but nobody should wonder.
    event.target.querySelector("button.main")?.setAttribute("disabled", "");
  });

  // ------------------------------------------------------------ case files

  // The last lines are what was said last.
  document.addEventListener("toggle", (event) => {
    const logs = event.target.querySelector?.(".logs");
    if (logs) logs.scrollTop = logs.scrollHeight;
  }, true);

  // ------------------------------------------------------------ login

  // Come here by a link of another site, the session's cookie was not sent: ask again, from here.
  if (body.dataset.again) location.replace(body.dataset.again);
})();
