// Runs before the first paint, so that a chosen theme never flashes the other one.
"use strict";
{
  let choice = "system";
  try {
    choice = localStorage.getItem("tutti.chat.theme") ?? "system";
  } catch {
    // Storage is off: the system's theme it is.
  }
  if (choice === "light" || choice === "dark") document.documentElement.dataset.theme = choice;
}
