// Shows what happened to a user. The server sends what this address shows whenever it changes; Preact changes only what
// differs, so focus, selection and scrolling stay. No build step, nothing loaded from elsewhere.

import { h, render } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import htm from "htm";
import { actions, call, curl, sendAgain, signUp, trigger, whoAmI } from "./commands.js";

const html = htm.bind(h);

// The address bar is the state.

let onAddress = () => {};
const parameters = () => new URLSearchParams(location.search);

function address(changes, from = parameters()) {
  const next = new URLSearchParams(from);
  for (const [name, value] of Object.entries(changes)) value ? next.set(name, value) : next.delete(name);
  return next.size ? `?${next}` : "/";
}

function go(url, { replace = false } = {}) {
  history[replace ? "replaceState" : "pushState"](null, "", url);
  onAddress(location.search);
}

/** A link that changes the address without loading the page again. */
function Link({ to, children, ...rest }) {
  const follow = (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    go(to);
  };
  return html`<a href=${to} onClick=${follow} ...${rest}>${children}</a>`;
}

/** What the server shows for this address, and whether it is connected. A hidden page holds no connection. */
function useLive(search) {
  const [shown, setShown] = useState({ data: null, live: false });
  useEffect(() => {
    let source;
    const disconnect = () => source?.close();
    const connect = () => {
      disconnect();
      if (document.hidden) return;
      source = new EventSource(`/console/live${search}`);
      source.onmessage = (event) => setShown({ data: JSON.parse(event.data), live: true });
      source.onopen = () => setShown((before) => ({ ...before, live: true }));
      source.onerror = () => {
        setShown((before) => ({ ...before, live: false }));
        if (source.readyState === EventSource.CLOSED) setTimeout(connect, 1000);
      };
    };
    connect();
    document.addEventListener("visibilitychange", connect);
    return () => {
      disconnect();
      document.removeEventListener("visibilitychange", connect);
    };
  }, [search]);
  return shown;
}

function App() {
  const [search, setSearch] = useState(location.search);
  useEffect(() => {
    onAddress = setSearch;
    addEventListener("popstate", () => setSearch(location.search));
  }, []);
  const { data, live } = useLive(search);
  useEffect(() => {
    document.title = data?.view === "user" ? `${data.user.name || data.user.id} · auth-service console` : "auth-service console";
  }, [data]);
  return html`
    <header class="top">
      <${Link} to="/" class="brand"><strong>auth-service</strong><span class="word"> console</span><//>
      <nav aria-label="Views">
        <${Link} to="/" aria-current=${data?.view === "deliveries" ? "page" : null}>Deliveries<//>
        <${Link} to="/?users=1" aria-current=${{ users: "page", user: "true" }[data?.view]}>Users<//>
      </nav>
      <${Search} search=${search} view=${data?.view} />
      <p class=${`live ${live ? "on" : "off"}`} role="status"><span class="dot" aria-hidden="true"></span>${live ? "Live" : "Not connected"}</p>
    </header>
    <main>
      ${data?.problems.map(({ what, why }) => html`<p key=${what} class="problem" role="alert"><strong>${what}</strong> ${why}</p>`)}
      ${data ? html`<${View[data.view]} key=${data.user?.id ?? data.view} data=${data} />` : html`<p class="empty">Connecting …</p>`}
    </main>
    <footer class="foot">Development only · times are UTC · the last 10,000 deliveries are kept in memory</footer>`;
}

function Search({ search, view }) {
  const input = useRef();
  const timer = useRef();
  const query = new URLSearchParams(search).get("q") ?? "";
  useEffect(() => {
    if (document.activeElement !== input.current || !query) input.current.value = query;
  }, [query]);
  const find = () => {
    clearTimeout(timer.current);
    go(address({ q: input.current.value, users: view === "users" ? "1" : "", outcome: parameters().get("outcome") }, new URLSearchParams()),
      { replace: parameters().has("q") });
  };
  const later = () => {
    clearTimeout(timer.current);
    timer.current = setTimeout(find, 120);
  };
  return html`<form class="search" role="search" onSubmit=${(event) => { event.preventDefault(); find(); }}>
    <input ref=${input} type="search" aria-label="Search" defaultValue=${query} onInput=${later} autocomplete="off" spellcheck=${false}
      placeholder="User id, email, svix-id, event id or trace id" />
  </form>`;
}

const View = { deliveries: Deliveries, users: Users, user: User };

// Deliveries.

function Deliveries({ data }) {
  const query = parameters().get("q");
  return html`
    <section aria-labelledby="deliveries">
      <${Heading} id="deliveries" title="Deliveries" open=${!data.total}>${data.total ? `${number(data.matched)} of ${number(data.total)}` : ""}<//>
      <${Filters} counts=${data.counts} />
      ${data.users.length > 0 && html`<${Cards} users=${data.users} label="Users found" />`}
      ${data.deliveries.length
        ? html`<${Rows} data=${data} withUser=${true} /><${Pages} data=${data} />`
        : query || parameters().get("outcome")
          ? html`<p class="empty">No delivery matches. <${Link} to="/">Show all<//></p>`
          : html`<p class="empty">No webhook was sent yet. Sign a user up and follow its delivery.</p>`}
    </section>`;
}

/** The title of a list, with the form that makes a user. */
function Heading({ id, title, open, children }) {
  const [shown, show] = useState(open);
  return html`
    <div class="heading"><h1 id=${id}>${title}</h1><p>${children}</p>
      <button type="button" aria-expanded=${shown} onClick=${() => show(!shown)}>Sign up</button></div>
    ${shown && html`<div class="card"><${ActionForm} action=${signUp} autofocus=${true}
      onDone=${(result) => go(`/?user=${encodeURIComponent(result.id)}`)} /></div>`}`;
}

const OUTCOMES = ["created", "updated", "deleted", "revoked", "unchanged", "stale", "ignored", "refused", "failed", "dropped"];

function Filters({ counts }) {
  const chosen = new Set((parameters().get("outcome") ?? "").split(",").filter(Boolean));
  const toggle = (outcome) => {
    chosen.has(outcome) ? chosen.delete(outcome) : chosen.add(outcome);
    go(address({ outcome: [...chosen].join(","), page: "" }));
  };
  const shown = OUTCOMES.filter((outcome) => counts[outcome] || chosen.has(outcome));
  if (!shown.length) return null;
  return html`<div class="filters" role="group" aria-label="Outcome">
    ${shown.map((outcome) => html`<button key=${outcome} type="button" class=${`chip ${outcome}`} aria-pressed=${chosen.has(outcome)}
      onClick=${() => toggle(outcome)}><span class="mark" aria-hidden="true"></span>${outcome} <span class="count">${number(counts[outcome] ?? 0)}</span></button>`)}
  </div>`;
}

function Rows({ data, withUser }) {
  const chosen = Number(parameters().get("delivery"));
  return html`<ol class=${`rows ${withUser ? "with-user" : ""}`} aria-label="Deliveries, newest first">
    ${data.deliveries.map((row) => html`<${Row} key=${row.number} row=${row} withUser=${withUser}
      detail=${row.number === chosen ? data.chosen : null} latest=${data.latest} open=${row.number === chosen} />`)}
  </ol>`;
}

function Row({ row, withUser, open, detail, latest }) {
  const item = useRef();
  useEffect(() => {
    if (open && detail) item.current.scrollIntoView({ block: "nearest" });
  }, [open && Boolean(detail)]);
  return html`<li ref=${item} class=${`row ${row.outcome} ${open ? "open" : ""}`} data-number=${row.number} data-took=${row.took_ms}>
    <div class="line">
      <span class=${`badge ${row.outcome}`}>${row.outcome}</span>
      <div class="what">
        <p class="why">${row.why}</p>
        <p class="facts">
          <code>${row.type}</code>
          ${row.source && html`<span>changed <time>${row.source}</time></span>`}
          <span>sent <time dateTime=${row.at}>${row.at.slice(11, 23)}</time></span>
          ${row.attempt > 1 && html`<span>attempt ${row.attempt}</span>`}
          ${row.forged && html`<span>forged</span>`}
          <code>${row.svix_id}</code>
        </p>
      </div>
      ${withUser && html`<p class="who"><${Link} to=${`/?user=${encodeURIComponent(row.user)}`}>${row.email ?? row.user}<//>${row.email && html`<code>${row.user}</code>`}</p>`}
      <${Link} class="more" to=${address({ delivery: open ? "" : row.number })} aria-expanded=${open}
        aria-label=${`${open ? "Close details" : "Details"} of delivery ${row.number}: ${row.type}, ${row.outcome}`}>${open ? "Close" : "Details"}<//>
    </div>
    ${open && detail && html`<${Detail} detail=${detail} latest=${latest} withUser=${withUser} />`}
  </li>`;
}

function Detail({ detail, latest, withUser }) {
  return html`<div class="detail">
    <${Facts} facts=${{
      "svix-id": html`<code>${detail.svix_id}</code>`,
      User: withUser ? html`<${Link} to=${`/?user=${encodeURIComponent(detail.user)}`}><code>${detail.user}</code><//>` : null,
      Sent: html`<code>${detail.at}</code> to <code>${detail.url}</code>`,
      Answer: detail.status ? `${detail.status} after ${detail.took_ms} ms` : null,
      Trace: detail.trace_id && html`<code>${detail.trace_id}</code>`,
      Event: detail.event && html`<code>${detail.event}</code>`,
      Newer: detail.overtaken_by && html`<${Link} to=${address({ delivery: detail.overtaken_by, outcome: "", page: "" })}>delivery ${detail.overtaken_by}<//>, which the row held when this one came`,
    }} />
    <div class="two">
      ${detail.says && html`<figure><figcaption>Its values of the stored fields</figcaption><pre tabindex="0">${detail.says}</pre></figure>`}
      ${detail.answer && html`<figure><figcaption>What the service answered</figcaption><pre tabindex="0">${detail.answer}</pre></figure>`}
    </div>
    <${ActionForm} action=${sendAgain(detail.svix_id)} deliveries=${latest.filter((row) => row.svix_id === detail.svix_id)} />
  </div>`;
}

function Facts({ facts }) {
  return html`<dl class="pairs">${Object.entries(facts).filter(([, value]) => value).map(([name, value]) =>
    html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
}

function Pages({ data }) {
  if (data.pages < 2) return null;
  return html`<nav class="pages" aria-label="Pages">
    ${data.page > 0 ? html`<${Link} to=${address({ page: data.page - 1, delivery: "" })} rel="prev">Newer<//>` : html`<span>Newer</span>`}
    <span>Page ${data.page + 1} of ${number(data.pages)}</span>
    ${data.page + 1 < data.pages ? html`<${Link} to=${address({ page: data.page + 1, delivery: "" })} rel="next">Older<//>` : html`<span>Older</span>`}
  </nav>`;
}

// Users.

function Users({ data }) {
  return html`
    <section aria-labelledby="users">
      <${Heading} id="users" title="Users at Clerk" open=${false}>${number(data.matched)}<//>
      ${data.users.length
        ? html`<${Cards} users=${data.users} label="Users" /><${Pages} data=${data} />`
        : html`<p class="empty">${parameters().get("q") ? "No user matches." : "No user has signed up yet."}</p>`}
    </section>`;
}

const Cards = ({ users, label }) => html`<ul class="cards" aria-label=${label}>
  ${users.map((user) => html`<li key=${user.id}><${Link} to=${`/?user=${encodeURIComponent(user.id)}`}>
    <strong>${user.name || user.email || "No name"}</strong><${State} user=${user} />
    <span>${user.email ?? ""}</span><code>${user.id}</code><//></li>`)}
</ul>`;

const State = ({ user }) => ["banned", "locked", "deleted"].filter((name) => user[name])
  .map((name) => html`<span key=${name} class=${`badge ${name}`}>${name}</span>`);

// One user.

function User({ data }) {
  const { user } = data;
  return html`
    <div class="profile">
      <div class="name">
        <h1>${user.name || user.email || user.id}</h1>
        <${State} user=${user} />
      </div>
      <p class="ids">${user.email && html`<span>${user.email}</span>`}<code>${user.id}</code></p>
      <${Sync} data=${data} />
    </div>
    <${Actions} data=${data} />
    <div class="columns">
      <section aria-labelledby="of-user">
        <div class="heading"><h2 id="of-user">Deliveries</h2><p>${number(data.matched)}</p></div>
        <${Filters} counts=${data.counts} />
        ${data.deliveries.length
          ? html`<${Rows} data=${data} /><${Pages} data=${data} />`
          : html`<p class="empty">${parameters().get("outcome") ? "No delivery with this outcome." : "No webhook about this user was sent since the console started."}</p>`}
      </section>
      <section aria-labelledby="versions">
        <div class="heading"><h2 id="versions">Versions</h2><p>${data.row ? `the row is at version ${data.row.version}` : ""}</p></div>
        ${data.versions.length
          ? html`<ol class="versions">${data.versions.map((one) => html`<${Version} key=${one.version} version=${one} groups=${data.groups} />`)}</ol>
             ${data.older_versions > 0 && html`<p class="empty">${number(data.older_versions)} older versions: <code>auth-service events tail --from-beginning --user ${user.id}</code></p>`}`
          : html`<p class="empty">${data.sync.state === "unknown" ? "No database is watched." : "The service has no row of this user."}</p>`}
        ${data.sessions.length > 0 && html`<h3>Ended sessions</h3>
          <ol class="versions">${data.sessions.map((one) => html`<li key=${one.id} class="version"><${Head} version=${one} title=${one.session} /><${Where} version=${one} /></li>`)}</ol>`}
      </section>
    </div>`;
}

function Sync({ data: { sync, row, at_clerk } }) {
  if (sync.state === "unknown") return null;
  const text = sync.state === "same"
    ? row ? row.deleted ? "Deleted at Clerk and here" : "The row equals the user at Clerk" : "Neither Clerk nor the service has this user"
    : sync.fields.length ? `The row differs from Clerk: ${sync.fields.join(", ")}`
      : row ? at_clerk ? "The row is deleted, the user at Clerk is not" : "Clerk does not have this user"
        : "The service does not have this user";
  return html`<p class=${`sync ${row || sync.state !== "same" ? sync.state : ""}`} role="status"><span class="dot" aria-hidden="true"></span>${text}</p>`;
}

function Version({ version, groups }) {
  return html`<li class=${`version ${version.state}`} data-version=${version.version}>
    <${Head} version=${version} title=${`Version ${version.version}`} />
    ${version.whole && html`<p class="note">The values of the previous version are gone: this one is shown in full.</p>`}
    ${version.changes.length > 0
      ? html`<table class="diff"><caption class="hidden">Changes of version ${version.version}</caption>
          <thead><tr><th scope="col"><span class="hidden">Field</span></th><th scope="col"><span class="hidden">Change</span></th></tr></thead>
          <tbody>${version.changes.map((change) => html`<tr key=${change.field}><th scope="row">${change.field}</th><td><${Values} ...${change} /></td></tr>`)}</tbody></table>`
      : html`<p class="note">${version.erased ? "Its values were erased." : "No stored field differs."}</p>`}
    <${Where} version=${version} />
    <${Consumers} version=${version} groups=${groups} />
  </li>`;
}

function Values({ before, after }) {
  const long = (before ?? "").length + (after ?? "").length > 500;
  return html`<div class=${long ? "long" : ""} tabindex=${long ? 0 : null}>${before !== null && html`<del>${before}</del> → `}${after === null
    ? html`<span class="none">nothing</span>` : html`<ins>${after}</ins>`}</div>`;
}

const Head = ({ version, title }) => html`<div class="head"><h3>${title}</h3>
  <span class=${`badge ${version.state}`}>${{ published: "in Kafka", waiting: "in the outbox", dead: "dead letter" }[version.state]}</span>
  ${version.partition !== null && html`<span class="place">partition ${version.partition}, offset ${version.offset}</span>`}
  <time dateTime=${version.time}>${version.time.slice(0, 23).replace("T", " ")}</time></div>`;

const Where = ({ version }) => html`<${Facts} facts=${{
  Refused: version.error,
  Event: html`<code>${version.id}</code>`,
  Type: html`<code>${version.type}</code>`,
  Trace: version.trace_id && html`<code>${version.trace_id}</code>`,
  Cause: version.caused_by && html`<${Link} to=${address({ delivery: version.caused_by, outcome: "", page: "" })}>delivery ${version.caused_by}<//>`,
}} />`;

function Consumers({ version, groups }) {
  if (version.state !== "published") return null;
  if (!groups.length) return html`<p class="note">No consumer group reads the topic.</p>`;
  return html`<ul class="consumers" aria-label="Consumer groups">${version.consumers.map(({ group, behind }) =>
    html`<li key=${group} class=${behind ? "behind" : "there"}><code>${group}</code> ${behind ? `${number(behind)} behind` : "has it"}</li>`)}</ul>`;
}

// Actions.

function Actions({ data }) {
  const [chosen, choose] = useState(null);
  const bar = useRef();
  const all = actions(data.user.id, data.at_clerk, data.last);
  const action = all.find((one) => one.id === chosen);
  const close = () => {
    const opener = bar.current.querySelector("[aria-expanded=true]");
    choose(null);
    opener?.focus();
  };
  const buttons = (group) => all.filter((one) => one.group === group).map((one) => html`
    <button key=${one.id} type="button" class=${one.danger ? "danger" : ""} aria-expanded=${chosen === one.id} aria-disabled=${Boolean(one.off)}
      title=${one.off} onClick=${() => one.off || choose(chosen === one.id ? null : one.id)}>${one.name}</button>`);
  return html`<section class="actions" aria-label="Actions" ref=${bar} onKeyDown=${(event) => event.key === "Escape" && chosen && close()}>
    <div class="bar"><span id="at-clerk">User</span><div role="group" aria-labelledby="at-clerk">${buttons(undefined)}</div></div>
    <div class="bar"><span id="on-the-way">Webhooks</span><div role="group" aria-labelledby="on-the-way">${buttons("deliveries")}</div></div>
    ${action && html`<div class="panel"><${ActionForm} key=${action.id} action=${action} user=${data.user.id} deliveries=${data.latest} autofocus=${true} /></div>`}
  </section>`;
}

function ActionForm({ action, user, deliveries = [], autofocus, onDone }) {
  const form = useRef();
  const [values, setValues] = useState(() => Object.fromEntries((action.fields ?? []).map((field) => [field.name, field.value])));
  const [result, setResult] = useState(null);
  const newest = useRef(0);
  newest.current = Math.max(newest.current, ...deliveries.map((row) => row.number));
  useEffect(() => {
    if (autofocus) form.current.querySelector("input, button.main")?.focus();
  }, []);
  const ready = (action.fields ?? []).every((field) => !field.required || values[field.name]);
  const made = ready && !action.off ? action.make(values) : null;
  const run = async (event) => {
    event.preventDefault();
    if (!made) return setResult({ error: action.off ?? "Fill in the field first." });
    const since = newest.current;
    setResult({ since, busy: true });
    try {
      const answer = await call(made.request);
      setResult(answer.status < 300 ? { since, done: true } : { since, error: answer.error ?? `Status ${answer.status}` });
      if (answer.status < 300) onDone?.(answer);
    } catch (error) {
      setResult({ since, error: error.message });
    }
  };
  return html`<form ref=${form} class="form" onSubmit=${run}>
    <p class="does">${action.does}</p>
    ${action.off && html`<p class="note">${action.off}</p>`}
    <div class="inputs">
      ${(action.fields ?? []).map((field) => html`<label key=${field.name}>${field.label}
        <input name=${field.name} type=${field.type ?? "text"} value=${values[field.name]} required=${field.required} placeholder=${field.placeholder}
          autocomplete="off" spellcheck=${false} onInput=${(event) => setValues({ ...values, [field.name]: event.target.value })} /></label>`)}
      <button class=${`main ${action.danger ? "danger" : ""}`}>${action.name}</button>
    </div>
    <${Result} result=${result} rows=${deliveries.filter((row) => result && row.number > result.since)} />
    <${Copies} made=${made} user=${user} signsIn=${action.id === "sign-in"} />
  </form>`;
}

function Result({ result, rows }) {
  return html`<div class="result" role="status">
    ${result?.error && html`<p class="wrong">${result.error}</p>`}
    ${result?.busy && html`<p>…</p>`}
    ${result?.done && html`<p class="good">Done${rows.length ? ":" : "."}</p>`}
    ${result?.done && rows.length > 0 && html`<ul>${[...rows].reverse().map((row) => html`<li key=${row.number}>
      <span class=${`badge ${row.outcome}`}>${row.outcome}</span> <code>${row.type}</code> ${row.why}</li>`)}</ul>`}
  </div>`;
}

function Copies({ made, user, signsIn }) {
  if (!made) return null;
  return html`<div class="copies">
    <${Copy} name="curl" text=${curl(made.request)} />
    ${made.words && html`<${Copy} name="auth-service trigger" text=${trigger(made.words)} />`}
    ${signsIn && html`<${Copy} name="GET /v1/me" text=${whoAmI(user)} />`}
  </div>`;
}

function Copy({ name, text }) {
  const [said, say] = useState("");
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      say("Copied");
    } catch {
      say("The browser does not let this page copy: select the text");
    }
    setTimeout(() => say(""), 2000);
  };
  return html`<div class="copy"><button type="button" class="quiet" onClick=${copy}>Copy as ${name}</button><span role="status">${said}</span>
    <pre tabindex="0" aria-label=${`As ${name}`}>${text}</pre></div>`;
}

const number = (value) => value.toLocaleString("en");

render(html`<${App} />`, document.getElementById("app"));
