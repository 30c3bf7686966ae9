// CPU and memory of one container over the last hour, with what was done to it.
"use strict";

(() => {
  const place = document.getElementById("chart");
  const said = document.getElementById("chart-said");
  if (!place || !window.uPlot) return;
  let data = null;
  let plot = null;

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const bytes = (number) => {
    if (number == null) return "–";
    const units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let unit = 0;
    while (Math.abs(number) >= 1024 && unit < 4) { number /= 1024; unit += 1; }
    return `${number >= 100 || unit === 0 ? Math.round(number) : number.toFixed(1)} ${units[unit]}`;
  };
  const cores = (number) => (number == null ? "–" : number >= 10 ? number.toFixed(1) : number.toFixed(2));
  const TONES = { good: "ok", bad: "quarantined", open: "acting", neutral: "held" };

  // Regions from action to verdict, behind the curves; the action itself is a line.
  const regions = (u) => {
    const { ctx, bbox } = u;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    let free = 0; // no name over another's
    for (const mark of [...data.marks].sort((a, b) => a.from - b.from)) {
      const from = u.valToPos(Math.max(mark.from, data.from), "x", true);
      const to = u.valToPos(Math.min(mark.to, data.to), "x", true);
      ctx.fillStyle = colour(TONES[mark.tone]);
      ctx.globalAlpha = 0.16;
      ctx.fillRect(from, bbox.top, Math.max(1, to - from), bbox.height);
      if (mark.from >= data.from) {
        ctx.globalAlpha = 1;
        ctx.fillRect(from, bbox.top, 1.5 * devicePixelRatio, bbox.height);
        ctx.fillStyle = colour("soft");
        ctx.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
        const name = mark.action.replace("_", " ");
        const width = ctx.measureText(name).width + 8 * devicePixelRatio;
        if (from < free || from + width > bbox.left + bbox.width) continue;
        free = from + width;
        ctx.fillText(name, from + 4 * devicePixelRatio, bbox.top + 12 * devicePixelRatio);
      }
    }
    ctx.restore();
  };

  const draw = () => {
    plot?.destroy();
    plot = null;
    place.replaceChildren();
    if (!data) return;
    const has = data.at.length > 0;
    place.hidden = !has;
    const origin = data.source === "own" ? "Measured by Relevo itself." : "As Prometheus tells.";
    const aged = data.aged ? ` Its newest point is ${data.aged} old.` : "";
    said.textContent = data.missing ? `No curve: ${data.missing}.` : origin + aged;
    said.classList.toggle("late", aged !== "");
    if (!has) return;
    const axis = { stroke: colour("soft"), grid: { stroke: colour("line"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
    const two = (number) => String(number).padStart(2, "0");
    const utc = (at) => { const d = new Date(at * 1000); return `${two(d.getUTCHours())}:${two(d.getUTCMinutes())}`; };
    plot = new window.uPlot(
      {
        width: place.clientWidth,
        height: 230,
        scales: { x: { range: () => [data.from, data.to] }, cpu: { range: (u, low, high) => [0, Math.max(0.1, high * 1.1)] }, mem: { range: (u, low, high) => [0, Math.max(1024, high * 1.15)] } },
        axes: [
          { ...axis, size: 30, values: (u, at) => at.map(utc) },
          { ...axis, scale: "cpu", size: 52, values: (u, v) => v.map(cores) },
          { ...axis, scale: "mem", side: 1, size: 72, incrs: Array.from({ length: 36 }, (_, n) => 2 ** (n + 10)), grid: { show: false }, values: (u, v) => v.map(bytes) },
        ],
        series: [
          { label: "UTC", value: (u, at) => (at == null ? "–" : utc(at)) },
          { label: "CPU, cores", scale: "cpu", stroke: colour("cpu"), width: 1.5, value: (u, v) => cores(v), points: { show: false } },
          { label: "Memory", scale: "mem", stroke: colour("memory"), width: 1.5, value: (u, v) => bytes(v), points: { show: false } },
        ],
        hooks: { drawClear: [regions] },
      },
      [data.at, data.cpu, data.memory],
      place,
    );
    // Nobody points at it: say what is now.
    const whole = data.at.findLastIndex((_, n) => data.cpu[n] != null && data.memory[n] != null);
    const newest = () => plot?.setLegend({ idx: whole < 0 ? data.at.length - 1 : whole }, false);
    setTimeout(newest);
    plot.over.addEventListener("mouseleave", () => setTimeout(newest));
  };

  let asked = 0;
  const load = async () => {
    asked = performance.now();
    try {
      const answer = await fetch(place.dataset.usage, { headers: { Accept: "application/json" } });
      if (!answer.ok) throw new Error(String(answer.status));
      data = await answer.json();
      draw();
    } catch {
      const of = data && new Date(data.to * 1000).toISOString().slice(11, 19);
      said.textContent = data ? `This curve is old, of ${of} UTC: it cannot be read anew.` : "No curve: Relevo does not answer.";
      said.classList.add("late");
    }
  };
  load();
  setInterval(() => document.visibilityState === "visible" && load(), 30000);
  document.body.addEventListener("relevo:shown", () => performance.now() - asked > 2000 && load());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  let width = 0;
  new ResizeObserver(() => {
    if (Math.abs(place.clientWidth - width) < 2 || !plot) return;
    width = place.clientWidth;
    plot.setSize({ width, height: 230 });
  }).observe(place);
})();
