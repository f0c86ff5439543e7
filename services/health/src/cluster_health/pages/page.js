"use strict";
// Fetches what changes and puts it in place, part by part, so that a reader's place and focus stay.

const EVERY_MS = 2000;
const fragment = document.getElementById("fragment");
const announcement = document.getElementById("announcement");
const lost = document.getElementById("lost");

function show(text) {
  const fresh = new DOMParser().parseFromString(text, "text/html").body;
  const heading = fresh.querySelector("h1").textContent;
  if (heading !== fragment.querySelector("h1").textContent) {
    announcement.textContent = heading;
    document.title = "Inventory: " + heading;
  }
  for (const part of fresh.querySelectorAll("[id]")) {
    const old = document.getElementById(part.id);
    if (old.outerHTML === part.outerHTML) continue;
    const focused = old.contains(document.activeElement) && document.activeElement.getAttribute("href");
    old.replaceWith(part);
    const again = focused && part.querySelector(`a[href="${CSS.escape(focused)}"]`);
    if (again) again.focus();
  }
}

async function refresh() {
  try {
    const response = await fetch("fragment", { cache: "no-store" });
    if (!response.ok) throw new Error(response.statusText);
    show(await response.text());
    lost.hidden = true;
  } catch {
    lost.hidden = false;
  }
  setTimeout(refresh, EVERY_MS);
}

setTimeout(refresh, EVERY_MS);
