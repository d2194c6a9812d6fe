const head = 8 * 1024;
const tail = 56 * 1024;

/** Collects output of any length into a bounded text: its beginning and its end. */
export function boundedText(): { add(text: string): void; text(): string } {
  let first = "";
  let last = "";
  let dropped = 0;
  return {
    add(text) {
      const fits = text.slice(0, head - first.length);
      first += fits;
      last += text.slice(fits.length);
      if (last.length <= tail) return;
      dropped += last.length - tail;
      last = last.slice(-tail);
    },
    text: () => (dropped === 0 ? first + last : `${first}\n... ${dropped} characters left out ...\n${last}`),
  };
}

/** An absolute path: not what follows a host name in a URL, nor a relative one. */
const absolutePath = /(?<![\w:/.~-])(?:\/[\w.@+-]+){2,}/g;

/**
 * Makes a function that takes host paths and credentials out of a text that leaves the server.
 * @param folders absolute path -> the name it goes by; of any other path only the last part stays
 */
export function createCleaner(folders: Readonly<Record<string, string>>): (text: string) => string {
  const longestFirst = Object.entries(folders)
    .filter(([folder]) => folder.length > 1)
    .sort(([a], [b]) => b.length - a.length);
  return (text) =>
    longestFirst
      .reduce((cleaned, [folder, name]) => cleaned.replaceAll(folder, name), text)
      .replaceAll(absolutePath, (path) => `.../${path.slice(path.lastIndexOf("/") + 1)}`)
      .replaceAll(/(\w+:\/\/)[^\s/@]+@/g, "$1***@")
      .replaceAll(/(_authToken|_password|_auth)\s*[=:]\s*\S+/gi, "$1=***");
}
