/** Origins of web pages, serialised as browsers do. */

const FORM = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/([^\s/?#\\@]+)\/?$/;
// Pages of these schemes have an opaque origin, sent as `null`, or there are no such pages.
const NO_ORIGIN = new Set("about blob data file filesystem ftp javascript view-source ws wss".split(" "));
const UNPRINTABLE = /[^\P{C}]|(?! )\p{Z}/u;

/**
 * This origin as a browser writes it into `Origin`, and Clerk into `azp`.
 *
 * Scheme and host in lower case, an international name in punycode, IP addresses in their short form, no default port,
 * no trailing slash (WHATWG URL). Apps and extensions have schemes of their own (`chrome-extension://<id>`,
 * `capacitor://localhost`).
 *
 * Throws `TypeError`: it is not an origin, or does not identify one site (`null`, `file:`, a wildcard); the message
 * does not contain it.
 */
export function serializedOrigin(origin: string): string {
  const text = String(origin).trim();
  const form = FORM.exec(text);
  if (form === null || UNPRINTABLE.test(text)) {
    throw new TypeError("not an origin (scheme://host and perhaps :port; no path, no user)");
  }
  const scheme = form[1]!.toLowerCase();
  if (NO_ORIGIN.has(scheme)) {
    throw new TypeError("not an origin: pages of this scheme have none, or there are no such pages");
  }
  let port: string;
  let host: string;
  try {
    const url = new URL(text);
    port = url.port;
    // The standard parses the hosts of special schemes only, so parse any host as that of an https URL.
    host = new URL(`https://${url.hostname}`).hostname;
  } catch {
    throw new TypeError("not an origin: the host or the port is not valid");
  }
  if (host.includes("*")) throw new TypeError("not an origin: a wildcard would stand for pages of others");
  return port ? `${scheme}://${host}:${port}` : `${scheme}://${host}`;
}
