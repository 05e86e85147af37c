// Words on the paper survive the walk to the identity provider and back: in this tab only, and read once.

const NAME = "imprimatur.draft";

export function keepDraft(prompt) {
  try {
    sessionStorage.setItem(NAME, prompt);
  } catch {
    // Storage switched off: the words are lost on the way, nothing else.
  }
}

export function takeDraft() {
  try {
    const prompt = sessionStorage.getItem(NAME);
    sessionStorage.removeItem(NAME);
    return prompt ?? "";
  } catch {
    return "";
  }
}
