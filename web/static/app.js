// A frozen stream must not look live: says so, and marks the figures, when nothing was heard.
(() => {
  const live = document.getElementById("live");
  if (!live) return;

  const silentAfterMs = Number(live.dataset.silentSeconds) * 1000;
  const status = document.getElementById("live-status");
  const mark = document.getElementById("live-mark");
  let heardAt = Date.now();
  let isLost = false;

  const countedUpTo = () =>
    document.querySelector("#freshness .counted time")?.textContent ?? "an unknown time";

  const named = () => document.getElementById("page-title").textContent;
  const suffix = document.title.slice(named().length);

  const heard = () => {
    heardAt = Date.now();
    mark.hidden = false;
    document.title = named() + suffix; // the month may have ended meanwhile
    if (!isLost) return;
    isLost = false;
    document.body.classList.remove("is-stale");
    status.textContent = "Live updates are back.";
  };

  const lost = () => {
    isLost = true;
    mark.hidden = true;
    document.body.classList.add("is-stale");
    status.textContent =
      `Live updates stopped. These figures count usage up to ${countedUpTo()}. Reconnecting…`;
  };

  live.addEventListener("htmx:sse:after:message", heard);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) heardAt = Date.now(); // a hidden page's stream rests on purpose
  });
  setInterval(() => {
    if (!document.hidden && !isLost && Date.now() - heardAt > silentAfterMs) lost();
  }, 1000);
})();
