// A poll that fails leaves the old figures standing: says so, and marks them, until one succeeds.
(() => {
  const status = document.getElementById("poll-status");
  let heardAt = new Date();

  const answered = (isWell) => {
    if (isWell) heardAt = new Date();
    document.body.classList.toggle("is-stale", !isWell);
    status.textContent = isWell
      ? ""
      : `No answer since ${heardAt.toISOString().slice(11, 19)} UTC. Trying again…`;
  };

  document.addEventListener("htmx:after:request", ({ detail }) => {
    const { ok, status: code } = detail.ctx.response.raw;
    answered(ok || code === 304);
  });
  document.addEventListener("htmx:error", () => answered(false));
})();
