/**
 * Sees that a URL's user and password are what somebody meant: in URLs they are percent-encoded (RFC 3986, 2.1 and 3.2.1).
 * @throws Error whose message never holds the URL
 */
export function checkCredentials({ username, password, hash }: URL): void {
  if (hash !== "") throw new Error(`${mistake}: write %23 for #`);
  for (const part of [username, password])
    try {
      decodeURIComponent(part);
    } catch {
      throw new Error(`${mistake}: write %25 for %`);
    }
}

const mistake = "the user and the password in a URL are percent-encoded, and here they are not";
