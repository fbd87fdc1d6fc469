// A page whose scripts did not all come, for the service was starting, say, tells so and loads itself again.
// No module, so that it runs before them and hears of the one that fails, or that asks in vain for another.

const AGAIN_MS = 3000;

addEventListener(
  "error",
  ({ target }) => {
    if (!(target instanceof HTMLScriptElement)) return;
    const status = document.getElementById("status");
    if (status) status.textContent = "The page did not come whole. Trying again.";
    setTimeout(() => location.reload(), AGAIN_MS);
  },
  true, // errors of elements do not bubble
);
