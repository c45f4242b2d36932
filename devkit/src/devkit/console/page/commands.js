// What the buttons do: requests to the stand-in's API, and the same as commands for a terminal.

export const known = JSON.parse(document.getElementById("known").textContent);

/** Quote a text for a POSIX shell. */
const quoted = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);

export function curl({ method, path, body, drop }) {
  const lines = [
    `curl -sS -X ${method} ${quoted(location.origin + path)}`,
    `-H "Authorization: Bearer ${known.secret_key}"`,
  ];
  if (drop) lines.push("-H 'stand-in-webhooks: drop'");
  if (body) lines.push("-H 'content-type: application/json'", `-d ${quoted(JSON.stringify(body))}`);
  return lines.join(" \\\n  ");
}

export function trigger(words) {
  return [known.program, "trigger", ...(known.data_dir ? ["--data-dir", known.data_dir] : []), ...words].map(quoted).join(" ");
}

export const whoAmI = (user) =>
  `curl -i ${quoted(`${known.service}/v1/me`)} \\\n  -H "Authorization: Bearer $(${[known.program, "token",
    ...(known.data_dir ? ["--data-dir", known.data_dir] : []), "--user", user].map(quoted).join(" ")})"`;

/** Carry out a request, and return {status, error, id}. */
export async function call(request) {
  const answer = await fetch("/console/call", {
    method: "POST",
    headers: { "content-type": "application/json", "x-console-token": known.token },
    body: JSON.stringify(request),
  });
  if (!answer.ok) throw new Error((await answer.text()).trim());
  return answer.json();
}

const again = (svix_ids, { times = 1, forged = false } = {}) => ({
  request: { method: "POST", path: "/stand-in/deliveries", body: { svix_ids, times, forged } },
  words: [...svix_ids.flatMap((id) => ["--again", id]), ...(times > 1 ? ["--times", String(times)] : []),
    ...(forged ? ["--forged"] : [])],
});

export const sendAgain = (svix_id) => ({
  name: "Send again", does: "Sends this delivery once more, with the same svix-id.", make: () => again([svix_id]),
});

export const signUp = {
  name: "Sign up",
  does: "Creates a user at the Clerk stand-in, which sends user.created.",
  fields: [
    { name: "email", label: "Email address", value: "", type: "email", required: true, placeholder: "ada@example.org" },
    { name: "first_name", label: "First name", value: "", placeholder: "Ada" },
  ],
  make: ({ email, first_name }) => ({
    request: { method: "POST", path: "/v1/users", body: { email_address: [email], ...(first_name ? { first_name } : {}) } },
    words: ["user.created", "--email", email, ...(first_name ? ["--set", `first_name=${JSON.stringify(first_name)}`] : [])],
  }),
};

/** What can be done to a user; `off` says why not, when it cannot be done now. */
export function actions(id, clerk, last) {
  const path = `/v1/users/${encodeURIComponent(id)}`;
  const gone = clerk ? null : "Clerk does not have this user any more.";
  const none = last.length ? null : "No delivery of this user since the console started.";
  const update = (...words) => ["user.updated", "--user", id, ...words];
  const set = (name, on, off, does) => {
    const turnOn = !clerk?.[name];
    return {
      id: name === "banned" ? "ban" : "lock",
      name: turnOn ? on : off,
      does,
      off: gone,
      make: () => ({
        request: { method: "POST", path: `${path}/${(turnOn ? on : off).toLowerCase()}` },
        words: update("--set", `${name}=${turnOn}`),
      }),
    };
  };
  const rename = (drop) => ({ first_name }) => ({
    request: { method: "PATCH", path, body: { first_name }, ...(drop ? { drop } : {}) },
    words: update("--set", `first_name=${JSON.stringify(first_name)}`, ...(drop ? ["--drop"] : [])),
  });
  const firstName = { name: "first_name", label: "First name", value: clerk?.first_name ?? "", required: true };
  return [
    { id: "rename", name: "Rename", does: "Changes the first name.", off: gone, fields: [firstName], make: rename(false) },
    {
      id: "plan", name: "Plan", does: "Sets public_metadata.plan; other metadata stays.", off: gone,
      fields: [{ name: "plan", label: "Plan", value: clerk?.plan ?? "", required: true, placeholder: "pro" }],
      make: ({ plan }) => ({
        request: { method: "PATCH", path: `${path}/metadata`, body: { public_metadata: { plan } } },
        words: update("--set", `public_metadata=${JSON.stringify({ ...clerk.public_metadata, plan })}`),
      }),
    },
    set("banned", "Ban", "Unban", clerk?.banned ? "Lets the user sign in again." : "Bans the user and ends all sessions."),
    set("locked", "Lock", "Unlock", clerk?.locked ? "Ends the lockout." : "Locks the user out for an hour; sessions stay."),
    {
      id: "sign-in", name: "Sign in", does: "Starts a session; user.updated follows, as Clerk notes the time.", off: gone,
      make: () => ({ request: { method: "POST", path: "/v1/sessions", body: { user_id: id } } }),
    },
    {
      id: "sign-out", name: "Sign out", does: "Ends the newest session; its tokens are refused from then on.",
      off: clerk?.session ? null : gone ?? "The user has no active session.",
      make: () => ({
        request: { method: "POST", path: "/stand-in/sign-out", body: { session_id: clerk.session } },
        words: ["session.ended", "--user", id, "--session", clerk.session],
      }),
    },
    {
      id: "delete", name: "Delete", does: "Deletes the user permanently: a tombstone stays.", off: gone, danger: true,
      make: () => ({ request: { method: "DELETE", path }, words: ["user.deleted", "--user", id] }),
    },
    { id: "again", group: "deliveries", name: "Send again", does: "Sends the newest delivery once more.", off: none, make: () => again(last.slice(0, 1)) },
    { id: "twice", group: "deliveries", name: "Send twice", does: "Sends the newest delivery two more times.", off: none, make: () => again(last.slice(0, 1), { times: 2 }) },
    {
      id: "reverse", group: "deliveries", name: "Last three in reverse", does: "Sends the last three deliveries again, the newest first.",
      off: last.length > 1 ? null : none ?? "There is only one delivery.", make: () => again(last),
    },
    {
      id: "drop", group: "deliveries", name: "Drop", does: "Changes the first name, and drops the webhook. Send it again later to see it arrive late.",
      off: gone, fields: [{ ...firstName, value: "" }], make: rename(true),
    },
    { id: "forge", group: "deliveries", name: "Forge", does: "Sends the newest delivery signed with another secret: the service must refuse it.", off: none, make: () => again(last.slice(0, 1), { forged: true }) },
  ];
}
