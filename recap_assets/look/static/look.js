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
