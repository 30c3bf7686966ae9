// Relevo's pages, live: countdowns, rows that follow what happens, orders in a dialog.
// Everything here is a comfort: without it the same pages are plain tables and forms.
"use strict";

(() => {
  const body = document.body;
  const root = body.dataset.root;
  // The server's clock counts, whatever this machine's says; set anew with all that comes from it.
  let ahead = 0;
  let shownAt = 0; // by the server's clock: how old is what is shown
  const setClock = (text) => {
    shownAt = Date.parse(text);
    ahead = shownAt - Date.now();
  };
  setClock(body.dataset.now);
  const now = () => Date.now() + ahead;
  const utc = (at) => new Date(at).toISOString().slice(11, 19);

  // ------------------------------------------------------------ countdowns

  const left = (ms) => {
    const s = Math.round(ms / 1000);
    if (s <= 0) return "at any moment";
    const h = Math.floor(s / 3600);
    const m = Math.floor((s % 3600) / 60);
    const parts = [h && `${h}h`, m && `${m}m`, (s % 60 || s < 60) && `${s % 60}s`];
    return `in ${parts.filter(Boolean).join("")}`;
  };

  const clock = document.getElementById("clock");
  const tick = () => {
    const said = `${utc(now())} UTC`;
    if (clock && clock.textContent !== said) clock.textContent = said;
    for (const one of document.querySelectorAll("time[data-until]")) {
      const said = left(Date.parse(one.dataset.until) - now());
      if (one.textContent !== said) one.textContent = said;
    }
  };
  tick();
  setInterval(tick, 250);

  // Whoever lives by another clock points at a time.
  document.addEventListener("mouseover", (event) => {
    const time = event.target.closest?.("time[datetime]");
    if (!time) return;
    const at = new Date(time.dateTime);
    const here = at.toLocaleString([], { dateStyle: "medium", timeStyle: "long" });
    time.title = `${at.toISOString().slice(0, 19).replace("T", " ")} UTC; here ${here}`;
  });

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
  let lostAt = null; // the stream: when it broke off, by the server's clock; null: it is well
  let isOld = false; // what was asked for since did not come
  const say = () => {
    if (!link) return;
    let text = "Live";
    // Read anew since, as where too many follow already: not live, and no older than it says.
    if (lostAt !== null && shownAt > lostAt) text = `Not live: this page is of ${utc(shownAt)} UTC, trying again`;
    else if (lostAt !== null) text = `Connection lost at ${utc(lostAt)} UTC: this page is old, trying again`;
    else if (isOld) text = `This page is old, of ${utc(shownAt)} UTC: it cannot be read anew, trying again`;
    if (link.textContent === text) return;
    link.hidden = false;
    link.textContent = text;
    link.classList.toggle("lost", text !== "Live");
  };

  const live = body.dataset.live;
  let wanted = null; // null: nothing; a Set of targets; "all"
  let busy = false;
  let rest = 400;
  let notBefore = 0;
  let timer = 0;

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

  const plan = () => {
    clearTimeout(timer);
    if (!busy && wanted !== null) timer = setTimeout(fetchNow, Math.max(60, notBefore - performance.now()));
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
    const before = document.getElementById("head");
    kept = null;
    try {
      await window.htmx.ajax("GET", url, { source: body, target: body, swap: "none" });
    } catch {
      // No answer, or none in time.
    }
    if (kept) restore(kept);
    const head = document.getElementById("head");
    // Each answer of ours brings a new head; a refusal, or somebody else's page, does not.
    isOld = head === before;
    if (isOld) {
      wanted = "all";
    } else {
      setClock(head.dataset.now);
      body.dispatchEvent(new CustomEvent("relevo:shown"));
    }
    say();
    tick();
    // Whoever answers slowly is asked less often; who does not answer, less and less often.
    const took = performance.now() - began;
    rest = Math.min(15000, isOld ? Math.max(2000, 2 * rest) : Math.max(400, 4 * took));
    notBefore = performance.now() + rest;
    busy = false;
    plan();
  };

  const want = (targets) => {
    if (targets === "all" || wanted === "all") wanted = "all";
    else wanted = new Set([...(wanted ?? []), ...targets]);
    plan();
  };

  const changed = (change) => {
    if (change.everything || (change.status && !change.targets.length)) return want("all");
    const about = body.dataset.about;
    if (about && !change.targets.includes(about) && !change.status) return undefined;
    return want(about ? "all" : change.targets);
  };

  let source = null;
  // A stream that was refused is asked for again, less and less often: then there is no place.
  let pause = 0; // in milliseconds
  let coming = 0; // its timer
  // Of two clocks: one may stand while the machine sleeps, the other is set by somebody.
  const twice = () => [performance.now(), Date.now()];
  let heardAt = twice();

  const lose = () => {
    lostAt ??= now();
    say();
  };
  const listen = () => {
    clearTimeout(coming);
    coming = 0;
    source?.close();
    source = new EventSource(`${root}api/v1/events`);
    heardAt = twice();
    const hear = (event, then) => source.addEventListener(event, (told) => {
      heardAt = twice();
      then?.(told);
    });
    hear("hello", () => {
      lostAt = null;
      pause = 0;
      say();
      // What happened between the page and this moment is in neither.
      notBefore = 0;
      want("all");
    });
    hear("change", (told) => changed(JSON.parse(told.data)));
    hear("ping");
    source.onerror = () => {
      lose();
      heardAt = twice();
      if (source.readyState !== EventSource.CLOSED) return;
      // Refused: not logged in any more (then this leads to the login), or Relevo is starting.
      source.close();
      want("all");
      pause = Math.min(60000, pause ? 2 * pause : 5000);
      coming = setTimeout(listen, pause);
    };
  };
  // After a sleep, or behind a proxy that forgot it, a stream is silent and the browser content.
  const doubt = () => {
    if (coming) return; // there is none
    const silent = Math.max(...twice().map((at, clock) => at - heardAt[clock]));
    if (silent <= Number(body.dataset.patience)) return;
    lose();
    listen();
  };
  if (live && window.htmx) {
    listen();
    setInterval(doubt, 1000);
    const look = () => document.visibilityState === "visible" && want("all");
    // What leaves a window of time, or ends, is no change that is told.
    setInterval(look, Number(body.dataset.anew));
    document.addEventListener("visibilitychange", look);
    addEventListener("pagehide", () => source.close());
    addEventListener("pageshow", (event) => event.persisted && location.reload());
  }

  // ------------------------------------------------------------ what could not be shown

  // It may be there in a moment: a container that is made anew, a store that starts. Loaded anew
  // only when there is something else to read; a browser's own error page would not look again.
  const again = async () => {
    if (document.visibilityState !== "visible") return;
    try {
      const signal = AbortSignal.timeout(10000);
      const answer = await fetch(location.href, { cache: "no-store", signal });
      const told = new DOMParser().parseFromString(await answer.text(), "text/html");
      const main = told.querySelector("body[data-root] > #main");
      if (main && main.textContent !== document.getElementById("main").textContent) location.reload();
    } catch {
      // No answer: the next look.
    }
  };
  if (body.dataset.look) {
    setInterval(again, Number(body.dataset.look));
    document.addEventListener("visibilitychange", again);
  }

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
