// Talking to the gateway's own API from a page: same origin, session cookie, CSRF token.

const token = () => document.querySelector('meta[name="csrf-token"]')?.content ?? "";

/** fetch with what an unsafe request needs. `body` is sent as JSON, or as the form that it is. */
export function call(method, path, body, options = {}) {
  const headers = { accept: "application/json", ...options.headers };
  if (method !== "GET") headers["x-csrf-token"] = token();
  const isForm = body instanceof FormData; // the browser names its boundary itself
  if (body !== undefined && !isForm) headers["content-type"] = "application/json";
  return fetch(path, {
    ...options, method, headers, credentials: "same-origin",
    body: body === undefined || isForm ? body : JSON.stringify(body),
  });
}

/**
 * What a refusing or failing answer says:
 * {status, code, message, reasons, masked, id, retryAfter, maxAge}. Always resolves, also when it isn't our JSON.
 */
export async function refusal(response) {
  let error = {};
  try {
    error = (await response.json()).error ?? {};
  } catch {
    // A proxy's own error page: its status is all we know.
  }
  return {
    ...describe(error), status: response.status,
    id: error.decision_id ?? response.headers.get("x-request-id") ?? "",
    retryAfter: Number(response.headers.get("retry-after")) || 0,
    // RFC 9470: how fresh the second factor has to be.
    maxAge: /max_age="?(\d+)/.exec(response.headers.get("www-authenticate") ?? "")?.[1] ?? "",
  };
}

/** The same shape from an `error` object that came in the middle of a stream. */
export function describe(error) {
  return {
    status: 0, code: error.code ?? "", message: error.message ?? "", id: error.decision_id ?? "",
    reasons: Array.isArray(error.reasons) ? error.reasons : [],
    masked: typeof error.masked === "string" ? error.masked : "",
    stage: error.moderation_details?.moderation_stage ?? "", retryAfter: 0, maxAge: "",
  };
}

/** Where to go to prove again that it's you, and come back to `here`. */
export function stepUpAddress(maxAge, here) {
  const query = new URLSearchParams({ return_to: here });
  if (maxAge) query.set("max_age", maxAge);
  return `/auth/step-up?${query}`;
}

/** Where to sign in, and come back to `here`. */
export const signInAddress = (here) => `/auth/sign-in?${new URLSearchParams({ return_to: here })}`;
