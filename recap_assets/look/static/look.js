// The gallery's keys and its moving parts. Every page works without it.
"use strict";

const isTyping = (target) => target.closest("input:not([type=radio]):not([type=range]), select, textarea") !== null;

// A link or a field with data-key is reached by that key.
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  const found = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (!found || (event.target.type === "range" && event.key.startsWith("Arrow"))) return;
  event.preventDefault();
  if (found.matches("input:not([type=radio])")) found.focus();
  else found.click();
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(button.dataset.copy);
  const before = button.textContent;
  button.textContent = "copied";
  setTimeout(() => { button.textContent = before; }, 1200);
});

// What is chosen in a form's lists is shown at once.
document.addEventListener("change", (event) => {
  if (event.target.matches("form.ask select")) event.target.form.requestSubmit();
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy-of]");
  if (!button) return;
  await navigator.clipboard.writeText(document.getElementById(button.dataset.copyOf).textContent);
  button.textContent = "copied";
  setTimeout(() => { button.textContent = "copy"; }, 1200);
});

// The line of a threshold: dragging it moves the slider, and the slider asks for counts.
const cut = document.querySelector(".cut");
if (cut) {
  const form = document.getElementById("cut");
  const slider = cut.querySelector("input");
  const picture = cut.querySelector("svg");
  const { low, high, kind } = cut.dataset;
  const bars = cut.dataset.counts.split(" ").map(Number);
  const all = bars.reduce((sum, n) => sum + n, 0);
  const table = document.querySelector(".numbers");
  let asked = 0;

  const written = (number) => number.replace("-", "\u2212");

  const address = (path, more = {}) =>
    `${path}?${new URLSearchParams({ at: form.elements.at.value, value: slider.value, ...more })}`;

  const draw = (score) => {
    const x = Math.max(0, Math.min(960, 960 * (score - low) / (high - low)));
    picture.querySelector(".outside").setAttribute("width", x);
    for (const end of ["x1", "x2"]) picture.querySelector(".now").setAttribute(end, x);
  };

  // The number of scores above a place, by the bars; within a bar they count as even.
  const above = (share) => {
    const at = share * bars.length;
    return bars.reduce((sum, n, i) => sum + n * Math.max(0, Math.min(1, i + 1 - at)), 0);
  };

  const show = (found) => {
    const whole = new Intl.NumberFormat("en-US");
    const shown = { ...found.here, value: Number(slider.value), file_trigrams: found.file.unique_trigrams };
    for (const cell of document.querySelectorAll("[data-of]")) {
      const value = shown[cell.dataset.of];
      const isExact = ["cutoff", "mean_score"].includes(cell.dataset.of);
      cell.textContent = value === null ? "–" : isExact ? written(value.toFixed(4))
        : cell.dataset.of === "value" ? written(String(value)) : whole.format(value);
    }
    draw(found.here.cutoff);
    document.getElementById("yaml").textContent = found.yaml;
    document.getElementById("uids").href = address("/thresholds/uids.txt");
    document.getElementById("costs").textContent = "";
  };

  const ask = async () => {
    const mine = ++asked;
    table.classList.add("busy");
    const reply = await fetch(address(form.dataset.counts));
    if (mine !== asked || !reply.ok) return;
    show(await reply.json());
    table.classList.remove("busy");
    const images = await fetch(address(form.dataset.strips));
    const html = await images.text();
    if (mine === asked && images.ok) document.getElementById("strips").innerHTML = html;
  };

  let waiting = 0;
  slider.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(ask, 90);
  });

  const drag = (event) => {
    if (event.buttons !== 1) return;
    const box = picture.getBoundingClientRect();
    const share = Math.max(0, Math.min(1, (event.clientX - box.left) / box.width));
    const score = Number(low) + share * (high - low);
    const wanted = { quantile: above(share) / all, size: above(share), absolute: score };
    slider.value = wanted[kind];
    draw(score);
    slider.dispatchEvent(new Event("input"));
  };
  picture.addEventListener("pointerdown", (event) => {
    picture.setPointerCapture(event.pointerId);
    drag(event);
  });
  picture.addEventListener("pointermove", drag);

  document.getElementById("cost").addEventListener("click", async () => {
    const said = document.getElementById("costs");
    said.textContent = "planning …";
    const reply = await fetch(address(form.dataset.counts, { plan: 1 }));
    if (!reply.ok) { said.textContent = "There are no records of what was built."; return; }
    const found = await reply.json();
    const seconds = found.seconds < 90 ? `${Math.round(found.seconds)} s` : `${Math.round(found.seconds / 60)} min`;
    said.textContent = found.n_partitions === 0 ? "Nothing more would be built than now."
      : `${found.n_partitions} partitions more would be built, ${found.is_guess ? "about " : ""}${seconds} of work.`;
  });
}
