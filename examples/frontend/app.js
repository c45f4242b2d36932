// Shows the signed-in user. No build step, nothing loaded from elsewhere.
//
// In production the token comes from Clerk's own script, which signs the user in and renews the token every minute. Add
//
//   <script async crossorigin="anonymous" data-clerk-publishable-key="pk_live_…"
//     src="https://<your Frontend API>/npm/@clerk/clerk-js@5/dist/clerk.browser.js"></script>
//   <script>addEventListener("load", () => Clerk.load())</script>
//
// to the page, and put the page's origin into CLERK_AUTHORIZED_PARTIES: without it the browser keeps the answer from
// this script (CORS), and the service refuses the token (azp).

const find = (selector) => document.querySelector(selector);

// Where the service is: a file beside this one, because a link must never decide where a token is sent.
const { api, mints_tokens } = await (await fetch("config.json")).json();
find("#api").textContent = api;
find("#mint").hidden = !mints_tokens;

async function sessionToken() {
  if (window.Clerk?.session) return window.Clerk.session.getToken(); // cached by Clerk, renewed when it is about to end
  return find("#token").value.trim();
}

let known = { token: null, etag: null, user: null };

async function askWhoIAm() {
  const token = await sessionToken();
  if (token !== known.token) known = { token, etag: null, user: null }; // maybe somebody else: nothing may be shown again
  const headers = { Authorization: `Bearer ${token}` };
  if (known.etag) headers["If-None-Match"] = known.etag;

  let response;
  try {
    // no-store: this script keeps the user, so that nothing personal has to lie in the browser's cache.
    response = await fetch(`${api}/v1/me`, { headers, cache: "no-store" });
  } catch {
    // The browser does not tell a script whether the network or CORS was in the way; its console does.
    return show("wrong", "No answer", `${api} cannot be reached, or it does not allow this origin (${location.origin}): `
      + "CLERK_AUTHORIZED_PARTIES must name it.");
  }
  const trace = `HTTP ${response.status} · request ${response.headers.get("x-request-id")}`;

  if (response.status === 304) return showUser(known.user, `${trace} · not changed, nothing was sent`);
  if (response.ok) {
    known.user = await response.json();
    known.etag = response.headers.get("etag");
    return showUser(known.user, `${trace} · ETag ${known.etag}`);
  }
  known.etag = known.user = null;
  const problem = await response.json().catch(() => ({}));
  const [title, advice] = explain(response.status, problem, response.headers.get("retry-after"));
  show("wrong", title, advice, {}, `${trace} · ${problem.reason ?? problem.code ?? ""}`);
}

function explain(status, problem, retryAfter) {
  switch (status) {
    case 401:
      return ["You are signed out", `${problem.detail ?? ""} Sign in again, or get a new token.`];
    case 403:
      return ["This account is banned", "It may not use this service. Ask whoever runs it."];
    case 404:
      return ["Nobody here knows you yet", "A new account takes a moment to arrive. Try again in a few seconds."];
    case 503:
      return ["Not available at the moment", `Nothing is wrong with your account. Try again in ${retryAfter ?? "a few"} s.`];
    default:
      return ["Something went wrong", problem.detail ?? "Try again later."];
  }
}

function showUser(user, trace) {
  const name = [user.first_name, user.last_name].filter(Boolean).join(" ") || user.username || user.id;
  show("good", name, user.email ? `${user.email} (${user.email_verified ? "verified" : "not verified"})` : "no email", {
    Id: user.id,
    Version: user.version,
    Username: user.username,
    Phone: user.phone,
    Metadata: Object.keys(user.public_metadata).length ? JSON.stringify(user.public_metadata) : null,
    "Member since": new Date(user.created_at).toLocaleDateString(),
    "Last change": new Date(user.updated_at).toLocaleString(),
  }, trace);
}

function show(kind, title, text, facts = {}, trace = "") {
  const answer = find("#answer");
  answer.className = kind;
  answer.hidden = false;
  // textContent, never innerHTML: names and metadata are what other people typed.
  answer.querySelector("h2").textContent = title;
  answer.querySelector("p").textContent = text;
  answer.querySelector("footer").textContent = trace;
  const rows = Object.entries(facts).filter(([, value]) => value !== null && value !== undefined);
  answer.querySelector("dl").replaceChildren(...rows.flatMap(([term, value]) => [element("dt", term), element("dd", value)]));
}

function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

find("#ask").addEventListener("submit", (event) => {
  event.preventDefault();
  askWhoIAm();
});

find("#get-token").addEventListener("click", async () => {
  const response = await fetch(`token?user=${encodeURIComponent(find("#user").value.trim())}`);
  const text = await response.text();
  if (!response.ok) return show("wrong", "No token", text);
  find("#token").value = text;
  askWhoIAm();
});
