// API keys: make one, see it once, revoke one. The table itself comes from the server.

import { byId, put, say } from "./dom.js";
import { call, refusal, signInAddress, stepUpAddress } from "./gateway.js";

const form = byId("mint");
const shown = byId("shown");
const confirm = byId("confirm");

/** Show why it didn't work, or go where it can be put right; `back` is where to come back to. */
async function explain(response, back) {
  const told = await refusal(response);
  if (told.code === "insufficient_user_authentication") location.assign(stepUpAddress(told.maxAge, back));
  else if (told.status === 401) location.assign(signInAddress(back));
  else put(byId("trouble"), [told.message || say("trouble.odd"), told.reasons[0]?.help].filter(Boolean).join(" "));
}

async function attempt(button, act) {
  button.disabled = true;
  put(byId("trouble"), "");
  try {
    await act();
  } catch {
    put(byId("trouble"), say("trouble.odd"));
  } finally {
    button.disabled = false;
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(byId("make"), async () => {
    const asked = new FormData(form);
    const response = await call("POST", "/v1/keys", {
      name: asked.get("name"), scopes: asked.getAll("scope"), days: Number(asked.get("days")),
      networks: asked.get("networks").split(/\s+/).filter(Boolean),
    });
    // The form's own fields travel to the provider and back in the address: a name and scopes, never a key.
    if (!response.ok) return explain(response, `/keys?${new URLSearchParams(asked)}`);
    byId("secret").textContent = (await response.json()).key;
    shown.showModal();
    return undefined;
  });
});

byId("copy").addEventListener("click", async (event) => {
  const button = event.currentTarget;
  const code = byId("secret");
  try {
    await navigator.clipboard.writeText(code.textContent);
    button.textContent = button.dataset.done;
  } catch {
    getSelection().selectAllChildren(code); // no clipboard here: one keystroke is left to the person
  }
});

shown.addEventListener("close", () => {
  byId("secret").textContent = "";
  location.assign("/keys");
});

for (const button of document.querySelectorAll("[data-revoke]")) {
  button.addEventListener("click", () => {
    byId("confirm-name").textContent = button.dataset.name;
    byId("revoke").dataset.id = button.dataset.revoke;
    confirm.showModal();
  });
}

byId("revoke").addEventListener("click", (event) => {
  const { id } = event.currentTarget.dataset;
  attempt(event.currentTarget, async () => {
    const response = await call("DELETE", `/v1/keys/${encodeURIComponent(id)}`);
    confirm.close();
    if (!response.ok) return explain(response, "/keys");
    location.reload();
    return undefined;
  });
});
