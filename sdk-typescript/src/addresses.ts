/** Which URLs may serve keys. */

const NOT_PROTECTED =
  "it must begin with https://; plain http is for this machine (localhost, 127.0.0.1, [::1]) and for test hosts " +
  "(*.test): elsewhere, whoever is on the way could put other keys in the place of Clerk's";

/**
 * This URL, if its answers cannot be changed in transit: https, or http that stays on this machine or goes
 * to a host under `.test`, which does not exist in public DNS (RFC 6761 section 6.2).
 *
 * Throws `TypeError`: plain http to any other host, or not an http(s) URL; the message does not contain it.
 */
export function protectedUrl(text: string): URL {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw new TypeError("not an http(s) URL");
  }
  if (!/^https?:\/\//i.test(text) || /[@\\\p{C}\p{Z}]/u.test(text)) {
    throw new TypeError("not an http(s) URL without a user");
  }
  const host = url.hostname.replace(/\.$/, "");
  const near =
    host === "localhost" || /\.(localhost|test)$/.test(host) || /^127(\.\d+){3}$/.test(host) || host === "[::1]";
  if (url.protocol === "http:" && !near) throw new TypeError(NOT_PROTECTED);
  return url;
}
