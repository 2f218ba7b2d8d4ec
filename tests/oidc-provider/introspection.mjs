// What can go wrong with an introspection endpoint: answers that come late,
// and answers that are none. See server.mjs for how the tests ask for it.

const MAX_DELAY_MS = 60_000;
const OVERSIZE_BYTES = 2 * 1024 * 1024;

// Each of them says `active` where it can: who reads it in spite of what is
// wrong with it lets everybody in.
const ACTIVE = JSON.stringify({
  active: true,
  sub: 'fault',
  client_id: 'fault',
  scope: 'todo:read todo:write',
});

/** Where the fault `redirect` leads: an answer that nobody may follow to. */
export const ELSEWHERE = '/elsewhere';

const FAULTS = new Map([
  ['none', undefined],
  ['500', (response) => send(response, 500, { error: 'server_error' })],
  ['503', (response) => {
    response.setHeader('retry-after', '7');
    send(response, 503, { error: 'temporarily_unavailable' });
  }],
  ['401', (response) => {
    response.setHeader('www-authenticate', 'Basic realm="fault"');
    send(response, 401, { error: 'invalid_client' });
  }],
  ['html', (response) => {
    const page = '<!doctype html><title>Sign in</title>';
    sendText(response, 200, 'text/html; charset=utf-8', page);
  }],
  ['garbage', (response) => {
    sendText(response, 200, 'application/json', ACTIVE.slice(0, -1));
  }],
  ['oversize', (response) => {
    const filler = 'x'.repeat(OVERSIZE_BYTES);
    // Without a length, so that only who counts knows.
    response.setHeader('transfer-encoding', 'chunked');
    send(response, 200, { ...JSON.parse(ACTIVE), filler });
  }],
  ['redirect', (response) => {
    response.setHeader('location', ELSEWHERE);
    sendText(response, 302, 'application/json', ACTIVE);
  }],
  ['hang', () => {}],
]);

/** Milliseconds as the tests write them; undefined if they are none. */
export function parseDelay(text) {
  const ms = Number(text ?? NaN);
  return ms >= 0 && ms <= MAX_DELAY_MS ? ms : undefined;
}

/** Stands before the endpoint; without fault and delay it changes nothing. */
export class Trouble {
  #fault = 'none';
  #ms = 0;

  /** False, and nothing changes, if there is no such fault or delay. */
  set(fault, delay) {
    const ms = parseDelay(delay);
    if (!FAULTS.has(fault) || ms === undefined) {
      return false;
    }
    this.#fault = fault;
    this.#ms = ms;
    return true;
  }

  answer(request, response, handle) {
    if (this.#ms > 0) {
      // What is answered late is the state of now, not the one of then.
      const end = response.end.bind(response);
      const ms = this.#ms;
      response.end = (...body) => {
        setTimeout(() => end(...body), ms);
        return response;
      };
    }
    const fault = FAULTS.get(this.#fault);
    if (fault) {
      request.resume();
      fault(response);
    } else {
      handle(request, response);
    }
  }
}

export function sendElsewhere(response) {
  sendText(response, 200, 'application/json', ACTIVE);
}

export function send(response, status, body) {
  sendText(response, status, 'application/json', JSON.stringify(body));
}

function sendText(response, status, type, text) {
  response.statusCode = status;
  response.setHeader('content-type', type);
  response.end(text);
}
