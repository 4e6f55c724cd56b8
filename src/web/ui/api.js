// Talking to the daemon. Every failure becomes an ApiFailure with what went wrong and what to do.

export class ApiFailure extends Error {
  constructor(status, message, whatToDo) {
    super(message);
    this.status = status;
    this.whatToDo = whatToDo;
  }
}

async function request(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { cache: "no-store", credentials: "same-origin", ...options });
  } catch (cause) {
    if (cause.name === "AbortError") throw cause;
    throw new ApiFailure(0, "The daemon does not answer.", "Check that contourd is running, then reload the page.");
  }
  if (response.ok) return response;
  let body = {};
  try {
    body = await response.json();
  } catch {
    // Not JSON: the status line has to do.
  }
  throw new ApiFailure(response.status, body.error ?? `The daemon answered ${response.status}.`, body.what_to_do ?? "");
}

const part = encodeURIComponent;

const post = async (path, body) =>
  (await request(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) })).json();

export const api = {
  health: async () => (await request("/health")).json(),
  cases: async (before) => (await request(`/api/cases${before ? `?before=${part(before)}` : ""}`)).json(),
  refusals: async () => (await request("/api/refusals")).json(),
  case: async (id) => (await request(`/api/cases/${part(id)}`)).json(),
  structures: async (id) => (await request(`/api/cases/${part(id)}/structures`)).json(),
  contours: async (id) => (await request(`/api/cases/${part(id)}/contours`)).json(),
  image: async (id) => (await request(`/api/cases/${part(id)}/image`)).json(),
  slice: async (id, k, window) => {
    const query = `centre=${window.centre}&width=${window.width}`;
    return createImageBitmap(await (await request(`/api/cases/${part(id)}/slices/${k}.png?${query}`)).blob());
  },
  reviews: async (id, name) => (await request(`/api/cases/${part(id)}/structures/${part(name)}/reviews`)).json(),
  review: (id, name, review) => post(`/api/cases/${part(id)}/structures/${part(name)}/reviews`, review),
  complete: (id) => post(`/api/cases/${part(id)}/complete`, {}),
  retry: (id) => post(`/api/cases/${part(id)}/retry`, {}),
  release: (id, release) => post(`/api/cases/${part(id)}/release`, release),
  statistics: async () => (await request("/api/statistics")).json(),
};
