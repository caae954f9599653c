// Parts of the script that come later than the page. They may be lost on their way, as when a machine changes networks.

const PAUSES = [200, 1000, 4000]; // ms before each further try

/** Loads a part, with some patience; the last error is thrown. */
export async function patiently<T>(load: () => Promise<T>): Promise<T> {
  for (const pause of PAUSES) {
    try {
      return await load();
    } catch {
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }
  return load();
}

/** Says at the head of a page that it does less than it should. */
export function incomplete(): HTMLElement {
  const notice = document.createElement("div");
  notice.className = "notice danger incomplete";
  notice.setAttribute("role", "alert");
  const text = document.createElement("p");
  text.textContent = "A part of this page could not be loaded, so that it does not do all it should.";
  const again = document.createElement("button");
  again.type = "button";
  again.className = "button";
  again.textContent = "Load the page again";
  again.addEventListener("click", () => location.reload());
  notice.append(text, again);
  return notice;
}
