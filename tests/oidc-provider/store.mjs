// Where the provider keeps tokens. The store that oidc-provider brings goes
// with each new Provider, and so with each rotation of the keys, and it holds
// no more than about a thousand tokens, which are too few for a load.

const stored = new Map();

/** An adapter of oidc-provider, as far as client credentials need it. */
export class Store {
  #model;

  constructor(model) {
    this.#model = model;
  }

  #key(id) {
    return `${this.#model}:${id}`;
  }

  // The provider itself looks at the expiry of what it finds.
  async find(id) {
    return stored.get(this.#key(id));
  }

  async upsert(id, payload) {
    stored.set(this.#key(id), payload);
  }

  async destroy(id) {
    stored.delete(this.#key(id));
  }
}
